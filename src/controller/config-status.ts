// Makes the status of a CR and its nodes from what a pass found. Pure.

import type { Condition, ConfigStatus, NodeState, NodeStatus } from '../api/status.ts';
import type { Branch } from '../history/node-branch.ts';
import type { Oid } from '../api/oid.ts';
import { formatConfigRef } from '../history/commit-format.ts';
import type { ConfigRef } from '../network/node.ts';
import type { Rejection } from '../mirror/claim.ts';
import type { MirrorReport } from '../mirror/mirror.ts';
import type { Entry } from '../mirror/node-entry.ts';
import {
  runs,
  type Decision,
  type EndedRun,
  type NodeFacts,
  type WaitsForAddress,
} from '../scheduler/due.ts';
import { areSame, Derived } from '../scheduler/derived.ts';
import { driftOf, type RepairLimits } from '../scheduler/drift.ts';
import type { JobStatus } from '../scheduler/job-port.ts';
import { describePausedByConfig } from './facts.ts';
import { activityOf, conditionsOf, describeProblems, nameOf, type JudgedNode } from './condition.ts';
import type { Reason } from '../api/reasons/reasons.ts';
import { foundNoStore, isOnHost } from '../history/outcome-branch.ts';
import { describeHold } from '../history/hold.ts';
import { interfacesOf } from './interface-status.ts';
import { describeDrift, describeStop, differencesOf } from './drift-words.ts';
import type { ObservationReport } from './observations.ts';
import type { AddressHolders } from '../scheduler/address-holders.ts';
import { describeHolders, describeWait, MAX_CHAIN } from './address-conflicts.ts';

/** Everything that a pass found. */
export interface Snapshot {
  readonly report: MirrorReport;
  /** Time of main's newest commit, seconds since 1970. */
  readonly mainTime: number;
  readonly facts: ReadonlyMap<string, NodeFacts>;
  readonly decisions: ReadonlyMap<string, Decision>;
  readonly jobs: readonly JobStatus[];
  /** The nodes that may have an address; absent: no addresses are known. */
  readonly holders?: Pick<AddressHolders, 'of'>;
  /** Generation and spec hash of every listed CR, by `group/namespace/name`. */
  readonly listed: ReadonlyMap<string, ListedConfig>;
  /** Whether repairs go on. */
  readonly repairs?: RepairLimits;
  readonly observing?: ObservationReport;
  /** Newest commit of each node's outcome branch, by its ref; absent: no outcome branch is known. */
  readonly happened?: ReadonlyMap<string, Oid>;
}

export interface ListedConfig {
  readonly ref: ConfigRef;
  readonly generation: number;
  readonly specHash?: string;
}

/** A node's state with its reason, as operators see it. */
export interface NodeView extends JudgedNode {
  readonly node?: string;
  readonly config?: string;
  /** No CR names the node, and nothing is wanted or left on it, or it is gone: only its history is kept. */
  readonly historyOnly?: true;
}

type Verdict = Pick<JudgedNode, 'state' | 'reason' | 'message' | 'waitsFor'>;

/** Time after which an absent node no longer counts as joining late. A person then has to look for the node. */
const JOIN_LIMIT_MS = 15 * 60_000;

/** Every node that has an entry, or has anything of ours but its history. */
export function nodeViews(snapshot: Snapshot): NodeView[] {
  return allViews(snapshot).filter(({ historyOnly }) => historyOnly !== true);
}

const jobs = new Derived<Snapshot, ReadonlyMap<string, readonly JobStatus[]>>();

/** The jobs of each node. */
function jobsByNode(snapshot: Snapshot): ReadonlyMap<string, readonly JobStatus[]> {
  return jobs.of(snapshot, [], () => Map.groupBy(snapshot.jobs, ({ node }) => node));
}

/** Views of each snapshot: the status, events and streams of a pass all need them. */
const views = new Derived<Snapshot, readonly NodeView[]>();

/** Every node that has an entry or a branch. The view of a node that did not change is the same object as before. */
export function allViews(snapshot: Snapshot): readonly NodeView[] {
  return views.of(snapshot, [], () => viewsOf(snapshot));
}

