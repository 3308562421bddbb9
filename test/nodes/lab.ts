// A lab: machines and the switch between them, in namespaces of this machine. No Kubernetes here.
//
//   await using lab = await Lab.open({ log: console.log });
//   const machine = await lab.boot({ name: 'worker-1' });
//   const nic = await machine.attachNic({ mac: '02:00:00:00:01:01', network: 'tenant' });
//   await machine.exec(['ip', 'link']);
//
// One lab is one *slot*: a number that its names and its addresses (10.<SUBNETS + slot>.0.0/16) are made of, so labs of
// several test runs live side by side. Whatever a slot leaves behind is found by these names, and swept by the next run.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from './cache.ts';
import { raiseInotifyLimit } from './inotify.ts';
import { Machine, type MachineOptions } from './machine.ts';
import { needCommands } from './packages.ts';
import { nodeRootfs, type Rootfs, type RootfsKind } from './rootfs.ts';
import { Slot } from './slot.ts';
import { Switch } from './switch.ts';

const COMMANDS = ['ip', 'nsenter', 'flock', 'systemd-nspawn'] as const;

export interface LabOptions {
  readonly log?: Log;
  /** Kind of the machines. */
  readonly rootfs?: RootfsKind;
}

export interface BootOptions extends MachineOptions {
  readonly name: string;
  /** Another kind than the lab's. */
  readonly rootfs?: RootfsKind;
}

export class Lab {
  readonly slot: Slot;
  readonly switch: Switch;
  readonly machines = new Map<string, Machine>();
  readonly #rootfs: Rootfs;
  readonly #log: Log;
  /** Names are in use from the first moment of a boot, not from its end. */
  readonly #names = new Set<string>();
  #count = 0;
  #closed: Promise<void> | undefined;

  private constructor(slot: Slot, hub: Switch, rootfs: Rootfs, log: Log) {
    this.slot = slot;
    this.switch = hub;
    this.#rootfs = rootfs;
    this.#log = log;
  }

  /** Installs and builds what is missing (minutes, the first time on a machine), then takes milliseconds. */
  static async open({ log = () => {}, rootfs = 'netplan' }: LabOptions = {}): Promise<Lab> {
    await needCommands(COMMANDS, log);
    raiseInotifyLimit();
    const layer = await nodeRootfs(log, rootfs);
    const slot = await Slot.claim(log);
    try {
      return new Lab(slot, await Switch.create(slot), layer, log);
    } catch (error) {
      await slot.destroy();
      throw error;
    }
  }

  /** Folder for other files of the lab's owner, removed with the lab. */
  async folder(name: string): Promise<string> {
    const dir = join(this.slot.dir, name);
    await mkdir(dir, { recursive: true });
    return dir;
  }

  /** A machine with eth0 on the primary network, up and running. */
  async boot({ name, rootfs, ...options }: BootOptions): Promise<Machine> {
    const layer = rootfs === undefined ? this.#rootfs : await nodeRootfs(this.#log, rootfs);
    const machine = await this.#define(name, layer, options);
    await machine.start();
    return machine;
  }

  /** Removes the machine with its disk. Another machine may have its name, and starts with an empty disk. */
  async remove(name: string): Promise<void> {
    const machine = this.machines.get(name);
    if (machine === undefined) return;
    this.machines.delete(name);
    await machine.destroy();
    this.#names.delete(name);
  }

  /** Command line that runs in the switch's namespace, which reaches all machines and is reached by them. */
  command(...command: readonly string[]): string[] {
    return ['nsenter', `--net=/run/netns/${this.slot.name}`, '--', ...command];
  }

  async close(): Promise<void> {
    // Only once, because the slot may belong to another run a moment later.
    this.#closed ??= this.slot.destroy();
    await this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #define(name: string, rootfs: Rootfs, options: MachineOptions): Promise<Machine> {
    if (this.#names.has(name)) throw new Error(`there is a machine ${name} already; take another name`);
    this.#names.add(name);
    this.#count += 1;
    const machine = await Machine.create(
      { name, index: this.#count, slot: this.slot, hub: this.switch, rootfs },
      options,
    );
    this.machines.set(name, machine);
    return machine;
  }
}
