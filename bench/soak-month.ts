// Parts of the soak that have a process of their own, so that its memory is the controller's:
//
//   make DIR NODES                a fleet whose nodes are all configured
//   month DIR DAYS EVERY MINUTES  days on it, fewer when MINUTES are over; maintenance after EVERY commits
//   fresh DIR                     a new controller on what the month left

import { subscribe } from 'node:diagnostics_channel';
import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { execa } from 'execa';
import { pino } from 'pino';
import { BackgroundBackup } from '../src/controller/background-backup.ts';
import { NodeBranchPolicy } from '../src/history/policy.ts';
import { nodeRef } from '../src/network/node-ref.ts';
import { Maintenance } from '../src/store/care/maintenance.ts';
import { hashedTokens } from '../src/store/http/auth.ts';
import { Batch } from '../src/store/model/batch.ts';
import { CONTROLLER } from '../src/store/model/committer.ts';
import { ensureRepository } from '../src/store/git/repository.ts';
import type { Oid } from '../src/store/model/store-port.ts';
import type { StoreServer } from '../src/store/server/serve.ts';
import type { InventoryNode } from '../src/mirror/home-port.ts';
import { TOKENS } from '../test/support/http.ts';
import { pushMtu } from '../test/support/push-mtu.ts';
import { randomOf } from '../test/support/random.ts';
import { JOB_MS } from '../test/support/simulated-runs.ts';
import { bareWrite } from './bare-git.ts';
import { median, percentile, timed } from './report.ts';
import { BEGAN, SoakFleet } from './soak-fleet.ts';
import { eventsOf, KINDS, type Kind } from './soak-plan.ts';
import { memoryOf, sizeOf, type Memory, type Size } from './soak-sizes.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NODES_PER_CONFIG = 500;
const NICS = 3;
const ROLLOUT = 50;
const HOURS_A_SAMPLE = 6;
/** Nodes whose log and checkout are timed. Each one gets edits of its own. */
const TIMED = ['node-1', 'node-3', 'node-5'];
const BACKUPS_KEPT = 7;

/** Passes since the last sample, in milliseconds. */
export interface Passes {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  /** Time on a processor in this process, which other programs disturb less. */
  readonly cpuP50: number;
  readonly cpuP99: number;
  /** Processes that a pass starts, on average. */
  readonly processes: number;
}

export interface Sample extends Memory, Size {
  /** Simulated hours since the month began. */
  readonly hour: number;
  readonly nodes: number;
  readonly commits: number;
  readonly passes: number;
  readonly events: Readonly<Record<Kind, number>>;
  readonly changed: Passes;
  readonly quiet: Passes;
  readonly logMs: number;
  readonly checkoutMs: number;
  /** Bare fsynced fast-import with update-ref in a repository of its own. */
  readonly probeMs: number;
  readonly maintenanceMs?: number;
  readonly backupMs?: number;
}

export interface Fresh extends Memory {
  readonly firstPassMs: number;
}

class Month {
  readonly #fleet: SoakFleet;
  readonly #server: StoreServer;
  readonly #backups: BackgroundBackup;
  readonly #maintenance: Maintenance;
  readonly #random = randomOf(1);
  readonly #probe: Probe;
  readonly #events = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
  readonly #absent: { readonly at: number; readonly nodes: readonly InventoryNode[] }[] = [];
  #passes = 0;
  #drifts = 0;
  #changed: Timed[] = [];
  #quiet: Timed[] = [];
  #took: { maintenanceMs?: number; backupMs?: number } = {};

  private constructor(dir: string, fleet: SoakFleet, server: StoreServer, every: number, probe: Probe) {
    this.#fleet = fleet;
    this.#server = server;
    this.#probe = probe;
    this.#maintenance = new Maintenance(fleet.store, every);
    const schedule = { dir: join(dir, 'backups'), everyMs: DAY, keep: BACKUPS_KEPT };
    const log = pino({ level: 'silent' });
    this.#backups = new BackgroundBackup(fleet.store.dir, schedule, log, () => fleet.now);
  }

  static async open(dir: string, every: number): Promise<Month> {
    const fleet = await SoakFleet.resume(dir);
    const server = await fleet.serve({
      pages: new Map(),
      policy: new NodeBranchPolicy(() => fleet.now),
      authenticate: hashedTokens([
        [TOKENS.write, { name: 'alice', role: 'write' }],
        ...TIMED.map((node) => [tokenOf(node), { name: node, role: 'node', node }] as const),
      ]),
    });
    await mkdir(join(dir, 'backups'), { recursive: true });
    return new Month(dir, fleet, server, every, await Probe.open(join(dir, 'probe.git')));
  }

