import { createHash } from 'node:crypto';
import type { Oid } from '../api/oid.ts';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressHolders } from './address-holders.ts';
import type { NodeAddresses, NodeFacts, RunRecord } from './due.ts';
import type { JobStatus } from './job-port.ts';
import { DEFAULT_POLICY, planJobs, type Plan } from './schedule.ts';

const oid = (text: string): Oid => createHash('sha1').update(text).digest('hex') as Oid;
const T0 = 1_700_000_000;
const NOW = (T0 + 1) * 1000;

/** The addresses of NICs, by MAC. */
type Nics = Readonly<Record<string, string>>;

interface Setup {
  /** On the host by the newest outcome. */
  readonly has: Nics;
  /** In the tip. */
  readonly tip: Nics;
  /** In the CR; absent: as in the tip. */
  readonly cr?: Nics;
  readonly more?: Partial<NodeFacts>;
  /** Commits of which nobody knows whether the host has them. */
  readonly mayHave?: readonly string[];
}

const treeOf = (nics: Nics): Oid => oid(JSON.stringify(Object.entries(nics).toSorted()));

function addresses({ has, tip, cr = tip }: Setup): NodeAddresses {
  return {
    nics: Object.entries(tip).map(([mac, address]) => ({ mac, addresses: [address] })),
    asked: new Set(Object.values(cr)),
    applied: new Set(Object.values(has)),
  };
}

function node(name: string, setup: Setup): NodeFacts {
  const applied: RunRecord = {
    oid: oid(`outcome ${name}`),
    time: T0 - 100,
    result: 'Applied',
    tried: oid(`before ${name}`),
    attempt: 1,
    machineId: 'machine',
    bootId: 'boot',
    tree: treeOf(setup.has),
    missing: [],
    found: [],
  };
  return {
    name,
    nodeId: `i-${name}`,
    tip: oid(`tip ${name} ${treeOf(setup.tip)}`),
    tipTime: T0,
    tipTree: treeOf(setup.tip),
    wanted: true,
    change: oid('change'),
    machineId: 'machine',
    systemUUID: 'system',
    bootID: 'boot',
    ready: true,
    paused: false,
    history: [applied],
    addresses: addresses(setup),
    ...setup.more,
  };
}

function plan(
  setups: Readonly<Record<string, Setup>>,
  jobs: readonly JobStatus[] = [],
  unread: Readonly<Record<string, string>> = {},
): Plan {
  const holders = new AddressHolders();
  for (const [name, address] of Object.entries(unread)) holders.set(name, new Set([address]));
  const nodes = Object.entries(setups).map(([name, setup]) => {
    holders.set(name, new Set([...Object.values(setup.has), ...(setup.mayHave ?? [])]));
    return node(name, setup);
  });
  return planJobs(nodes, jobs, DEFAULT_POLICY, NOW, holders);
}

/** The decision for each node: `start`, `start without MACs`, `waits for ADDRESS on NODE`, or a reason. */
function verdicts({ reasons, start }: Plan): Record<string, string> {
  return Object.fromEntries(
    [...reasons].map(([name, decision]) => {
      const request = start.find((each) => each.node === name);
      if (request?.leaveOut !== undefined) return [name, `start without ${request.leaveOut.join(' ')}`];
      if (request !== undefined) return [name, 'start'];
      if (decision.due) return [name, 'due'];
      if (decision.reason !== 'WaitsForAddress') return [name, decision.reason];
      const { address, holder, isKept, isStuck } = decision;
      return [name, `waits for ${address} on ${holder}${isKept ? ', kept' : ''}${isStuck ? ', stuck' : ''}`];
    }),
  );
}

const paused = { more: { paused: true } };
const swap = { a: { has: { a0: '.1' }, tip: { a0: '.2' } }, b: { has: { b0: '.2' }, tip: { b0: '.1' } } };
const failed = (name: string, setup: Setup, result: RunRecord['result'] = 'Failed'): Setup => {
  const facts = node(name, setup);
  const run: RunRecord = { ...facts.history[0]!, result, tried: facts.tip, time: T0 - 60 };
  return { ...setup, more: { ...setup.more, history: [run, ...facts.history] } };
};
const asking = (name: string, setup: Setup): Setup => {
  const { history } = node(name, setup);
  const request: RunRecord = { ...history[0]!, result: 'Requested', request: 'retry', time: T0 };
  return { ...setup, more: { ...setup.more, history: [request, ...history] } };
};

