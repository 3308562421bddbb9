import { expect, test } from 'vitest';
import { oid } from '../../test/support/oid.ts';
import type { NodeFacts } from './due.ts';
import type { JobRequest, JobStatus } from './job-port.ts';
import { makeRoom, type LateJob } from './late-jobs.ts';
import { DEFAULT_POLICY, planJobs, type Plan } from './schedule.ts';

const T0 = 1_700_000_000;
const TEN = { ...DEFAULT_POLICY, concurrency: 10 };
const LATE_MS = 60_000;
const MAX_PAUSE_MS = 600_000;
/** Time after which a Job that does not start is made again. */
const LIFE_MS = 600_000;
const TICK_MS = 5_000;
const RUN_MS = 20_000;

function node(name: string): NodeFacts {
  return {
    name,
    nodeId: `i-${name}`,
    tip: oid(`tip ${name}`),
    tipTime: T0,
    tipTree: oid('tree'),
    wanted: true,
    change: oid('change'),
    machineId: 'machine',
    systemUUID: 'system',
    bootID: 'boot',
    ready: true,
    paused: false,
    history: [],
  };
}

const fleet = (prefix: string, count: number): NodeFacts[] =>
  Array.from({ length: count }, (_, index) => node(`${prefix}${String(index).padStart(3, '0')}`));

interface Job {
  readonly request: JobRequest;
  readonly created: number;
  began?: number;
}

/** Nodes and Jobs over time, with a job runner that behaves as a cluster's. */
class Fleet {
  now = T0 * 1000;
  /** Kind of obstacle of nodes whose agents do not begin. */
  obstacles = new Map<string, 'stuck' | 'silent'>();
  readonly done = new Map<string, number>();
  readonly starts = new Map<string, number>();
  readonly faults: string[] = [];
  mostAtWork = 0;
  mostJobs = 0;
  readonly #nodes: readonly NodeFacts[];
  readonly #jobs = new Map<string, Job>();
  readonly #postponed = new Map<string, { readonly status: JobStatus; readonly since: number }>();

  constructor(nodes: readonly NodeFacts[]) {
    this.#nodes = nodes;
  }

  tick(): Plan {
    for (const [name, job] of this.#jobs) {
      if (!this.obstacles.has(job.request.node)) job.began ??= this.now;
      if (job.began === undefined && this.now - job.created >= LIFE_MS) this.#postpone(name, 0);
      if (job.began === undefined || this.now - job.began < RUN_MS) continue;
      this.#jobs.delete(name);
      this.done.set(job.request.node, this.now);
    }
    const plan = this.#pass();
    this.#count();
    if (plan.nextPassAt === this.now) this.#pass();
    this.#count();
    this.now += TICK_MS;
    return plan;
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end;) this.tick();
  }

  #pass(): Plan {
    const waiting = this.#nodes.filter(({ name }) => !this.done.has(name));
    const plan = planJobs(
      waiting,
      [...this.#jobs.values()].map(this.#status).concat(this.#resting()),
      TEN,
      this.now,
    );
    for (const name of plan.withdraw) this.#postponed.delete(name);
    for (const name of plan.postpone ?? []) this.#postpone(name);
    for (const request of plan.start) {
      if (this.#jobs.has(request.name)) this.faults.push(`${request.name} started twice`);
      const job: Job = { request, created: this.now };
      if (!this.obstacles.has(request.node)) job.began = this.now;
      this.#jobs.set(request.name, job);
      this.starts.set(request.node, (this.starts.get(request.node) ?? 0) + 1);
    }
    return plan;
  }

  #resting(): JobStatus[] {
    return [...this.#postponed].flatMap(([name, { status }]) => (this.#jobs.has(name) ? [] : status));
  }

  #postpone(name: string, shortest = LATE_MS): void {
    const job = this.#jobs.get(name)!;
    if (job.began !== undefined) this.faults.push(`${name} was taken away at work`);
    const since = this.#postponed.get(name)?.since ?? job.created;
    const pause = shortest && Math.min(Math.max(this.now - since, shortest), MAX_PAUSE_MS);
    this.#jobs.delete(name);
    this.#postponed.set(name, {
      since,
      status: { ...this.#status(job), late: true, retryAt: this.now + pause },
    });
  }

  readonly #status = ({ request, created, began }: Job): JobStatus => {
    const { name, node: on, commit, attempt } = request;
    const known = { name, node: on, commit, attempt };
    if (began !== undefined) return { ...known, phase: 'running' };
    if (this.now - created < LATE_MS) return { ...known, phase: 'waiting' };
    const stuck = this.obstacles.get(on) === 'stuck';
    return { ...known, phase: 'waiting', late: true, since: created, ...(stuck && { stuck }) };
  };

  #count(): void {
    const jobs = [...this.#jobs.values()];
    this.mostJobs = Math.max(this.mostJobs, jobs.length);
    this.mostAtWork = Math.max(this.mostAtWork, jobs.filter(({ began }) => began !== undefined).length);
  }
}

