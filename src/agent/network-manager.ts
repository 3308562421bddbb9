// NetworkManager by its own `nmcli`, in the host's root: it reads the profiles that it is told of and works on the NICs
// that it is told of. Never all of them (`connection reload`, a restart), which is what would touch the node's own.
import { setTimeout as pause } from 'node:timers/promises';
import { MultinicError } from '../api/errors.ts';
import { run, type Command, type Ended } from './command.ts';

const ACTIVATION_SECONDS = 15;
const ANSWER_MS = 5_000;
const SEEN_MS = 5_000;
const RUNTIME = '/run/NetworkManager/';
const AUTOMATIC_PRIORITY = '-999';

export interface Profile {
  readonly uuid: string;
  /** Name of the link that it is active on. */
  readonly device?: string;
  /** `Wired connection N`: made by NetworkManager itself for a NIC that had no profile. */
  readonly automatic: boolean;
  readonly file: string;
}

export interface Device {
  readonly name: string;
  /** `connected`, `unavailable`, `connecting (getting IP configuration)` … */
  readonly state: string;
  /** Of the profile that is active on it. */
  readonly uuid?: string;
}

export class NetworkManager {
  readonly #inHost: (command: Command) => Command;

  constructor(inHost: (command: Command) => Command) {
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
      automatic: priority === AUTOMATIC_PRIORITY && file.startsWith(RUNTIME),
      file,
    }));
  }

  /** Reads its own settings anew, no profile. */
  async reloadSettings(): Promise<void> {
    await this.#must('general', 'reload', 'conf');
  }

  /** Reads a profile anew. @param uuid as its file has it, if it does */
  async load(path: string, uuid: string | undefined): Promise<void> {
    const known = await this.#read(path);
    // It ends with 0 also when it took nothing.
    if (known === undefined || known.uuid !== (uuid ?? known.uuid)) {
      throw refused(`does not take the profile ${path}`);
    }
  }

  /** Forgets a profile whose file is gone. */
  async forget(path: string): Promise<void> {
    if ((await this.#read(path)) !== undefined) throw refused(`still has the profile ${path}`);
  }

  /** Has a link get this profile. @param wait for it to be wholly active; a DHCP server may never answer */
  async activate(uuid: string, link: string, wait: boolean): Promise<void> {
    await this.#seen(link);
    const seconds = wait ? ACTIVATION_SECONDS : 0;
    await this.#must('--wait', String(seconds), 'connection', 'up', 'uuid', uuid, 'ifname', link);
  }

  /** Takes away the automatic profile that would get hold of a NIC once it has none of ours. */
  async forgetAutomatic(link: string, mac: string): Promise<void> {
    for (const { uuid, automatic, file } of await this.profiles()) {
      if (!automatic) continue;
      const fields = 'connection.interface-name,802-3-ethernet.mac-address';
      const { stdout } = await this.#must('--escape', 'no', '-g', fields, 'connection', 'show', 'uuid', uuid);
      const [name, address] = stdout.split('\n');
      if (name !== link && address?.toLowerCase() !== mac) continue;
      // Not `connection delete`: it notes that this NIC is never to have one again, where we could not take it back.
      await run(this.#inHost(['rm', '-f', file]));
      await this.forget(file);
    }
  }

  /** Waits until the profile that is active on a link is as it shall be. */
  async until(link: string, holds: (active: Profile | undefined) => boolean): Promise<void> {
    const deadline = performance.now() + SEEN_MS;
    for (;;) {
      const active = (await this.profiles()).find(({ device }) => device === link);
      if (holds(active)) return;
      if (performance.now() > deadline) throw refused(`has ${link} with ${active?.file ?? 'no profile'}`);
      await pause(100);
    }
  }

  async #read(path: string): Promise<Profile | undefined> {
    await this.#must('connection', 'load', path);
    return (await this.profiles()).find(({ file }) => file === path);
  }

  /** A name that the kernel has just given is not yet known to NetworkManager. */
  async #seen(link: string): Promise<void> {
    const deadline = performance.now() + SEEN_MS;
    const known = async (): Promise<boolean> => (await this.devices()).some(({ name }) => name === link);
    while (!(await known()) && performance.now() < deadline) await pause(50);
  }

  /** What it does not even tell, it is not there to do. */
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

/** nmcli's terse rows: a colon between fields, a backslash before one within. */
export function readRow(line: string): string[] {
  return line.split(/(?<!\\):/).map((field) => field.replaceAll(/\\(.)/g, '$1'));
}

function down(why: string): MultinicError {
  return new MultinicError(
    'NetworkManagerDown',
    `NetworkManager does not answer on this node (${why.trim()}); start it, or name what configures the node’s NICs by the annotation multinic.io/renderer on the Node (netplan or ifcfg), then run \`multinic retry\``,
  );
}

function refused(what: string): MultinicError {
  return new MultinicError(
    'NetworkManagerRefused',
    `NetworkManager ${what}; look at \`journalctl -u NetworkManager\` on the node, then run \`multinic retry\``,
  );
}
