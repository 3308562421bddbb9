// Derives the conditions of a CR from the states of its nodes. Pure.

import { formatProblem, type Problem } from '../api/errors.ts';
import type { Condition, NodeStatus } from '../api/status.ts';
import { plural } from '../network/text.ts';
import { factsOf, type AnyReason } from '../api/reasons/reasons.ts';

/** A node's status, with the way in which its state ends. */
export interface JudgedNode extends NodeStatus {
  /** Whether time alone ends the state, or a person has to. Absent: the table of reasons decides. */
  readonly waitsFor?: 'time' | 'person';
}

/** moves: work goes on or backs off. stuck: a person has to act. rests: neither. */
export type Activity = 'moves' | 'stuck' | 'rests';

/** A paused node rests, because a person asked for the pause. */
export function activityOf({ state, reason, waitsFor }: JudgedNode): Activity {
  if (state === 'Configured' || reason === 'Paused') return 'rests';
  if (state === 'InProgress' || waitsFor === 'time') return 'moves';
  if (waitsFor === 'person') return 'stuck';
  return factsOf(reason)?.retry === 'itself' ? 'moves' : 'stuck';
}

export type Judgement = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** A line of a condition's table: when the line applies, and the condition that it gives. */
type Line = readonly [when: boolean, status: 'True' | 'False', reason: AnyReason, message: string];

/**
 * Reconciling and Stalled are never both True: Reconciling while anything moves or backs off, else Stalled while a
 * person has to act.
 * @param invalid why the CR is invalid as a whole
 * @param nodes all nodes of the CR
 */
export function conditionsOf(
  nodes: readonly JudgedNode[],
  invalid: readonly Problem[] | undefined,
  warnings: readonly Problem[],
): Judgement[] {
  const total = nodes.length;
  const by = Map.groupBy(nodes, activityOf);
  const moving = by.get('moves') ?? [];
  const stuck = by.get('stuck') ?? [];
  const configured = nodes.filter(({ state }) => state === 'Configured');
  const held = configured.filter((node) => node.held);
  const failed = nodes.filter(({ state }) => state === 'Failed');
  const paused = nodes.filter(({ reason }) => reason === 'Paused');

  const isInvalid = invalid !== undefined;
  const refusal = `${describeProblems(invalid ?? [])}. Nothing was changed`;
  const applied = configured.length === total;
  const moves = moving.length > 0;
  const isStuck = !moves && stuck.length > 0;
  const retrying = moving.every(({ state }) => state === 'Failed');
  const progress = share(configured, total, 'is configured', 'are configured');
  const note = warnings.length === 0 ? '' : `. Warning: ${describeProblems(warnings)}`;

  return [
    firstThatApplies('Ready', [
      [isInvalid, 'False', 'InvalidConfig', refusal],
      [
        failed.length > 0,
        'False',
        'NodesFailed',
        `${share(failed, total, 'failed', 'failed')}. ${first(failed)}${note}`,
      ],
      [
        paused.length > 0,
        'False',
        'NodesPaused',
        `${nodesAre(paused.length)} paused with changes that are not applied${note}`,
      ],
      [moves, 'False', 'Progressing', `${progress}. ${first(moving)}${note}`],
      [isStuck, 'False', 'NodesWaiting', `${progress}. ${first(stuck)}${note}`],
      [
        held.length > 0,
        'True',
        'NodesHeld',
        `${share(held, total, 'is held', 'are held')} by a rollback or an edit${note}`,
      ],
      [true, 'True', 'Applied', `${nodesAre(total)} configured${note}`],
    ]),
    firstThatApplies('Reconciling', [
      [isInvalid, 'False', 'InvalidConfig', refusal],
      [
        moves,
        'True',
        retrying ? 'Retrying' : 'NodesOnTheirWay',
        `${share(moving, total, 'is in progress', 'are in progress')}. ${first(moving)}`,
      ],
      [isStuck, 'False', 'NodesWaiting', `no node makes progress by itself. ${first(stuck)}`],
      [paused.length > 0, 'False', 'NodesPaused', `no node makes progress by itself. ${first(paused)}`],
      [true, 'False', 'Settled', 'no node is in progress'],
    ]),
    firstThatApplies('Stalled', [
      [isInvalid, 'True', 'InvalidConfig', refusal],
      [
        isStuck,
        'True',
        stuck[0]?.reason ?? 'NodesWaiting',
        `${share(stuck, total, 'waits', 'wait')} for a person. ${first(stuck)}`,
      ],
      [true, 'False', 'NotStalled', 'no node waits for a person, or other nodes are still in progress'],
    ]),
    firstThatApplies('InProgress', [
      [isInvalid, 'False', 'InvalidConfig', refusal],
      [
        moves,
        'True',
        'ProcessingNodes',
        `Processing network configurations for ${plural(moving.length, 'node')}`,
      ],
      [applied, 'False', 'Completed', 'All nodes have been processed'],
      [true, 'False', 'Stopped', 'No node is being processed'],
    ]),
    firstThatApplies('Applied', [
      [isInvalid, 'False', 'InvalidConfig', refusal],
      [applied, 'True', 'AllNodesConfigured', progress],
      [true, 'False', 'NodesOutstanding', progress],
    ]),
  ];
}

/** `1 of 4 nodes is held`, `2 of 4 nodes are held`. */
function share({ length }: readonly unknown[], total: number, one: string, many: string): string {
  return `${length} of ${plural(total, 'node')} ${length === 1 || total === 1 ? one : many}`;
}

/** `1 node is`, `2 nodes are`. */
function nodesAre(count: number): string {
  return `${plural(count, 'node')} ${count === 1 ? 'is' : 'are'}`;
}

function firstThatApplies(type: Condition['type'], lines: readonly Line[]): Judgement {
  const [, status, reason, message] = lines.find(([when]) => when)!;
  return { type, status, reason, message };
}

/** Name and message of the first of several nodes; empty if there is none. */
function first([node]: readonly JudgedNode[]): string {
  return node === undefined ? '' : `${nameOf(node)}: ${node.message ?? node.reason ?? node.state}`;
}

export function nameOf(node: JudgedNode): string {
  return node.attachedNodeName || node.attachedNodeId;
}

export function describeProblems(problems: readonly Problem[]): string {
  const shown = problems.slice(0, 3).map(formatProblem).join('; ');
  return problems.length > 3 ? `${shown}; and ${problems.length - 3} more` : shown;
}