function viewsOf(snapshot: Snapshot): readonly NodeView[] {
  const { report } = snapshot;
  const found: NodeView[] = [];
  const seen = new Set<string>();
  for (const [key, config] of report.main.configs) {
    for (const entry of config.entries.values()) {
      const claim = report.claims.byEntry.get(entry);
      const node = claim !== undefined && 'node' in claim ? claim.node : undefined;
      if (node !== undefined) seen.add(node);
      const rejection = claim !== undefined && 'code' in claim ? claim : undefined;
      const inputs = [key, rejection?.code, rejection?.message, ...inputsOf(snapshot, node)];
      found.push(viewsOfEntries.of(entry, inputs, () => viewOfEntry(snapshot, key, entry, node, rejection)));
    }
  }
  for (const [name, branch] of report.branches) {
    if (seen.has(name)) continue;
    found.push(viewsOfBranches.of(branch, inputsOf(snapshot, name), () => viewOfBranch(snapshot, branch)));
  }
  const [first] = found;
  return first === undefined ? found : sorted.of(first, found, () => found.toSorted(byName));
}

const viewsOfEntries = new Derived<Entry, NodeView>();
const viewsOfBranches = new Derived<Branch, NodeView>();
const sorted = new Derived<NodeView, readonly NodeView[]>();

/** Everything that the view of a node reads of a snapshot. */
function inputsOf(snapshot: Snapshot, name: string | undefined): unknown[] {
  if (name === undefined) return [];
  const { report, facts, decisions } = snapshot;
  const decision = decisions.get(name);
  return [
    name,
    report.branches.get(name),
    facts.get(name),
    decision,
    report.problems.get(name),
    report.stopped.has(name),
    jobsByNode(snapshot).get(name),
    decision?.due === false && NAMES_OTHERS.has(decision.reason) ? snapshot : undefined,
  ];
}

/** Reasons whose messages name other nodes, so that they may change although nothing about the node did. */
const NAMES_OTHERS: ReadonlySet<(Decision & { due: false })['reason']> = new Set([
  'WaitsForAddress',
  'RepairsStopped',
  'GivenUp',
  'BackingOff',
] as const);

function viewOfEntry(
  snapshot: Snapshot,
  config: string,
  entry: Entry,
  node: string | undefined,
  rejection: Rejection | undefined,
): NodeView {
  const rejected: Verdict | undefined =
    entry.problems.length > 0
      ? { state: 'Failed', reason: 'InvalidEntry', message: describeProblems(entry.problems) }
      : rejection && { state: 'Pending', reason: rejection.code, message: rejection.message };
  return {
    attachedNodeId: entry.nodeId ?? entry.key,
    attachedNodeName: entry.nodeName ?? node ?? '',
    config,
    ...describeNode(snapshot, node, rejected),
  };
}

function viewOfBranch(snapshot: Snapshot, branch: Branch): NodeView {
  const view = {
    attachedNodeId: branch.node.nodeId,
    attachedNodeName: branch.name,
    config: formatConfigRef(branch.node.source),
    ...describeNode(snapshot, branch.name, undefined),
  };
  return isHistory(snapshot, branch, view) ? { ...view, historyOnly: true } : view;
}

function byName(a: NodeView, b: NodeView): number {
  return nameOf(a) < nameOf(b) ? -1 : 1;
}

/**
 * The status of each listed CR that the branches reflect. A node whose entry is gone stays with its CR until it
 * is clean, or gone as well.
 * @param previous keeps transition times where nothing changed
 * @param now milliseconds since 1970
 */
export function configStatuses(
  snapshot: Snapshot,
  previous: ReadonlyMap<string, ConfigStatus>,
  now: number,
): Map<string, ConfigStatus> {
  const byConfig = Map.groupBy(nodeViews(snapshot), (view) => view.config ?? '');
  const statuses = new Map<string, ConfigStatus>();
  for (const [key, listed] of snapshot.listed) {
    // A later pass reports a CR that the branches do not reflect yet.
    if (snapshot.report.behind.has(key)) continue;
    const before = previous.get(key);
    const own = (byConfig.get(key) ?? []).filter((view) => !isGone(snapshot, view));
    statuses.set(key, configStatus(snapshot, listed, awaited(own, before, now), before, now));
  }
  return statuses;
}

