// Events for people: the differences between two passes.

import { formatProblem } from '../api/errors.ts';
import type { ConfigRef } from '../network/node.ts';
import { formatConfigRef } from '../history/commit-format.ts';
import { driftOf } from '../scheduler/drift.ts';
import { runs } from '../scheduler/due.ts';
import { describeStorm, differencesOf } from './drift-words.ts';
import type { ControllerEvent } from './sink-port.ts';
import { allViews, type NodeView, type Snapshot } from './config-status.ts';

/** Events between two snapshots; without an earlier one, an event for each present problem. */
export function eventsBetween(before: Snapshot | undefined, after: Snapshot): ControllerEvent[] {
  return [
    ...mirrorEvents(before, after),
    ...configEvents(before, after),
    ...driftEvents(before, after),
    ...nodeEvents(before, after),
  ];
}

function mirrorEvents(before: Snapshot | undefined, { report }: Snapshot): ControllerEvent[] {
  const events = report.events.map((event): ControllerEvent => ({
    type: 'Normal',
    reason: event.type,
    node: event.node,
    config: event.config,
    message:
      event.type === 'HoldEnded'
        ? `the CR changed this node: the hold ended, ${event.message}`
        : event.message,
  }));
  const stopped = [...report.stopped].filter((node) => !before?.report.stopped.has(node));
  if (stopped.length > 0) {
    const whose =
      stopped.length === 1 ? '1 node would lose all its' : `${stopped.length} nodes would lose all their`;
    const message = `${whose} interfaces (${firstOf(stopped)}): nothing is cleaned until multinic confirm, or until their entries are back`;
    events.push({ type: 'Warning', reason: 'RemovalStopped', message });
  }
  return events;
}

/** The first five names. */
function firstOf(names: readonly string[]): string {
  return names.slice(0, 5).join(', ') + (names.length > 5 ? ', …' : '');
}

function configEvents(before: Snapshot | undefined, { report, listed }: Snapshot): ControllerEvent[] {
  const events: ControllerEvent[] = [];
  for (const [key, problems] of report.invalid) {
    if (JSON.stringify(before?.report.invalid.get(key)) === JSON.stringify(problems)) continue;
    const config = listed.get(key)?.ref;
    events.push({
      type: 'Warning',
      reason: 'InvalidConfig',
      ...(config && { config }),
      message: `${key}: ${problems.map(formatProblem).join('; ')}`,
    });
  }
  const unread = new Set(before?.report.unreadable.map(formatProblem));
  for (const problem of report.unreadable.map(formatProblem)) {
    if (!unread.has(problem)) events.push({ type: 'Warning', reason: 'Unreadable', message: problem });
  }
  for (const [key, reason] of report.doubts) {
    if (before?.report.doubts.get(key) !== reason)
      events.push({
        type: 'Warning',
        reason: 'ListIncomplete',
        message: `${key} is not listed, but may still exist: ${reason}`,
      });
  }
  return events;
}

function nodeEvents(before: Snapshot | undefined, after: Snapshot): ControllerEvent[] {
  const [past, present] = [before === undefined ? [] : allViews(before), allViews(after)];
  if (past === present) return [];
  const known = new Map(without(past, present).map((view) => [keyOf(view), view]));
  const news: NodeNews[] = [];
  const unknown: NodeView[] = [];
  for (const view of without(present, past)) {
    const was = known.get(keyOf(view));
    const common = { node: view.node ?? view.attachedNodeName, ...optionalConfig(view.config) };
    const push = (event: Pick<ControllerEvent, 'type' | 'reason' | 'message'>): void => {
      news.push({ event: { ...common, ...event }, state: view.reason ?? view.state });
    };
    if (view.held && was !== undefined && !was.held)
      push({ type: 'Normal', reason: 'Held', message: view.message ?? 'held' });
    if (view.state === was?.state && view.reason === was.reason) continue;
    if (view.reason === 'NoSuchNode') unknown.push(view);
    // The drift has an event of its own.
    else if (view.reason === 'Drifted' && was !== undefined) continue;
    else if (view.state === 'Failed')
      push({
        type: 'Warning',
        reason: 'NodeFailed',
        message: view.message ?? view.reason ?? 'failed',
      });
    else if (view.state === 'Configured' && was !== undefined && was.state !== 'Configured') {
      push({
        type: 'Normal',
        reason: was.state === 'Failed' || failedBefore(after, view) ? 'Recovered' : 'Configured',
        message: `configured at ${view.appliedCommit?.slice(0, 10) ?? 'no commit'}`,
      });
    } else if (view.state === 'Pending' && view.message !== undefined)
      push({ type: 'Normal', reason: view.reason ?? 'Pending', message: view.message });
  }
  return [...gather(news), ...unknownNodes(unknown)];
}

