// NetworkManager by its own `nmcli`, in the host's root. The agent names each profile to read and each NIC to activate:
// reading all profiles (`connection reload`, a restart) would touch the node's own NIC.
import { setTimeout as pause } from 'node:timers/promises';
import { MultinicError } from '../../api/errors.ts';
import { run, type Ended, type InHost } from '../command/host-command.ts';
import type { Mac } from '../../network/mac.ts';
import { isAutomatic } from './automatic-profiles.ts';

const ACTIVATION_SECONDS = 15;
const ANSWER_MS = 5_000;
/** On a busy node NetworkManager learns a new name seconds after the kernel has it. */
const SEEN_MS = 15_000;

export interface Profile {
  readonly uuid: string;
  /** Name of the link that the profile is active on. */
  readonly device?: string;
  /** NetworkManager made the profile itself (automatic-profiles.ts). */
  readonly automatic: boolean;
  readonly file: string;
}

export interface Device {
  readonly name: string;
  /** `connected`, `unavailable`, `connecting (getting IP configuration)` … */
  readonly state: string;
  /** Uuid of the profile that is active on the device. */
  readonly uuid?: string;
}

export class NetworkManager {
  readonly #inHost: InHost;

  constructor(inHost: InHost) {
    this.#inHost = inHost;
  }

  /** @throws MultinicError `NetworkManagerDown` */
  async devices(): Promise<Device[]> {
    const rows = await this.#rows('DEVICE,STATE,CON-UUID', 'device', 'status');
    return rows.map(([name = '', state = '', uuid]) => ({ name, state, ...(uuid && { uuid }) }));
  }

  /** @throws MultinicError `NetworkManagerDown` */
  async profiles(): Promise<Profile[]> {
    const fields = 'UUID,DEVICE,AUTOCONNECT-PRIORITY,FILENAME';
    const rows = await this.#rows(fields, 'connection', 'show');
    return rows.map(([uuid = '', device, priority, file = '']) => ({
      uuid,
      ...(device && { device }),
      automatic: isAutomatic(priority, file),
      file,
    }));
  }

  /** Makes NetworkManager read its own settings again, but no profile. */
  async reloadSettings(): Promise<void> {
    await this.#must('general', 'reload', 'conf');
  }

