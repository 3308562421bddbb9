import type { Oid } from '../../src/api/oid.ts';
import { oid } from './oid.ts';
import type { Entry } from '../../src/mirror/node-entry.ts';
import type { Rejection } from '../../src/mirror/claim.ts';
import type { MirrorReport } from '../../src/mirror/mirror.ts';
import type { Branch } from '../../src/history/node-branch.ts';
import type { Snapshot } from '../../src/controller/config-status.ts';
import type { Decision, NodeFacts, RunRecord } from '../../src/scheduler/due.ts';
import type { JobStatus } from '../../src/scheduler/job-port.ts';
import type { Commit } from '../../src/store/model/store-port.ts';

export const CONFIG = { group: 'multinic.io', namespace: 'ns', name: 'cr' };
export const KEY = 'multinic.io/ns/cr';
/** Seconds since 1970. */
export const T0 = 1_700_000_000;
const PERSON = { name: 'alice', email: 'alice@example.org', time: T0 };

/** Facts of a pass about one node of the CR; without a decision the node has no branch. */
export interface NodeSetup {
  readonly decision?: Decision;
  /** The reason why the entry has no node. */
  readonly rejection?: Rejection;
  /** Problem of the entry. */
  readonly problem?: string;
  /** The CR no longer has an entry for the node. */
  readonly entryGone?: boolean;
  readonly held?: boolean;
  readonly stopped?: boolean;
  readonly facts?: Partial<NodeFacts>;
  readonly job?: JobStatus;
}

/** The snapshot of a pass over these nodes of one CR. */
export function snapshotOf(nodes: Record<string, NodeSetup>, report: Partial<MirrorReport> = {}): Snapshot {
  const setups = Object.entries(nodes);
  const branched = setups.filter(([, { decision }]) => decision !== undefined);
  const entries = new Map(
    setups.filter(([, { entryGone }]) => !entryGone).map(([name, setup]) => [name, entryOf(name, setup)]),
  );
  const config = { ref: CONFIG, uid: 'u', generation: 2, annotations: {}, rest: {}, entries, text: '' };
  return {
    report: {
      main: { commit: oid('m'.repeat(40)), configs: new Map([[KEY, config]]) },
      claims: {
        byEntry: new Map(
          [...entries].map(([name, entry]) => [entry, nodes[name]!.rejection ?? { node: name }]),
        ),
        byNode: new Map([...entries].map(([name, entry]) => [name, { config, entry }])),
        unclear: new Set(),
      },
      branches: new Map(branched.map(([name, setup]) => [name, branchOf(name, setup)])),
      problems: new Map(),
      stopped: new Set(setups.filter(([, { stopped }]) => stopped).map(([name]) => name)),
      events: [],
      invalid: new Map(),
      warnings: new Map(),
      unreadable: [],
      doubts: new Map(),
      behind: new Set(),
      retired: 0,
      ...report,
    },
    mainTime: T0,
    facts: new Map(branched.map(([name, { facts }]) => [name, factsOf(name, facts)])),
    decisions: new Map(branched.map(([name, { decision }]) => [name, decision!])),
    jobs: setups.flatMap(([, { job }]) => job ?? []),
    listed: new Map([[KEY, { ref: CONFIG, generation: 2, specHash: 'hash' }]]),
  };
}

/** A run of a node's tip. */
export function runOf(name: string, result: RunRecord['result'], more: Partial<RunRecord> = {}): RunRecord {
  return {
    oid: oid('o'.repeat(40)),
    time: T0,
    result,
    tried: tipOf(name),
    attempt: 1,
    tree: oid('t'),
    missing: [],
    found: [],
    ...more,
  };
}

export function tipOf(name: string): Oid {
  return oid(name);
}

function entryOf(name: string, { problem }: NodeSetup): Entry {
  const path = `spec.nodeConfigs[${name}]`;
  const problems = problem === undefined ? [] : [{ path, code: 'InvalidField' as const, message: problem }];
  return { key: `i-${name}`, nodeId: `i-${name}`, nodeName: name, problems, json: '', text: '' };
}

function factsOf(name: string, more: Partial<NodeFacts> = {}): NodeFacts {
  return {
    name,
    nodeId: `i-${name}`,
    tip: tipOf(name),
    tipTime: T0,
    tipTree: oid('t'),
    wanted: true,
    machineId: 'machine',
    systemUUID: 'system',
    bootID: 'boot',
    ready: true,
    paused: false,
    history: [],
    ...more,
  };
}

function branchOf(name: string, { held }: NodeSetup): Branch {
  const tip: Commit = {
    oid: tipOf(name),
    tree: oid('t'),
    parents: [],
    author: PERSON,
    committer: PERSON,
    subject: '',
    body: '',
    trailers: [],
  };
  return {
    name,
    tip,
    anchor: tip,
    node: {
      name,
      systemUUID: 'u',
      machineId: 'machine',
      nodeId: `i-${name}`,
      os: { family: 'ubuntu', major: 22 },
      renderer: 'netplan',
      source: CONFIG,
    },
    network: [],
    base: { network: [] },
    tree: oid('t'),
    ...(held && { hold: { commit: tip.oid, author: PERSON, since: T0 } }),
  };
}