/** An event of one node, with the reason of the node's state. */
interface NodeNews {
  readonly event: ControllerEvent & { readonly node: string };
  readonly state: string;
}

/** Largest number of nodes of one CR with an event each for the same reason in the same pass. */
const MAX_EACH = 5;

/** One event for many nodes that come to the same reason together: a thousand may be paused or lost at once. */
function gather(news: readonly NodeNews[]): ControllerEvent[] {
  const groups = Map.groupBy(news, ({ event: { config, reason }, state }) =>
    JSON.stringify([config, reason, state]),
  );
  return [...groups.values()].flatMap((group) => {
    const [{ event }] = group as [NodeNews];
    if (group.length <= MAX_EACH) return group.map((each) => each.event);
    const { node, ...common } = event;
    const names = firstOf(group.map((each) => each.event.node));
    return { ...common, message: `${group.length} nodes (${names}), the first: ${event.message}` };
  });
}

/** Views that are not in another list. The view of a node that did not change is the same object. */
function without(views: readonly NodeView[], others: readonly NodeView[]): NodeView[] {
  const same = new Set(others);
  return views.filter((view) => !same.has(view));
}

/** Drifts that came since, and the stop of repairs. */
function driftEvents(before: Snapshot | undefined, after: Snapshot): ControllerEvent[] {
  if (before === undefined) return [];
  const events: ControllerEvent[] = [];
  for (const [node, { history }] of after.facts) {
    if (history === before.facts.get(node)?.history) continue;
    const drift = driftOf(history);
    if (drift === undefined || driftOf(before.facts.get(node)?.history ?? [])?.oid === drift.oid) continue;
    events.push({
      type: 'Warning',
      reason: 'Drifted',
      node,
      ...optionalConfig(sourceOf(after, node)),
      message: `the host no longer has what was applied: ${differencesOf(history)}`,
    });
  }
  if (after.repairs?.stopped === true && before.repairs?.stopped !== true)
    events.push({
      type: 'Warning',
      reason: 'RepairsStopped',
      message: `nothing is repaired, because ${describeStorm(after.repairs)}: look at multinic drift, then run multinic confirm repairs`,
    });
  return events;
}

function sourceOf({ report }: Snapshot, node: string): string | undefined {
  const source = report.branches.get(node)?.node.source;
  return source && formatConfigRef(source);
}

/** One event for each CR: a CR may name a thousand nodes that have not joined yet. */
function unknownNodes(views: readonly NodeView[]): ControllerEvent[] {
  const byConfig = Map.groupBy(views, ({ config }) => config);
  return [...byConfig].map(([config, [first, ...more]]) => {
    const { attachedNodeName, message } = first!;
    const names = [first!, ...more].map((view) => view.attachedNodeName || view.attachedNodeId);
    return {
      ...optionalConfig(config),
      ...(more.length === 0 && { node: attachedNodeName }),
      type: 'Normal',
      reason: 'NoSuchNode',
      message:
        more.length === 0
          ? (message ?? 'NoSuchNode')
          : `${names.length} nodes are unknown (${firstOf(names)}): each is configured when it joins`,
    };
  });
}

/**
 * Whether a node recovered. The states alone do not show this, because the node is InProgress between failure and
 * success.
 */
function failedBefore({ facts }: Snapshot, { node = '' }: NodeView): boolean {
  const found = facts.get(node);
  const before = found && runs(found)[1]?.result;
  return before === 'Failed' || before === 'Unknown';
}

function keyOf(view: NodeView): string {
  return `${view.config}/${view.attachedNodeId}`;
}

function optionalConfig(key: string | undefined): { config?: ConfigRef } {
  const [group, namespace, name] = key?.split('/') ?? [];
  return group && namespace && name ? { config: { group, namespace, name } } : {};
}