test('a node that this pass could not read may still have its address, unless a person asks for a run', () => {
  const setup: Setup = { has: {}, tip: { a0: '.1' } };
  expect(verdicts(plan({ a: setup }, [], { b: '.1' }))).toEqual({ a: 'waits for .1 on b, stuck' });
  expect(verdicts(plan({ a: asking('a', setup) }, [], { b: '.1' }))).toEqual({ a: 'start' });
  // The message names the holder whose name sorts first.
  expect(verdicts(plan({ a: setup }, [], { c: '.1', b: '.1' }))).toEqual({ a: 'waits for .1 on b, stuck' });
});

describe('who goes first', () => {
  test.each<[string, Record<string, Setup>, Record<string, string>]>([
    [
      'a move: the new node waits',
      { a: { has: { a0: '.1' }, tip: {} }, b: { has: {}, tip: { b0: '.1' } } },
      { a: 'start', b: 'waits for .1 on a' },
    ],
    [
      'a move that is done',
      { a: { has: {}, tip: {} }, b: { has: {}, tip: { b0: '.1' } } },
      { a: 'UpToDate', b: 'start' },
    ],
    [
      'an address that a node has already: another NIC of it, or another prefix',
      { a: { has: { a0: '.1', a1: '.2' }, tip: { a0: '.2', a1: '.1' } } },
      { a: 'start' },
    ],
    [
      'a chain',
      {
        a: { has: { a0: '.1' }, tip: { a0: '.2' } },
        b: { has: { b0: '.2' }, tip: { b0: '.3' } },
        c: { has: { c0: '.3' }, tip: { c0: '.4' } },
      },
      { a: 'waits for .2 on b', b: 'waits for .3 on c', c: 'start' },
    ],
    ['a swap: one frees its address', swap, { a: 'start without a0', b: 'waits for .1 on a' }],
    [
      'a swap whose first step is done',
      { ...swap, a: { ...swap.a, has: {} } },
      { a: 'waits for .2 on b', b: 'start' },
    ],
    [
      'three go round',
      {
        a: { has: { a0: '.1' }, tip: { a0: '.2' } },
        b: { has: { b0: '.2' }, tip: { b0: '.3' } },
        c: { has: { c0: '.3' }, tip: { c0: '.1' } },
      },
      { a: 'start without a0', b: 'waits for .3 on c', c: 'waits for .1 on a' },
    ],
    [
      'two circles at once, IPv4 and IPv6',
      {
        a: { has: { a0: '.1' }, tip: { a0: '.2' } },
        b: { has: { b0: '.2' }, tip: { b0: '.1' } },
        c: { has: { c0: 'fd00::1' }, tip: { c0: 'fd00::2' } },
        d: { has: { d0: 'fd00::2' }, tip: { d0: 'fd00::1' } },
      },
      {
        a: 'start without a0',
        b: 'waits for .1 on a',
        c: 'start without c0',
        d: 'waits for fd00::1 on c',
      },
    ],
    [
      'only the NIC that waits is left out',
      { ...swap, a: { has: { a0: '.1', a1: '.7' }, tip: { a0: '.2', a1: '.8' } } },
      { a: 'start without a0', b: 'waits for .1 on a' },
    ],
    [
      'circles that share a node: one opens at a time',
      {
        a: { has: { a0: '.1', a1: '.2' }, tip: { a0: '.3', a1: '.4' } },
        b: { has: { b0: '.3' }, tip: { b0: '.1' } },
        c: { has: { c0: '.4' }, tip: { c0: '.2' } },
      },
      { a: 'start without a0 a1', b: 'waits for .1 on a', c: 'waits for .2 on a' },
    ],
    [
      'a node that waits for a circle frees nothing',
      { ...swap, z: { has: { z0: '.9' }, tip: { z0: '.1' }, cr: {} } },
      { a: 'start without a0', b: 'waits for .1 on a', z: 'waits for .1 on a' },
    ],
    [
      'the first by name frees its address, also where another node waits for the circle',
      {
        a: { has: { a0: '.9' }, tip: { a0: '.4' }, cr: {} },
        b: { has: { b0: '.2' }, tip: { b0: '.4' } },
        d: { has: { d0: '.4' }, tip: { d0: '.2' } },
      },
      { a: 'waits for .4 on d', b: 'start without b0', d: 'waits for .2 on b' },
    ],
    [
      'the node that failed frees its address first: if that fails too, nobody has lost anything',
      { ...swap, b: failed('b', swap.b) },
      { a: 'waits for .2 on b', b: 'start without b0' },
    ],
  ])('%s', (_, setups, expected) => {
    expect(verdicts(plan(setups))).toEqual(expected);
  });
});

