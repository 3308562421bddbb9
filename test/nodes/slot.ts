// A lab's place on this machine: its number, its folder and its owner. Everything that a lab can leave has the slot's name.
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from './cache.ts';
import { run } from './command.ts';
import { Group } from './group.ts';
import { withLock } from './lock.ts';
import { LabError } from '../support/lab-error.ts';

const ROOT = '/var/lib/multinic-lab';
const SLOTS = 16;
/** 10.200.0.0/16 belongs to slot 0. */
const SUBNETS = 200;

interface Owner {
  readonly pid: number;
  /** Clock ticks after boot: with the boot ID it tells a process from a later one with its number. */
  readonly startTime: string;
  readonly bootId: string;
}

export class Slot {
  readonly number: number;

  constructor(number: number) {
    this.number = number;
  }

  /** Name of the network namespace and the control groups, and prefix of the machines' namespaces. */
  get name(): string {
    return `multinic-lab-${this.number}`;
  }

  get dir(): string {
    return join(ROOT, String(this.number));
  }

  /** The end of the switch's cable to this machine's own namespace (a link's name has 15 bytes at most). */
  get uplink(): string {
    return `mnlab${this.number}`;
  }

  /** @returns an address or subnet of this slot: `address('0.1')` is 10.200.0.1 in slot 0 */
  address(rest: string): string {
    return `10.${SUBNETS + this.number}.${rest}`;
  }

  /** Path of the control group of a daemon or machine of the slot. */
  group(name: string): string {
    return `multinic-lab/${this.number}/${name}`;
  }

  /** Removes everything that killed runs left, then takes a free slot. */
  static claim(log: Log): Promise<Slot> {
    return alone(async () => {
      await sweepAll(log);
      const claim = await mkdtemp(join(ROOT, 'claim-'));
      await writeFile(join(claim, 'owner.json'), JSON.stringify(ownerOf(process.pid)));
      for (let number = 0; number < SLOTS; number += 1) {
        const slot = new Slot(number);
        // A rename over a folder that is not empty fails, which means that the slot is in use.
        if (await rename(claim, slot.dir).then(always, never)) return slot;
      }
      await rm(claim, { recursive: true });
      throw new LabError(
        'NoFreeSlot',
        `all ${SLOTS} labs of this machine are in use; end a test run or \`npm run cluster\` that you no longer need`,
      );
    });
  }

  /** Removes everything that killed runs left. A slot whose owner lives is never touched. */
  static sweep(log: Log): Promise<void> {
    return alone(() => sweepAll(log));
  }

  /** Ends every process, mount, namespace and link of this slot, also of an incomplete one. */
  async destroy(): Promise<void> {
    await (await Group.create(`multinic-lab/${this.number}`)).remove();
    await this.unmountBelow(this.dir);
    for (const namespace of await namespaces()) {
      if (namespace === this.name || namespace.startsWith(`${this.name}-`)) {
        await run('ip', ['netns', 'delete', namespace]);
      }
    }
    // The cable ended with the switch's namespace, unless the run was killed before the cable was moved there.
    await run('ip', ['link', 'delete', this.uplink]).catch(() => '');
    await this.#removeBelow('/run/systemd/nspawn/propagate');
    // The last step, and a single one: from here on the slot may belong to another run.
    const gone = await mkdtemp(join(ROOT, 'gone-'));
    await rename(this.dir, gone).catch(passOverAbsent);
    await rm(gone, { recursive: true, force: true });
  }

  /** Files that nspawn leaves of a killed machine. */
  async #removeBelow(dir: string): Promise<void> {
    for (const name of await readdir(dir).catch(() => [])) {
      if (name.startsWith(`${this.name}-`)) await rm(join(dir, name), { recursive: true, force: true });
    }
  }

  async unmountBelow(dir: string): Promise<void> {
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((path) => path === dir || path.startsWith(`${dir}/`));
    for (const path of mounts.reverse()) await run('umount', ['--lazy', path]);
  }
}

const always = (): boolean => true;
const never = (): boolean => false;

function passOverAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** A lock keeps one process from claiming a slot that another process still removes. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  await mkdir(ROOT, { recursive: true, mode: 0o700 });
  return withLock(join(ROOT, 'lock'), { timeoutMs: 120_000 }, work);
}

async function sweepAll(log: Log): Promise<void> {
  const entries = await readdir(ROOT, { withFileTypes: true });
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    if (await hasOwner(join(ROOT, name))) continue;
    log(`taking away what a killed run left in ${join(ROOT, name)}`);
    if (/^\d+$/.test(name)) await new Slot(Number(name)).destroy();
    else await rm(join(ROOT, name), { recursive: true, force: true });
  }
}

async function hasOwner(dir: string): Promise<boolean> {
  try {
    const owner = JSON.parse(await readFile(join(dir, 'owner.json'), 'utf8')) as Owner;
    const now = ownerOf(owner.pid);
    return owner.startTime === now.startTime && owner.bootId === now.bootId;
  } catch {
    return false;
  }
}

function ownerOf(pid: number): Owner {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name, and may hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return { pid, startTime: fields[19] ?? '', bootId };
}

async function namespaces(): Promise<string[]> {
  return readdir('/run/netns').catch(() => []);
}
