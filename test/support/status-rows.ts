// The table of conditions: states and reasons of nodes, and how other programs have to read the status of their CR.
import type { JudgedNode } from '../../src/controller/condition.ts';

type Nodes = Readonly<Record<string, Omit<JudgedNode, 'attachedNodeId' | 'attachedNodeName'>>>;

export interface StatusRow {
  readonly name: string;
  readonly nodes: Nodes;
  /** The CR is invalid as a whole. */
  readonly invalid?: true;
  /** The controller has seen an earlier generation only. */
  readonly behind?: true;
  readonly kstatus: 'Current' | 'InProgress' | 'Failed';
  readonly argo: 'Healthy' | 'Progressing' | 'Degraded' | 'Suspended';
}

const done = { state: 'Configured' } as const;
const held = { state: 'Configured', reason: 'Held', held: true } as const;
const running = { state: 'InProgress', reason: 'Running' } as const;
const notStarting = { state: 'InProgress', reason: 'JobNotStarting' } as const;
const queued = { state: 'Pending', reason: 'Queued' } as const;
const retried = { state: 'Failed', reason: 'VerifyFailed', waitsFor: 'time' } as const;
const lacking = { state: 'Pending', reason: 'InterfacesMissing', waitsFor: 'time' } as const;
const absent = { state: 'Pending', reason: 'NoSuchNode' } as const;
const notReady = { state: 'Pending', reason: 'NodeNotReady' } as const;
const paused = { state: 'Pending', reason: 'Paused', paused: true } as const;
const givenUp = { state: 'Failed', reason: 'VerifyFailed', waitsFor: 'person' } as const;
const badEntry = { state: 'Failed', reason: 'InvalidEntry' } as const;
const stopped = { state: 'Pending', reason: 'RemovalStopped' } as const;
const changeStopped = { state: 'Pending', reason: 'ChangeStopped' } as const;

const well = { kstatus: 'Current', argo: 'Healthy' } as const;
const moves = { kstatus: 'InProgress', argo: 'Progressing' } as const;
const stuck = { kstatus: 'Failed', argo: 'Degraded' } as const;
/**
 * kstatus has no state for a paused node. The node is in progress, so a program keeps waiting until the person resumes
 * it.
 */
const rests = { kstatus: 'InProgress', argo: 'Suspended' } as const;

export const STATUS_ROWS: readonly StatusRow[] = [
  { name: 'all configured', nodes: { a: done, b: done }, ...well },
  { name: 'no nodes', nodes: {}, ...well },
  { name: 'one held', nodes: { a: done, b: held }, ...well },
  { name: 'a run', nodes: { a: done, b: running }, ...moves },
  { name: 'a pod that does not start', nodes: { a: notStarting }, ...moves },
  { name: 'a node in the queue', nodes: { a: queued }, ...moves },
  { name: 'a failure that is tried again', nodes: { a: done, b: retried }, ...moves },
  { name: 'missing NICs that are looked for again', nodes: { a: lacking }, ...moves },
  { name: 'a node that has not joined yet', nodes: { a: done, b: absent }, ...moves },
  { name: 'a node that is not ready', nodes: { a: notReady }, ...moves },
  { name: 'one given up, another runs', nodes: { a: givenUp, b: running }, ...moves },
  { name: 'one given up, another is tried again', nodes: { a: givenUp, b: retried }, ...moves },
  { name: 'one given up', nodes: { a: done, b: givenUp }, ...stuck },
  { name: 'a bad entry', nodes: { a: badEntry, b: done }, ...stuck },
  { name: 'a stopped removal', nodes: { a: stopped }, ...stuck },
  { name: 'a stopped change', nodes: { a: changeStopped, b: done }, ...stuck },
  { name: 'a node that did not join', nodes: { a: { ...absent, waitsFor: 'person' } }, ...stuck },
  { name: 'one paused', nodes: { a: done, b: paused }, ...rests },
  { name: 'one paused, another runs', nodes: { a: paused, b: running }, ...moves },
  { name: 'one paused, another waits for a person', nodes: { a: paused, b: stopped }, ...stuck },
  { name: 'invalid as a whole', nodes: { a: running }, invalid: true, ...stuck },
  { name: 'an edit that is not seen yet', nodes: { a: done }, behind: true, ...moves },
];