describe('who waits for a person', () => {
  const mover = { a: { has: { a0: '.1' }, tip: {} }, b: { has: {}, tip: { b0: '.1' } } };
  test.each<[string, Record<string, Setup>, Record<string, string>]>([
    [
      'a paused holder',
      { ...mover, a: { ...mover.a, ...paused } },
      { a: 'Paused', b: 'waits for .1 on a, stuck' },
    ],
    [
      'a holder that is not ready',
      { ...mover, a: { ...mover.a, more: { ready: false } } },
      { a: 'NotReady', b: 'waits for .1 on a, stuck' },
    ],
    [
      'a holder that backs off goes on by itself',
      {
        ...mover,
        a: {
          ...mover.a,
          more: {
            history: failed('a', mover.a).more!.history!.map((run, at) =>
              at === 0 ? { ...run, time: T0 } : run,
            ),
          },
        },
      },
      { a: 'BackingOff', b: 'waits for .1 on a' },
    ],
    [
      'a holder that is gone for good is not waited for',
      { ...mover, a: { ...mover.a, more: { ready: false, gone: true } } },
      { a: 'NotReady', b: 'start' },
    ],
    [
      'a held holder: its tip keeps what the CR took',
      { ...mover, a: { has: { a0: '.1' }, tip: { a0: '.1' }, cr: {} } },
      { a: 'UpToDate', b: 'waits for .1 on a, kept, stuck' },
    ],
    [
      'one of two swapped nodes was rolled back',
      {
        a: { has: { a0: '.2' }, tip: { a0: '.1' }, cr: { a0: '.2' } },
        b: { has: { b0: '.1' }, tip: { b0: '.1' } },
      },
      { a: 'waits for .1 on b, kept, stuck', b: 'UpToDate' },
    ],
    [
      'both were rolled back: a swap again',
      {
        a: { has: { a0: '.2' }, tip: { a0: '.1' }, cr: { a0: '.2' } },
        b: { has: { b0: '.1' }, tip: { b0: '.2' }, cr: { b0: '.1' } },
      },
      { a: 'start without a0', b: 'waits for .2 on a' },
    ],
    [
      'a circle through a paused node is not opened',
      { ...swap, b: { ...swap.b, ...paused } },
      { a: 'waits for .2 on b, stuck', b: 'Paused' },
    ],
    [
      'a circle with a way to a paused node is not opened',
      {
        a: { has: { a0: '.1' }, tip: { a0: '.2', a1: '.9' } },
        b: { has: { b0: '.2' }, tip: { b0: '.1' } },
        c: { has: { c0: '.9' }, tip: {}, ...paused },
      },
      { a: 'waits for .9 on c, stuck', b: 'waits for .1 on a, stuck', c: 'Paused' },
    ],
    [
      'an address that the CRs give to two nodes: networks may overlap',
      { a: { has: { a0: '.1' }, tip: { a0: '.1' } }, b: { has: {}, tip: { b0: '.1' } } },
      { a: 'UpToDate', b: 'start' },
    ],
    [
      'a retry asks the network where a person would have to act',
      {
        a: { has: { a0: '.1' }, tip: { a0: '.1' }, cr: {} },
        b: asking('b', { has: {}, tip: { b0: '.1' } }),
      },
      { a: 'UpToDate', b: 'start' },
    ],
    [
      'a retry in a circle waits like everybody',
      { ...swap, b: asking('b', swap.b) },
      { a: 'start without a0', b: 'waits for .1 on a' },
    ],
    [
      'two nodes that get one address in one plan: the second waits',
      {
        a: { has: {}, tip: { a0: '.1' } },
        b: { has: {}, tip: { b0: '.1' }, cr: {} },
      },
      { a: 'start', b: 'waits for .1 on a, kept' },
    ],
    [
      'a run whose end nobody knows may have put its commit on the host',
      {
        a: failed('a', { has: { a0: '.1' }, tip: { a0: '.2' }, mayHave: ['.2'] }, 'Unknown'),
        b: { has: {}, tip: { b0: '.2' }, cr: {} },
      },
      { a: 'start', b: 'waits for .2 on a, kept, stuck' },
    ],
  ])('%s', (_, setups, expected) => {
    expect(verdicts(plan(setups))).toEqual(expected);
  });
});