/** Notes since when nodes that are not there are waited for, and asks for a person after a while. */
function awaited(
  views: readonly NodeView[],
  previous: ConfigStatus | undefined,
  now: number,
): readonly NodeView[] {
  if (!views.some(isAbsent)) return views;
  const before = new Map(previous?.nodeStatuses.map((status) => [status.attachedNodeId, status]));
  return views.map((view) => {
    if (!isAbsent(view)) return view;
    const waitingSince = before.get(view.attachedNodeId)?.waitingSince ?? timestamp(now);
    const late = now - Date.parse(waitingSince) >= JOIN_LIMIT_MS;
    return { ...view, waitingSince, ...(late && { waitsFor: 'person' }) };
  });
}

function isAbsent({ reason }: NodeView): boolean {
  return reason === 'NoSuchNode' || reason === 'NodeGone';
}

/** RFC 3339 in whole seconds. @param ms milliseconds since 1970 */
function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -5)}Z`;
}

function isGone(snapshot: Snapshot, { node, state }: NodeView): boolean {
  return node !== undefined && !snapshot.report.claims.byNode.has(node) && state === 'Configured';
}

/** Whether only the history of a node counts: no CR names the node, and its host is clean or gone. */
function isHistory(snapshot: Snapshot, { name, network }: Branch, { state }: NodeView): boolean {
  const gone = snapshot.facts.get(name)?.gone === true;
  return network.length === 0 && (state === 'Configured' || (gone && state === 'Pending'));
}

function configStatus(
  snapshot: Snapshot,
  listed: ListedConfig,
  views: readonly NodeView[],
  previous: ConfigStatus | undefined,
  now: number,
): ConfigStatus {
  const key = formatConfigRef(listed.ref);
  const { invalid, warnings } = snapshot.report;
  const own = warnings.get(key) ?? [];
  const { generation, specHash } = listed;
  const inputs = [generation, specHash, invalid.get(key), own.length, ...own, ...views];
  if (previous !== undefined && areSame(madeFrom.get(previous) ?? [], inputs)) return previous;
  const count = (...states: NodeState[]): number =>
    views.filter(({ state }) => states.includes(state)).length;
  const summary = {
    totalNodes: views.length,
    configuredNodes: count('Configured'),
    failedNodes: count('Failed'),
    pendingNodes: count('Pending', 'InProgress'),
    heldNodes: views.filter(({ held }) => held).length,
  };
  const judgements = conditionsOf(views, invalid.get(key), own);
  const conditions = judgements.map((judgement): Condition => {
    const before = previous?.conditions.find(({ type }) => type === judgement.type);
    const lastTransitionTime =
      before?.status === judgement.status ? before.lastTransitionTime : timestamp(now);
    return { ...judgement, observedGeneration: generation, lastTransitionTime };
  });
  const status = {
    observedGeneration: generation,
    ...(specHash !== undefined && { observedSpecHash: specHash }),
    conditions,
    nodeStatuses: views.map((view) => nodeStatus(snapshot, view)),
    summary,
  };
  madeFrom.set(status, inputs);
  return status;
}

/** The inputs of each status. The same inputs make the same status, with the same times of transition. */
const madeFrom = new WeakMap<ConfigStatus, readonly unknown[]>();

const nodeStatuses = new Derived<NodeView, NodeStatus>();

function nodeStatus(snapshot: Snapshot, view: NodeView): NodeStatus {
  const branch = snapshot.report.branches.get(view.node ?? '');
  const facts = snapshot.facts.get(view.node ?? '');
  return nodeStatuses.of(view, [branch, facts], () => {
    const { node: _, config: __, waitsFor: ___, ...status } = view;
    const interfaces = branch && facts ? interfacesOf(branch.network, facts, status) : [];
    return { ...status, ...(interfaces.length > 0 && { interfaces }) };
  });
}

function pending(reason: Reason, message: string): Verdict {
  return { state: 'Pending', reason, message };
}

function describeNode(
  snapshot: Snapshot,
  name: string | undefined,
  rejected: Verdict | undefined,
): Omit<NodeView, 'attachedNodeId' | 'attachedNodeName' | 'config'> {
  const branch = name === undefined ? undefined : snapshot.report.branches.get(name);
  const facts = name === undefined ? undefined : snapshot.facts.get(name);
  if (name === undefined || branch === undefined || facts === undefined) {
    const problem = name === undefined ? undefined : snapshot.report.problems.get(name);
    const verdict: Verdict =
      rejected ??
      (problem
        ? { state: 'Failed', reason: problem.code, message: problem.message }
        : { state: 'Pending', reason: 'NotMirrored' });
    return { ...(name !== undefined && { node: name }), ...verdict };
  }
  const newest = runs(facts)[0];
  const applied = facts.history.find(isOnHost);
  const job = jobsByNode(snapshot)
    .get(name)
    ?.find(({ phase }) => phase !== 'finished');
  // After an undone failure or a rollback the tip's files are on the host, whichever commit brought them there.
  const decision = snapshot.decisions.get(name);
  const upToDate = decision?.due === false && decision.reason === 'UpToDate';
  const atTip = upToDate && newest?.tree === facts.tipTree;
  const appliedCommit = atTip ? branch.tip.oid : applied?.tried;
  const lastJobName = job?.name ?? newest?.job;
  return {
    node: name,
    ...(rejected ?? judgeNode(snapshot, name, branch, facts)),
    desiredCommit: branch.tip.oid,
    ...(appliedCommit !== undefined && { appliedCommit }),
    ...(branch.hold !== undefined && { held: true }),
    ...(facts.paused && { paused: true }),
    ...(driftOf(facts.history) !== undefined && { drifted: true }),
    ...(newest !== undefined && {
      lastProcessed: timestamp(newest.time * 1000),
    }),
    ...(lastJobName !== undefined && { lastJobName }),
  };
}

/** @param chain nodes that wait for this one, and whose messages contain its state */
function judgeNode(
  snapshot: Snapshot,
  name: string,
  branch: Branch,
  facts: NodeFacts,
  chain: readonly string[] = [],
): Verdict {
  const { report, decisions } = snapshot;
  if (report.stopped.has(name)) {
    return pending(
      'RemovalStopped',
      'would lose all its interfaces, which waits for a confirmation: run multinic confirm, or put its entry back',
    );
  }
  const problem = report.problems.get(name);
  if (problem !== undefined) return { state: 'Failed', reason: problem.code, message: problem.message };
  const decision = decisions.get(name);
  const newest = withHolders(snapshot, facts, runs(facts)[0]);
  if (decision === undefined || decision.due) return { state: 'InProgress', reason: 'JobStarting' };
  if (facts.gone === true && (decision.reason === 'UpToDate' || decision.reason === 'NotReady')) {
    return {
      state: 'Pending',
      reason: 'NodeGone',
      message: 'no such node exists now: it is configured when it joins',
    };
  }
  switch (decision.reason) {
    case 'UpToDate':
      return branch.hold === undefined
        ? { state: 'Configured' }
        : { state: 'Configured', reason: 'Held', message: describeHold(branch.hold) };
    case 'NothingWanted':
      return { state: 'Configured', reason: 'NoInterfaces' };
    case 'Waiting':
      return notStarted(snapshot, name);
    case 'Running':
    case 'Recording':
      return { state: 'InProgress', reason: decision.reason };
    case 'InvalidTip':
      return {
        state: 'Failed',
        reason: 'InvalidTip',
        message: `${branch.invalid?.message ?? 'the tip is invalid'}: mend it with multinic release ${name}`,
      };
    case 'NeedsConfirm':
      return {
        state: 'Failed',
        reason: 'NeedsConfirm',
        message: `${newest?.record === null ? 'the host has NICs or files of ours and no record of them' : 'the host was configured by another store'}: run multinic confirm ${name} to let this one take over`,
      };
    case 'GivenUp':
      return givenUp(newest);
    case 'BackingOff':
      return backingOff(newest);
    case 'Paused':
      return paused(name, branch, facts);
    case 'NotReady':
      return notReady(facts);
    case 'ChangeStopped':
      return pending(
        'ChangeStopped',
        `too many nodes failed in this change: look at them, then run multinic confirm ${facts.change?.slice(0, 10) ?? ''}, or multinic retry ${name} for this node alone`,
      );
    case 'Drifted':
    case 'DriftFight':
      return drifted(name, facts, decision.reason);
    case 'RepairsStopped':
      return pending('RepairsStopped', describeStop(facts.history, snapshot.repairs));
    // A pass adopts names before it plans, so the names that are left cannot be adopted.
    case 'Adopt':
      return pending(
        'Adopt',
        `the host's NICs have names that cannot be adopted: look at the host, then run multinic retry ${name}`,
      );
    case 'WaitsForAddress':
      return judgeWait(snapshot, name, decision, chain);
    case 'Queued':
    case 'Withdrawing':
      return { state: 'Pending', reason: decision.reason };
  }
}