  async close(): Promise<void> {
    await this.#server.close();
    await this.#backups.close();
    await this.#fleet.close();
  }

  async day(day: number, told: (sample: Sample) => Promise<void>): Promise<void> {
    const began = BEGAN + DAY + day * DAY;
    for (const [hour, kinds] of eventsOf(day, this.#fleet.home.inventory.length).entries()) {
      this.#fleet.now = began + hour * HOUR;
      this.#comeBack();
      for (const kind of kinds) await this.#happen(kind);
      await this.#work();
      await this.#care();
      if ((hour + 1) % HOURS_A_SAMPLE === 0) await told(await this.sample(24 * day + hour + 1));
    }
  }

  /** Passes until nothing is left to record, five seconds after each other. */
  async #work(): Promise<void> {
    const { runs } = this.#fleet;
    for (let isQuiet = false; !isQuiet || runs.running > 0;) {
      isQuiet = !(await this.#pass());
      this.#drift();
      this.#fleet.now += JOB_MS;
    }
    // The lists of the fleet would grow for a month.
    runs.observed.length = 0;
    runs.ran.length = 0;
  }

  /** @returns whether the pass made commits */
  async #pass(): Promise<boolean> {
    const { store } = this.#fleet;
    const before = { commits: store.commitsWritten, processes: started, cpu: process.cpuUsage() };
    const ms = await this.#fleet.pass();
    const { user, system } = process.cpuUsage(before.cpu);
    const isChange = store.commitsWritten > before.commits;
    const pass = { ms, cpuMs: (user + system) / 1000, processes: started - before.processes };
    (isChange ? this.#changed : this.#quiet).push(pass);
    this.#passes += 1;
    return isChange;
  }

  /** The host of an observation that just began has drifted. */
  #drift(): void {
    const looked = this.#fleet.runs.observed.filter(({ at }) => at === this.#fleet.now);
    for (const { node } of looked.slice(0, this.#drifts)) {
      this.#fleet.runs.drifted.add(node);
      this.#drifts -= 1;
    }
  }

  async #care(): Promise<void> {
    let ran = false;
    const maintenanceMs = await timed(async () => (ran = await this.#maintenance.runIfDue()));
    if (ran) this.#took = { ...this.#took, maintenanceMs };
    const before = await this.#backups.newestAt();
    const backupMs = await timed(async () => {
      this.#backups.startIfDue();
      await this.#backups.idle();
    });
    if ((await this.#backups.newestAt()) !== before) this.#took = { ...this.#took, backupMs };
  }

  async #happen(kind: Kind): Promise<void> {
    const { home, runs, now } = this.#fleet;
    this.#events[kind] += 1;
    switch (kind) {
      case 'edit':
        return home.edit([this.#edited()], this.#mtu());
      case 'failure': {
        const node = this.#node();
        runs.failing.set(node, now + 2 * HOUR);
        return home.edit([node], this.#mtu());
      }
      case 'rollout':
        return home.edit(this.#nodes(Math.min(ROLLOUT, home.inventory.length / 5)), this.#mtu());
      case 'push':
        return pushMtu({ url: this.#server.url, at: now, node: this.#node(), mtu: this.#mtu() });
      case 'rollback':
        return this.#rollback(this.#node());
      case 'drift':
        this.#drifts += 1;
        return;
      case 'leave':
        return home.leave([this.#node()]);
      case 'join':
        return void home.join(1);
      case 'absence':
        this.#absent.push({ at: now + 6 * HOUR, nodes: home.hide([this.#node()]) });
        return;
      case 'reboot':
        return home.change(new Set([this.#node()]), { bootID: `boot-${now}` });
    }
  }

  #comeBack(): void {
    while ((this.#absent[0]?.at ?? Infinity) <= this.#fleet.now)
      this.#fleet.home.show(this.#absent.shift()!.nodes);
  }

  async #rollback(node: string): Promise<void> {
    const { status } = await fetch(`${this.#server.url}/api/v1/nodes/${node}/rollback`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKENS.write}`, 'content-type': 'application/json' },
      body: '{"yes":true}',
    });
    // A node whose commits all have the same network has nothing to go back to.
    if (status !== 200 && status !== 409) throw new Error(`rollback of ${node}: ${status}`);
  }

  /** Any node but the timed ones, which stay and are never held. */
  #node(): string {
    const { inventory } = this.#fleet.home;
    for (;;) {
      const { name } = inventory[Math.floor(this.#random() * inventory.length)]!;
      if (!TIMED.includes(name)) return name;
    }
  }

  /** A node for an edit: each eighth edit is of a timed node. */
  #edited(): string {
    const timedNode = this.#events.edit % 8 === 0 ? TIMED[(this.#events.edit / 8) % TIMED.length] : undefined;
    return timedNode ?? this.#node();
  }

  #nodes(count: number): string[] {
    const names = new Set<string>();
    while (names.size < Math.floor(count)) names.add(this.#node());
    return [...names];
  }

  #mtu(): number {
    return 1300 + Math.floor(this.#random() * 200);
  }

  async sample(hour: number): Promise<Sample> {
    await this.#backups.idle();
    collectGarbage();
    const sample: Sample = {
      hour,
      nodes: this.#fleet.home.inventory.length,
      commits: this.#fleet.store.commitsWritten,
      passes: this.#passes,
      events: { ...this.#events },
      ...(await memoryOf(process.pid)),
      ...(await sizeOf(this.#fleet.store.dir)),
      changed: passesOf(this.#changed),
      quiet: passesOf(this.#quiet),
      logMs: median(await each(TIMED, (node) => this.#log(node))),
      checkoutMs: median(await each(TIMED, (node) => this.#checkout(node))),
      probeMs: median(await each([1, 2, 3, 4, 5], () => this.#probe.write())),
      ...this.#took,
    };
    this.#changed = [];
    this.#quiet = [];
    this.#took = {};
    return sample;
  }

  #log(node: string): Promise<number> {
    return timed(() =>
      execa('git', ['-C', this.#fleet.store.dir, 'log', '-p', '--format=fuller', nodeRef(node)]),
    );
  }

  /** The agent's checkout, in a process that runs. */
  async #checkout(node: string): Promise<number> {
    const program = join(import.meta.dirname, 'http-checkout.js');
    const args = [`${this.#server.url}/git`, tokenOf(node), nodeRef(node)];
    const { stdout } = await execa(process.execPath, [program, ...args]);
    return (JSON.parse(stdout) as { ms: number }).ms;
  }
}

/** A repository of its own, whose writes tell how slow the machine is. */
class Probe {
  readonly #dir: string;
  #tip: Oid | null = null;
  #round = 0;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async open(dir: string): Promise<Probe> {
    await ensureRepository(dir);
    return new Probe(dir);
  }

  write(): Promise<number> {
    const batch = new Batch();
    const commit = batch.commit({
      parents: this.#tip === null ? [] : [this.#tip],
      files: new Map([['file', `${(this.#round += 1)}\n`]]),
      author: CONTROLLER,
      subject: 'probe',
      trailers: [],
    });
    batch.move('refs/heads/probe', commit, this.#tip);
    return timed(() => (this.#tip = bareWrite(this.#dir, batch, 'refs/heads/probe', this.#tip)));
  }
}

/** Processes that this one has started. */
let started = 0;
subscribe('child_process', () => (started += 1));

const tokenOf = (node: string): string => `token-${node}`;

async function each<T>(items: readonly T[], measure: (item: T) => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (const item of items) values.push(await measure(item));
  return values;
}

/** One pass. */
interface Timed {
  readonly ms: number;
  readonly cpuMs: number;
  readonly processes: number;
}

function passesOf(passes: readonly Timed[]): Passes {
  const ms = passes.map((pass) => pass.ms);
  const cpuMs = passes.map((pass) => pass.cpuMs);
  return {
    count: passes.length,
    p50: percentile(ms, 50),
    p99: percentile(ms, 99),
    cpuP50: percentile(cpuMs, 50),
    cpuP99: percentile(cpuMs, 99),
    processes: passes.reduce((sum, { processes }) => sum + processes, 0) / passes.length,
  };
}

/** The program runs without `--expose-gc`, so the flag comes when it is needed. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  gc();
}

async function month(dir: string, days: number, every: number, minutes: number): Promise<void> {
  const soak = await Month.open(dir, every);
  const tell = (sample: Sample): Promise<void> =>
    appendFile(join(dir, 'samples'), `${JSON.stringify(sample)}\n`);
  await tell(await soak.sample(0));
  const end = performance.now() + 60_000 * minutes;
  for (let day = 0; day < days && performance.now() < end; day += 1) await soak.day(day, tell);
  await soak.close();
}

async function fresh(dir: string): Promise<void> {
  const began = performance.now();
  const fleet = await SoakFleet.resume(dir);
  const firstPassMs = performance.now() - began;
  collectGarbage();
  const found: Fresh = { ...(await memoryOf(process.pid)), firstPassMs };
  console.log(JSON.stringify(found));
  await fleet.close();
}

const [part, dir = '', count = '', every = '', minutes = ''] = process.argv.slice(2);
if (part === 'make')
  await SoakFleet.make(dir, Number(count), { nodesPerConfig: NODES_PER_CONFIG, nics: NICS });
if (part === 'month') await month(dir, Number(count), Number(every), Number(minutes));
if (part === 'fresh') await fresh(dir);