const job = (name: string, phase: JobStatus['phase'], commit: string): JobStatus => ({
  name: `multinic-agent-i-${name}-20231114221320`,
  node: name,
  commit,
  attempt: 1,
  phase,
});
const tipOf = (name: 'a' | 'b'): string => node(name, swap[name]).tip;

describe('jobs', () => {
  test('a run that frees an address stays while it waits', () => {
    const planned = plan(swap, [job('a', 'waiting', tipOf('a'))]);
    expect(planned.withdraw).toEqual([]);
    expect(verdicts(planned)).toEqual({ a: 'Waiting', b: 'waits for .1 on a' });
  });

  test('while it runs, nobody else frees an address', () => {
    const planned = plan(swap, [job('a', 'running', tipOf('a'))]);
    expect(verdicts(planned)).toEqual({ a: 'Running', b: 'waits for .1 on a' });
  });

  test('a job that waits is withdrawn when its node has to wait', () => {
    const planned = plan(swap, [job('b', 'waiting', tipOf('b'))]);
    expect(planned.withdraw).toEqual([job('b', 'waiting', tipOf('b')).name]);
    expect(verdicts(planned)).toEqual({ a: 'start without a0', b: 'waits for .1 on a' });
  });
});

test('a run that left NICs out is no attempt, and takes no failure of its commit back', () => {
  const before = failed('a', { ...swap.a, has: {} });
  const [failure, applied] = before.more!.history!;
  const freed: RunRecord = { ...failure!, result: 'Pending', leftOut: ['a0'], time: T0 };
  const facts = node('a', { ...swap.a, has: {}, more: { history: [freed, failure!, applied!] } });
  const { start } = planJobs([facts], [], DEFAULT_POLICY, NOW);
  expect(start).toMatchObject([{ attempt: 2, commit: facts.tip, expectedRecord: facts.tip }]);
  expect(start[0]).not.toHaveProperty('leaveOut');
  const alone = planJobs([facts, node('z', swap.b)], [], { ...DEFAULT_POLICY, stopAfter: 1 }, NOW);
  expect(verdicts(alone)).toEqual({ a: 'start', z: 'ChangeStopped' });
});

describe('the index of addresses', () => {
  test('follows what hosts have', () => {
    const holders = new AddressHolders();
    const first = new Set(['.1', '.2']);
    holders.set('a', first);
    holders.set('a', first);
    holders.set('b', new Set(['.2']));
    expect([...holders.of('.2')]).toEqual(['a', 'b']);
    holders.set('a', new Set(['.3']));
    expect([[...holders.of('.1')], [...holders.of('.2')], [...holders.of('.3')]]).toEqual([[], ['b'], ['a']]);
    holders.keep(new Set(['a']));
    expect([[...holders.of('.2')], [...holders.of('.3')]]).toEqual([[], ['a']]);
  });
});

/** Hosts that run what a plan starts, in any order, with agents that are killed at any step. */
class World {
  readonly hosts = new Map<string, Map<string, string>>();
  readonly #tips: Readonly<Record<string, Nics>>;
  readonly #histories = new Map<string, (RunRecord & { nics: Nics })[]>();
  readonly #jobs = new Map<string, JobStatus & { leaveOut: readonly string[]; step: number }>();
  #now = NOW;
  runs = 0;

  constructor(before: Readonly<Record<string, Nics>>, tips: Readonly<Record<string, Nics>>) {
    this.#tips = tips;
    for (const [name, has] of Object.entries(before)) {
      this.hosts.set(name, new Map(Object.entries(has)));
      this.#histories.set(name, [{ ...node(name, { has, tip: has }).history[0]!, nics: has }]);
    }
  }

  get isDone(): boolean {
    return (
      this.#jobs.size === 0 &&
      [...this.hosts].every(([name, nics]) => {
        const tip = this.#tips[name]!;
        return treeOf(Object.fromEntries(nics)) === treeOf(tip) && this.#known(name) === treeOf(tip);
      })
    );
  }

