// A machine: a systemd container over a layer of the node's root file system, in a network namespace of its own, with NICs
// that come and go while it runs.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MultinicError } from '../../src/api/errors.ts';
import { run, type RunOptions } from './command.ts';
import { Daemon } from './daemon.ts';
import { makeDisk, writeOnDisk } from './disk.ts';
import type { Rootfs } from './rootfs.ts';
import type { Slot } from './slot.ts';
import type { Cable, Switch } from './switch.ts';
import { uuidOf } from './uuid.ts';
import { waitFor } from './wait.ts';
import { LabError } from '../support/lab-error.ts';

const BOOT_LIMIT_MS = 120_000;
const TELL_AGAIN_MS = 4_000;
export const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface MachineOptions {
  /** systemUUID that a kubelet will report; absent: made from the name. */
  readonly systemUUID?: string;
  /** Mounted folders: path in the machine to path outside. Missing folders are created. */
  readonly binds?: Readonly<Record<string, string>>;
  readonly readOnlyBinds?: Readonly<Record<string, string>>;
  /** Files that the machine has at its boot: path to content. */
  readonly files?: Readonly<Record<string, string>>;
  /** The primary NIC asks a DHCP server, which has to give it `address`. */
  readonly dhcp?: boolean;
}

export interface NicOptions {
  readonly mac: string;
  /** The secondary network, created if it is new; absent: the primary network. */
  readonly network?: string;
  /** Name in udev's form; absent: the lowest free ensN from ens5 on. */
  readonly name?: string;
  readonly mtu?: number;
}

interface Nic {
  readonly mac: string;
  readonly network: string | undefined;
  /** Name of the new NIC, also after a boot. */
  readonly name: string;
  readonly mtu: number;
  carrier: boolean;
  /** Absent until the NIC is attached. */
  cable?: Cable;
  /** The addresses that port security lets through. */
  security?: readonly string[];
}

interface Place {
  readonly name: string;
  /** Number of the machine in its lab, from 1 on: the last part of its address is 10 more. */
  readonly index: number;
  readonly slot: Slot;
  readonly hub: Switch;
  readonly rootfs: Rootfs;
}

export class Machine {
  readonly name: string;
  /** Number of the machine in its lab, from 1 on. */
  readonly index: number;
  /** Address on the primary network. */
  readonly address: string;
  readonly systemUUID: string;
  readonly #place: Place;
  readonly #options: MachineOptions;
  readonly #daemon: Daemon;
  /** NICs by MAC, in the order in which they were attached. */
  readonly #nics = new Map<string, Nic>();
  readonly #primary: Nic;

