// Rate of observations of 5,000 nodes, with a clock that the test moves.

import { oid } from './support/oid.ts';
import { expect, test } from 'vitest';
import type { Decision } from '../src/scheduler/due.ts';
import { Pace, planObservations, type ObservableNode, type Seen } from '../src/scheduler/observe-due.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;
const T0 = 1_700_000_000_000;
const NODES = 5_000;
/** Duration of an observation. */
const LOOK_MS = 5_000;
const A = oid('a'.repeat(40));
const IDLE: Decision = { due: false, reason: 'UpToDate' };
const RUN: Decision = { due: true, attempt: 1, stampSeconds: 1, expectedRecord: A, requested: false };

/** The controller's state of a fleet. `restart` drops the memory; `lose` drops observed.json as well. */
class Fleet {
  now = T0;
  boots = new Map<number, string>();
  readonly seen = new Map<number, Seen>();
  readonly #nodes: ObservableNode[] = [];
  /** Nodes with a run. They are not observed meanwhile. */
  readonly running = new Set<number>();
  readonly startedAt: number[] = [];
  readonly #active = new Map<number, number>();
  #pace = new Pace();
  #began = T0;

  restart(): void {
    this.#pace = new Pace();
    this.#began = this.now;
  }

  lose(): void {
    this.seen.clear();
    this.restart();
  }

  /** Passes every second until a time. */
  runUntil(end: number): void {
    for (let node = 0; node < NODES; node += 1) this.#nodes[node] = this.#node(node);
    for (; this.now < end; this.now += 1000) this.#pass();
  }

  #pass(): void {
    for (const [node, ends] of this.#active) {
      if (ends > this.now) continue;
      this.#active.delete(node);
      this.seen.set(node, { at: this.now, ...idsOf(this.boots.get(node)) });
      this.#nodes[node] = this.#node(node);
    }
    const jobs = [...this.#active.keys()].map((node) => ({ node: String(node) }));
    const policy = { intervalMs: HOUR, began: this.#began };
    const { start } = planObservations(this.#nodes, jobs, this.#pace.allowedAt(this.now), policy, this.now);
    this.#pace.took(start.length);
    for (const { node } of start) {
      if (this.running.has(Number(node.name))) throw new Error(`${node.name} has a run`);
      this.#active.set(Number(node.name), this.now + LOOK_MS);
      this.startedAt.push(this.now);
    }
    if (this.#active.size > 20) throw new Error(`${this.#active.size} at once`);
  }

  #node(index: number): ObservableNode {
    const seen = this.seen.get(index);
    return {
      name: String(index),
      against: A,
      decision: this.running.has(index) ? RUN : IDLE,
      ...idsOf(this.boots.get(index)),
      run: { at: T0 - 1000 * HOUR, ...idsOf(undefined) },
      ...(seen !== undefined && { seen }),
    };
  }
}

function idsOf(boot = 'first'): { bootID: string; machineId: string; systemUUID: string } {
  return { bootID: boot, machineId: 'machine', systemUUID: 'system' };
}

/** Number of starts in the fullest second, and in the fullest minute. */
function fullest(times: readonly number[], ms: number): number {
  const counts = Map.groupBy(times, (time) => Math.floor(time / ms));
  return Math.max(0, ...[...counts.values()].map(({ length }) => length));
}

test('an hourly interval starts at most two observations a second, also after a restart', () => {
  const fleet = new Fleet();
  const startedIn = (minutes: number): number => {
    const before = fleet.startedAt.length;
    fleet.runUntil(fleet.now + minutes * MINUTE);
    return fleet.startedAt.length - before;
  };
  // 5,000 an hour are 250 in three minutes.
  const calm = startedIn(3);
  fleet.restart();
  const afterRestart = startedIn(3);
  fleet.lose();
  const afterLoss = startedIn(3);
  for (const count of [calm, afterRestart, afterLoss]) {
    expect(count).toBeGreaterThan(150);
    expect(count).toBeLessThan(360);
  }
  expect(fullest(fleet.startedAt, 1000)).toBeLessThanOrEqual(2);
}, 120_000);

test('5,000 reboots at once: two observations start each second, and none for nodes with a run', () => {
  const fleet = new Fleet();
  for (let node = 0; node < NODES; node += 1) {
    fleet.seen.set(node, { at: T0 - MINUTE, ...idsOf(undefined) });
    fleet.boots.set(node, 'second');
    if (node % 10 === 0) fleet.running.add(node);
  }
  fleet.runUntil(T0 + 3 * MINUTE);
  expect(fleet.startedAt).toHaveLength(360);
  expect(fullest(fleet.startedAt, 1000)).toBe(2);
  const booted = [...fleet.seen].filter(([, { bootID }]) => bootID === 'second');
  expect(booted.length).toBeGreaterThanOrEqual(340);
}, 120_000);

test('fifty nodes that boot together are observed within a minute', () => {
  const fleet = new Fleet();
  for (let node = 0; node < NODES; node += 1) fleet.seen.set(node, { at: T0 - MINUTE, ...idsOf(undefined) });
  for (let node = 0; node < 50; node += 1) fleet.boots.set(node, 'second');
  fleet.runUntil(T0 + MINUTE);
  expect([...fleet.seen.values()].filter(({ bootID }) => bootID === 'second')).toHaveLength(50);
}, 60_000);