test('25 nodes that cannot pull the image leave the other nodes going, and begin ten at a time afterwards', () => {
  const stuck = fleet('a', 25);
  const well = fleet('b', 40);
  const it = new Fleet([...stuck, ...well]);
  it.obstacles = new Map(stuck.map(({ name }) => [name, 'stuck']));
  it.run(600_000);
  expect([...it.done.keys()].sort()).toEqual(well.map(({ name }) => name));
  it.run(1_800_000);
  expect(it.done.size).toBe(40);
  // There were never more Jobs than places, so no more agents can start when the registry comes back.
  expect(it.mostJobs).toBe(10);
  // Each stuck node was tried again, but not all the time.
  for (const { name } of stuck) {
    expect(it.starts.get(name)).toBeGreaterThan(2);
    expect(it.starts.get(name)).toBeLessThan(8);
  }
  it.obstacles.clear();
  it.run(900_000);
  expect(it.done.size).toBe(65);
  expect(it.faults).toEqual([]);
  expect(it.mostAtWork).toBe(10);
});

test('a node that comes while 25 others are stuck starts within a minute', () => {
  const stuck = fleet('a', 25);
  const it = new Fleet([...stuck, node('late')]);
  it.obstacles = new Map(stuck.map(({ name }) => [name, 'stuck']));
  it.done.set('late', 0);
  it.run(3_600_000);
  it.done.delete('late');
  const came = it.now;
  while (!it.starts.has('late')) it.tick();
  expect(it.now - came).toBeLessThanOrEqual(LATE_MS + 2 * TICK_MS);
});

test('a start that is merely slow is left in peace, at most as often as there are places', () => {
  const slow = fleet('a', 25);
  const it = new Fleet([...slow, ...fleet('b', 5)]);
  it.obstacles = new Map(slow.map(({ name }) => [name, 'silent']));
  it.run(300_000);
  expect([...it.done.keys()]).toHaveLength(5);
  expect(it.mostJobs).toBe(20);
  // The ten Jobs that have waited longest stayed.
  expect(slow.slice(0, 10).map(({ name }) => it.starts.get(name))).toEqual(
    Array.from({ length: 10 }, () => 1),
  );
});

test('while nobody else wants a place, a stuck Job stays as long as it lives', () => {
  const it = new Fleet(fleet('a', 10));
  it.obstacles = new Map(fleet('a', 10).map(({ name }) => [name, 'stuck']));
  it.run(3_600_000);
  // One try every ten minutes.
  expect([...it.starts.values()]).toEqual(Array.from({ length: 10 }, () => 6));
});

/** A late job with the time since when it waits; `stuck` by its name. */
const late = (name: string, since?: number): LateJob => ({
  name,
  node: node(name),
  ...(since !== undefined && { since }),
  ...(name.startsWith('stuck') && { stuck: true }),
});

/** Names of the jobs that give way, and the number of stuck jobs that stay. */
function roomOf(jobs: readonly LateJob[], demand: Parameters<typeof makeRoom>[1]): [string[], number] {
  const { postpone, stuck } = makeRoom(jobs, demand);
  return [postpone.map(({ name }) => name), stuck];
}

test('silent jobs beyond the places give way, those that wait longest stay, in whatever order they are listed', () => {
  const jobs = [late('b', 1), late('d', 2), late('c', 2), late('a')];
  for (const listed of [jobs, jobs.toReversed(), [...jobs.slice(2), ...jobs.slice(0, 2)]]) {
    expect(roomOf(listed, { active: 0, wanted: 0, places: 1 })).toEqual([['b', 'c', 'd'], 0]);
    expect(roomOf(listed, { active: 0, wanted: 0, places: 3 })).toEqual([['d'], 0]);
  }
});

test('stuck jobs give way, oldest first, as far as others want their places', () => {
  const jobs = [late('stuck-2', 2), late('stuck-1', 1)];
  const of = (active: number, wanted: number, places: number) => roomOf(jobs, { active, wanted, places });
  expect(of(0, 0, 2)).toEqual([[], 2]);
  expect(of(1, 2, 4)).toEqual([['stuck-1'], 1]);
  expect(of(1, 3, 4)).toEqual([['stuck-1', 'stuck-2'], 0]);
  expect(of(0, 2, 4)).toEqual([[], 2]);
  expect(of(2, 0, 2)).toEqual([['stuck-1', 'stuck-2'], 0]);
});

test('a silent job that gives way holds its place until it is gone', () => {
  const jobs = [late('a', 1), late('b', 2), late('c', 3), late('stuck-1', 1), late('stuck-2', 2)];
  expect(roomOf(jobs, { active: 0, wanted: 1, places: 2 })).toEqual([['stuck-1', 'stuck-2', 'c'], 0]);
  expect(roomOf(jobs, { active: 0, wanted: 0, places: 3 })).toEqual([[], 2]);
});