  /** One pass of the controller; then one job goes on. */
  pass(pick: number, isKilled: boolean): void {
    this.#now += 60_000;
    const holders = new AddressHolders();
    const nodes = Object.entries(this.#tips).map(([name, tip]) => {
      const history = this.#histories.get(name)!;
      const known = history.find(({ result }) => result !== 'Unknown')!;
      const unknown = history.slice(0, history.indexOf(known)).flatMap(({ nics }) => Object.values(nics));
      const job = this.#jobs.has(name) ? Object.values(tip) : [];
      holders.set(name, new Set([...Object.values(known.nics), ...unknown, ...job]));
      return node(name, { has: known.nics, tip, more: { history } });
    });
    const { start, withdraw } = planJobs(nodes, [...this.#jobs.values()], DEFAULT_POLICY, this.#now, holders);
    for (const [name, job] of this.#jobs) if (withdraw.includes(job.name)) this.#jobs.delete(name);
    for (const { name, node: of, commit, attempt, leaveOut = [] } of start) {
      this.runs += 1;
      this.#jobs.set(of, { name, node: of, commit, attempt, phase: 'waiting', leaveOut, step: 0 });
    }
    const names = [...this.#jobs.keys()];
    if (names.length > 0) this.#goOn(names[pick % names.length]!, isKilled);
  }

  #known(name: string): string {
    return this.#histories.get(name)!.find(({ result }) => result !== 'Unknown')!.tree;
  }

  /** A run has three steps: it drops old addresses, adds new ones, and reports. */
  #goOn(name: string, isKilled: boolean): void {
    const job = this.#jobs.get(name)!;
    const tip = Object.fromEntries(
      Object.entries(this.#tips[name]!).filter(([mac]) => !job.leaveOut.includes(mac)),
    );
    const host = this.hosts.get(name)!;
    this.#jobs.set(name, { ...job, phase: 'running', step: job.step + 1 });
    if (job.step === 0) for (const [mac, address] of host) if (tip[mac] !== address) host.delete(mac);
    if (job.step === 1) for (const [mac, address] of Object.entries(tip)) this.#add(name, mac, address);
    if (!isKilled && job.step < 2) return;
    this.#jobs.delete(name);
    const history = this.#histories.get(name)!;
    const left = job.leaveOut.length > 0 ? { leftOut: job.leaveOut } : {};
    const { tree } = history[0]!;
    history.unshift({
      ...history[0]!,
      ...(isKilled
        ? { result: 'Unknown' as const, tree, nics: this.#tips[name]! }
        : {
            result: left.leftOut ? ('Pending' as const) : ('Applied' as const),
            tree: treeOf(tip),
            nics: tip,
          }),
      ...left,
      tried: job.commit as Oid,
      time: this.#now / 1000,
      job: job.name,
      stamp: (history[0]!.stamp ?? T0) + 1,
    });
  }

  #add(name: string, mac: string, address: string): void {
    for (const [other, nics] of this.hosts) {
      if (other !== name && [...nics.values()].includes(address))
        throw new Error(`${address} is on ${name} and ${other}`);
    }
    this.hosts.get(name)!.set(mac, address);
  }
}

describe('any permutation converges, and no two hosts ever have one address', () => {
  test.each([0, 4])('with %d agents that are killed', (kills) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }).chain((size) =>
          fc.record({
            after: fc.shuffledSubarray([...Array(size).keys()], { minLength: size }),
            perNode: fc.integer({ min: 1, max: 3 }),
            picks: fc.array(fc.nat(1000), { minLength: 30, maxLength: 30 }),
            killed: fc.uniqueArray(fc.nat(25), { minLength: kills, maxLength: kills }),
          }),
        ),
        ({ after, perNode, picks, killed }) => {
          const deal = (values: readonly number[]): Record<string, Nics> => {
            const nodes: Record<string, Record<string, string>> = {};
            for (const [at, value] of values.entries())
              (nodes[`n${Math.floor(at / perNode)}`] ??= {})[`mac${at}`] = `.${value}`;
            return nodes;
          };
          const world = new World(deal(after.map((_, at) => at)), deal(after));
          for (let at = 0; !world.isDone; at += 1) {
            expect(at, 'passes').toBeLessThan(1000);
            world.pass(picks[at % picks.length]!, killed.includes(at));
          }
          // Without kills each node runs twice at most.
          expect(world.runs).toBeLessThanOrEqual(2 * world.hosts.size + (kills > 0 ? 1000 : 0));
        },
      ),
      { numRuns: 300 },
    );
  });
});