function givenUp(newest: EndedRun | undefined): Verdict {
  return {
    state: newest?.result === 'Pending' ? 'Pending' : 'Failed',
    reason: newest?.reason ?? 'GivenUp',
    ...(newest?.message !== undefined && { message: newest.message }),
    waitsFor: 'person',
  };
}

function drifted(name: string, { history }: NodeFacts, reason: 'Drifted' | 'DriftFight'): Verdict {
  return { state: 'Failed', reason, message: describeDrift(name, history, reason) };
}

function notStarted(snapshot: Snapshot, name: string): Verdict {
  const late = jobsByNode(snapshot)
    .get(name)
    ?.find(({ message }) => message !== undefined);
  return late === undefined
    ? { state: 'InProgress', reason: 'Waiting' }
    : { state: 'InProgress', reason: 'JobNotStarting', message: late.message! };
}

function notReady({ problem }: NodeFacts): Verdict {
  return problem === undefined
    ? pending('NodeNotReady', 'the node is not ready: applied when it is back')
    : { ...pending('NodeNotReady', problem), waitsFor: 'person' };
}

function paused(name: string, branch: Branch, { history, pausedByConfig }: NodeFacts): Verdict {
  const waits = driftOf(history) ? `${differencesOf(history)}; nothing is repaired` : 'changes wait';
  const remedy = pausedByConfig
    ? `the node ${describePausedByConfig(branch.node.source)}`
    : `multinic resume ${name}`;
  return pending('Paused', `${waits}: ${remedy}`);
}