  /** Whether the plugin that reads ifcfg files is loaded: it has a name on the bus. */
  async readsIfcfg(): Promise<boolean> {
    const bus = ['org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus'];
    return (await this.#call(...bus, 'NameHasOwner', 's', 'com.redhat.ifcfgrh1')) === 'b true';
  }

  /** Makes NetworkManager read a profile again. */
  async load(path: string): Promise<void> {
    const taken = await this.#read(path);
    // NetworkManager keeps the old profile of a file that it cannot read.
    if (!taken || !(await this.#has(path))) throw refused(`does not take the profile ${path}`);
  }

  /** Makes NetworkManager forget a profile whose file is gone. */
  async forget(path: string): Promise<void> {
    await this.#read(path);
    if (await this.#has(path)) throw refused(`still has the profile ${path}`);
  }

  /**
   * Activates a profile on a link.
   * @param wait whether to wait until the profile is active; a DHCP server may never answer
   */
  async activate(uuid: string, link: string, wait: boolean): Promise<void> {
    await this.#seen(link);
    const seconds = wait ? ACTIVATION_SECONDS : 0;
    await this.#must('--wait', String(seconds), 'connection', 'up', 'uuid', uuid, 'ifname', link);
  }

  /** Removes the automatic profile that NetworkManager would activate on a NIC that has none of our profiles. */
  async forgetAutomatic(link: string, mac: Mac): Promise<void> {
    for (const { uuid, automatic, file } of await this.profiles()) {
      if (!automatic) continue;
      const fields = 'connection.interface-name,802-3-ethernet.mac-address';
      const { stdout } = await this.#must('--escape', 'no', '-g', fields, 'connection', 'show', 'uuid', uuid);
      const [name, address] = stdout.split('\n');
      if (name !== link && address?.toLowerCase() !== mac) continue;
      // Removes the file, because `connection delete` would forbid this NIC an automatic profile for ever.
      await run(this.#inHost(['rm', '-f', file]));
      await this.forget(file);
    }
  }

  /**
   * Makes NetworkManager manage a link with a profile of its choice, or release the link until the next boot with its
   * addresses kept. `nmcli device disconnect` would remove the addresses and forbid the profile for ever.
   */
  async manage(link: string, managed: boolean): Promise<void> {
    await this.#seen(link);
    await this.#must('device', 'set', link, 'managed', managed ? 'yes' : 'no');
  }

  /** Waits until `holds` is true for the active profile of a link. */
  async until(link: string, holds: (active: Profile | undefined) => boolean): Promise<void> {
    const deadline = performance.now() + SEEN_MS;
    for (;;) {
      const active = (await this.profiles()).find(({ device }) => device === link);
      if (holds(active)) return;
      if (performance.now() > deadline) throw refused(`has ${link} with ${active?.file ?? 'no profile'}`);
      await pause(100);
    }
  }

  /** Asks over the bus, because `nmcli connection load` ends with 0 whatever happens. */
  async #read(path: string): Promise<boolean> {
    const settings = ['/org/freedesktop/NetworkManager/Settings', 'org.freedesktop.NetworkManager.Settings'];
    const args = ['LoadConnections', 'as', '1', path];
    return (await this.#call('org.freedesktop.NetworkManager', ...settings, ...args)) === 'bas true 0';
  }

  async #has(path: string): Promise<boolean> {
    return (await this.profiles()).some(({ file }) => file === path);
  }

  async #call(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(this.#inHost(['busctl', '--timeout=10', 'call', ...args]));
    return stdout.trim();
  }

  /** Waits until NetworkManager knows a link: it learns a new name later than the kernel. */
  async #seen(link: string): Promise<void> {
    const deadline = performance.now() + SEEN_MS;
    const known = async (): Promise<boolean> => (await this.devices()).some(({ name }) => name === link);
    while (!(await known()) && performance.now() < deadline) await pause(50);
  }

  /** @throws MultinicError `NetworkManagerDown`: a NetworkManager that answers no question cannot activate a profile */
  async #rows(fields: string, ...args: string[]): Promise<string[][]> {
    const command = this.#inHost(['nmcli', '-t', '-f', fields, ...args]);
    const { code, stdout, stderr } = await run(command, ANSWER_MS).catch((error: Error) => {
      throw down(error.message);
    });
    if (code !== 0) throw down(stderr);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map(readRow);
  }

  async #must(...args: string[]): Promise<Ended> {
    const ended = await run(this.#inHost(['nmcli', ...args]), (ACTIVATION_SECONDS + 5) * 1_000);
    if (ended.code === 0) return ended;
    throw refused(`refuses \`nmcli ${args.join(' ')}\`: ${ended.stderr.trim()}`);
  }
}

/** Reads a terse row of nmcli: colons separate fields, and a backslash escapes a colon within a field. */
export function readRow(line: string): string[] {
  return line.split(/(?<!\\):/).map((field) => field.replaceAll(/\\(.)/g, '$1'));
}

function down(why: string): MultinicError {
  return new MultinicError(
    'NetworkManagerDown',
    `NetworkManager does not answer on this node (${why.trim()}); start it, because keyfiles and ifcfg files are applied by nothing else (the network scripts alone are not supported), or, where netplan configures the node’s NICs, say so by the annotation multinic.io/renderer on the Node, then run \`multinic retry\``,
  );
}

function refused(what: string): MultinicError {
  return new MultinicError(
    'NetworkManagerRefused',
    `NetworkManager ${what}; look at \`journalctl -u NetworkManager\` on the node, then run \`multinic retry\``,
  );
}