  private constructor(place: Place, options: MachineOptions) {
    this.name = place.name;
    this.index = place.index;
    this.#place = place;
    this.#options = options;
    this.address = place.slot.address(`0.${10 + place.index}`);
    const mac = this.mac;
    this.#primary = { mac, network: undefined, name: 'eth0', mtu: 1500, carrier: true };
    this.systemUUID = options.systemUUID ?? uuidOf(`${place.slot.number}/${place.name}`);
    this.#daemon = new Daemon({
      name: place.name,
      group: place.slot.group(place.name),
      log: join(this.#dir, 'console.log'),
      command: this.#nspawn(),
      env: { SYSTEMD_NSPAWN_API_VFS_WRITABLE: '1', SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '0' },
    });
  }

  static async create(place: Place, options: MachineOptions): Promise<Machine> {
    const machine = new Machine(place, options);
    await machine.#install();
    return machine;
  }

  /** Path of the machine's file system outside of it, also while the machine runs. */
  get root(): string {
    return join(this.#dir, 'root');
  }

  get running(): boolean {
    return this.#daemon.running;
  }

  /** Boots the machine. Returns when all units that start by themselves have started or failed. */
  async start(): Promise<void> {
    await this.#daemon.start();
    await waitFor(
      `${this.name}: the end of its boot`,
      async () => {
        // "degraded" is fine too, because a container lacks things that some units need.
        return ['running', 'degraded'].includes(await this.#state());
      },
      {
        timeoutMs: BOOT_LIMIT_MS,
        everyMs: 50,
        hopeful: () => this.#daemon.running,
        hint: () => this.#daemon.lastWords(),
      },
    );
    await this.#addressed();
  }

  /**
   * @returns what the command wrote to its standard output
   * @throws MultinicError `CommandFailed`, `NotRunning`
   */
  async exec(command: readonly string[], options: RunOptions = {}): Promise<string> {
    const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
    const target = String(await this.#leader());
    const args = ['--target', target, ...namespaces, '--', '/usr/bin/env', '-i', `PATH=${PATH}`, ...command];
    return run('nsenter', args, options);
  }

  /** Writes a file of the machine. */
  async write(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    await writeOnDisk(this.root, path, content, mode);
  }

  /** Attaches a new NIC, which is down like a hot-plugged one. */
  async attachNic({ mac, network, name, mtu = 1500 }: NicOptions): Promise<{ readonly name: string }> {
    const key = mac.toLowerCase();
    if (this.#nics.has(key)) {
      throw new LabError('NicExists', `${this.name} has a NIC ${mac}; detach it first`);
    }
    const nic: Nic = { mac: key, network, name: name ?? this.#freeName(), mtu, carrier: true };
    // Records the name now, so that a NIC attached meanwhile takes another name.
    this.#nics.set(key, nic);
    await this.#plug(nic);
    return { name: nic.name };
  }

  /** Detaches a NIC, whatever its present name. */
  async detachNic(mac: string): Promise<void> {
    const nic = this.#nic(mac);
    this.#nics.delete(nic.mac);
    if (nic.cable !== undefined) await this.#place.hub.unplug(nic.cable);
  }

  /**
   * Makes the switch drop packets from a NIC's port with another source address.
   * @param mac absent: the primary NIC's
   */
  async secure(addresses: readonly string[], mac = this.mac): Promise<void> {
    const nic = this.#nic(mac);
    nic.security = addresses;
    if (nic.cable !== undefined) await this.#place.hub.secure(nic.cable, nic.mac, addresses);
  }

  /** Sets the carrier of a NIC, as when somebody shuts or opens its port. */
  async setCarrier(mac: string, up: boolean): Promise<void> {
    const nic = this.#nic(mac);
    nic.carrier = up;
    if (nic.cable !== undefined) await this.#place.hub.carrier(nic.cable, up);
  }

  /** Shuts the machine down in order and boots it: files and NICs stay; processes, addresses, routes and rules do not. */
  async reboot(): Promise<void> {
    await this.exec(['systemctl', 'reboot']).catch((error: unknown) => {
      // The shutdown may end the command by a signal before it returns; a machine that stays up is noticed below.
      const isKilled = error instanceof LabError && error.data['exitCode'] === undefined;
      if (!isKilled) throw error;
    });
    await this.#daemon.exited(BOOT_LIMIT_MS);
    await this.kill();
    await this.start();
  }

  /** Cuts the power; `start` brings the machine back. */
  async kill(): Promise<void> {
    await this.#daemon.stop('SIGKILL');
    await this.#uncable();
    await this.#cable();
  }

  /**
   * Puts a disk with a fresh root file system in, as whoever re-images a machine does, and boots it. The UUID, and with it
   * the machine ID, and the NICs stay.
   */
  async reimage(): Promise<void> {
    await this.#daemon.stop('SIGKILL');
    await this.#place.slot.unmountBelow(this.#dir);
    await this.#uncable();
    await run('rm', ['-rf', ...['upper', 'work', 'root'].map((layer) => join(this.#dir, layer))]);
    await this.#install();
    await this.start();
  }

  /** Removes the machine with its disk and its NICs. */
  async destroy(): Promise<void> {
    await this.#daemon.stop('SIGKILL');
    await this.#place.slot.unmountBelow(this.#dir);
    await this.#uncable();
    await run('rm', ['-rf', this.#dir]);
  }

  /**
   * Waits for the primary address. On a busy machine udev has been seen to miss a NIC that is there from the start, and
   * its network manager then waits for it without end: so it is told again.
   */
  async #addressed(): Promise<void> {
    let told = performance.now();
    await waitFor(
      `${this.name}: ${this.address} on eth0`,
      async () => {
        const shown = await this.exec(['ip', '-brief', 'address', 'show', 'dev', 'eth0']);
        if (shown.includes(`${this.address}/`)) return true;
        if (performance.now() - told > TELL_AGAIN_MS) {
          await this.exec(['udevadm', 'trigger', '--action=add', '--subsystem-match=net']);
          told = performance.now();
        }
        return false;
      },
      {
        timeoutMs: BOOT_LIMIT_MS,
        everyMs: 50,
        hint: () => this.exec(['networkctl', 'status', 'eth0']).catch(String),
      },
    );
  }

  async #state(): Promise<string> {
    return this.exec(['systemctl', 'is-system-running']).catch((error: unknown) => {
      // Each state but "running" has its own exit code.
      if (error instanceof MultinicError) return String(error.data['stdout'] ?? '');
      throw error;
    });
  }

  /** The machine's first process. */
  async #leader(): Promise<number> {
    const { pid } = this.#daemon;
    const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
    const leader = Number(children.at(-1));
    if (leader > 0) return leader;
    throw new MultinicError('NotRunning', `${this.name} has no first process yet; wait for its boot`);
  }

  get #dir(): string {
    return join(this.#place.slot.dir, 'machines', this.name);
  }

  get #namespace(): string {
    return `${this.#place.slot.name}-${this.name}`;
  }

  /** MAC of the primary NIC. */
  get mac(): string {
    const { slot, index } = this.#place;
    const [high, low] = [slot.number, index].map((byte) => byte.toString(16).padStart(2, '0'));
    return `fa:16:3e:00:${high}:${low}`;
  }

  #nic(mac: string): Nic {
    const key = mac.toLowerCase();
    const nic = key === this.#primary.mac ? this.#primary : this.#nics.get(key);
    if (nic !== undefined) return nic;
    throw new LabError('NoSuchNic', `${this.name} has no NIC ${mac}; attach it first`);
  }

  #freeName(): string {
    const taken = new Set([...this.#nics.values()].map((nic) => nic.name));
    let index = 5;
    while (taken.has(`ens${index}`)) index += 1;
    return `ens${index}`;
  }

  async #install(): Promise<void> {
    const { rootfs, slot } = this.#place;
    for (const path of Object.values({ ...this.#options.binds })) await mkdir(path, { recursive: true });
    const { files, dhcp = false } = this.#options;
    await makeDisk(this.#dir, rootfs, {
      name: this.name,
      systemUUID: this.systemUUID,
      mac: this.mac,
      address: this.address,
      gateway: slot.address('0.1'),
      dhcp,
      ...(files !== undefined && { files }),
    });
    await this.#cable();
  }

  /** Makes the network as the firmware leaves it: an unconfigured namespace with the NICs. */
  async #cable(): Promise<void> {
    await run('ip', ['netns', 'add', this.#namespace]);
    for (const nic of [this.#primary, ...this.#nics.values()]) await this.#plug(nic);
  }

  async #uncable(): Promise<void> {
    await run('ip', ['netns', 'delete', this.#namespace]);
    for (const nic of [this.#primary, ...this.#nics.values()]) delete nic.cable;
  }

  async #plug(nic: Nic): Promise<void> {
    const { mac, name, mtu, network, security } = nic;
    nic.cable = await this.#place.hub.plug({
      namespace: this.#namespace,
      name,
      mac,
      mtu,
      ...(network !== undefined && { network }),
      ...(security !== undefined && { security }),
    });
    if (!nic.carrier) await this.#place.hub.carrier(nic.cable, false);
  }

  #nspawn(): string[] {
    return [
      // Not nspawn's own --network-namespace-path: with it /sys would show the net devices of this machine.
      'nsenter',
      `--net=/run/netns/${this.#namespace}`,
      '--',
      'systemd-nspawn',
      '--quiet',
      '--boot',
      '--register=no',
      '--keep-unit',
      `--machine=${this.#namespace}`,
      `--hostname=${this.name}`,
      `--directory=${this.root}`,
      '--capability=all',
      '--system-call-filter=add_key keyctl request_key bpf',
      '--resolv-conf=off',
      '--timezone=off',
      '--link-journal=no',
      '--console=pipe',
      ...bindOptions('bind', this.#options.binds),
      ...bindOptions('bind-ro', this.#options.readOnlyBinds),
    ];
  }
}

function bindOptions(option: string, binds: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries(binds).map(([there, here]) => `--${option}=${here}:${there}`);
}