/** @param chain nodes that wait for this one */
function judgeWait(
  snapshot: Snapshot,
  name: string,
  wait: WaitsForAddress,
  chain: readonly string[],
): Verdict {
  const isEnd = chain.length >= MAX_CHAIN || chain.includes(wait.holder);
  const branch = isEnd ? undefined : snapshot.report.branches.get(wait.holder);
  const facts = snapshot.facts.get(wait.holder);
  const holder = branch && facts && judgeNode(snapshot, wait.holder, branch, facts, [...chain, name]);
  const isMoving =
    holder !== undefined &&
    activityOf({ ...holder, attachedNodeId: '', attachedNodeName: wait.holder }) === 'moves';
  return {
    ...pending('WaitsForAddress', describeWait(snapshot, name, wait, holder)),
    ...(wait.isStuck && (wait.isKept || !isMoving) && { waitsFor: 'person' }),
  };
}

/**
 * The newest run. If the network says that an address is taken, the run's message also names the nodes that may have
 * this address.
 */
function withHolders(
  snapshot: Snapshot,
  facts: NodeFacts,
  newest: EndedRun | undefined,
): EndedRun | undefined {
  const holders = newest?.reason === 'AddressTaken' ? describeHolders(snapshot, facts) : undefined;
  return newest === undefined || holders === undefined
    ? newest
    : { ...newest, message: [holders, newest.message].filter(Boolean).join(': ') };
}

/** Verdict on a node that backs off. A run that did not reach the store waits, and is no failure. */
function backingOff(newest: EndedRun | undefined): Verdict {
  const failed = newest?.result === 'Failed' && !foundNoStore(newest);
  return {
    state: failed ? 'Failed' : 'Pending',
    waitsFor: 'time',
    reason: newest?.reason ?? newest?.result ?? 'BackingOff',
    ...(newest?.message !== undefined && { message: newest.message }),
  };
}
