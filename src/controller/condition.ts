// Derives the conditions of a CR from the states of its nodes. Pure.

import { formatProblem, type Problem } from '../api/errors.ts';
import type { Condition, NodeStatus } from '../api/status.ts';
import type { AnyReason } from '../api/reasons/reasons.ts';

/** A node's status, and whether the node waits for a person. */
export interface JudgedNode extends NodeStatus {
  /** The node stays Pending until a person acts; the message says how. */
  readonly waitsForPerson?: true;
}

export type Judgement = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** A line of a condition's table: when the line applies, and the condition that it gives. */
type Line = readonly [when: boolean, status: 'True' | 'False', reason: AnyReason, message: string];

/**
 * @param invalid why the CR is invalid as a whole
 * @param nodes all nodes of the CR
 */
export function conditionsOf(
  nodes: readonly JudgedNode[],
  invalid: readonly Problem[] | undefined,
  warnings: readonly Problem[],
): Judgement[] {
  const total = nodes.length;
  const configured = nodes.filter(({ state }) => state === 'Configured');
  const held = configured.filter((node) => node.held);
  const failed = nodes.filter(({ state }) => state === 'Failed');
  const pending = nodes.filter(({ state }) => state === 'Pending' || state === 'InProgress');
  const paused = pending.filter((node) => node.paused);
  const waiting = pending.filter((node) => node.waitsForPerson);
  const moving = pending.filter((node) => !node.waitsForPerson);

  const isInvalid = invalid !== undefined;
  const refusal = `${describeProblems(invalid ?? [])}. Nothing was changed`;
  const applied = configured.length === total;
  const progress = `${configured.length} of ${total} nodes are configured`;
  const note = warnings.length === 0 ? '' : `. Warning: ${describeProblems(warnings)}`;
  const settled = moving.length === 0;

  return [
    firstThatApplies('Ready', [
      [isInvalid, 'False', 'InvalidConfig', refusal],
      [
        failed.length > 0,
        'False',
        'NodesFailed',
        `${failed.length} of ${total} nodes failed. ${first(failed)}${note}`,
      ],
      [
        paused.length > 0,
        'False',
        'NodesPaused',
        `${nodesAre(paused.length)} paused with changes that are not applied${note}`,
      ],
      [!settled, 'False', 'Progressing', `${progress}. ${first(moving)}${note}`],
      [waiting.length > 0, 'False', 'NodesWaiting', `${progress}. ${first(waiting)}${note}`],
      [
        held.length > 0,
        'True',
        'NodesHeld',
        `${held.length} of ${total} nodes are held by a rollback or an edit${note}`,
      ],
      [true, 'True', 'Applied', `${nodesAre(total)} configured${note}`],
    ]),
    firstThatApplies('Reconciling', [
      [isInvalid, 'False', 'InvalidConfig', refusal],
      [
        !settled,
        'True',
        'NodesOnTheirWay',
        `${moving.length} of ${total} nodes are on their way. ${first(moving)}`,
      ],
      [waiting.length > 0, 'False', 'NodesWaiting', `nothing moves by itself. ${first(waiting)}`],
      [true, 'False', 'Settled', 'no node is on its way'],
    ]),
    firstThatApplies('Stalled', [
      [isInvalid, 'True', 'InvalidConfig', refusal],
      [failed.length > 0, 'True', 'NodesFailed', first(failed)],
      [
        settled && waiting.length > 0,
        'True',
        waiting[0]?.reason ?? 'NodesWaiting',
        `${waiting.length} of ${total} nodes wait for a person. ${first(waiting)}`,
      ],
      [true, 'False', 'NotStalled', 'no node failed, and pending nodes go on by themselves'],
    ]),
    firstThatApplies('InProgress', [
      [isInvalid, 'False', 'InvalidConfig', refusal],
      [!settled, 'True', 'ProcessingNodes', `Processing network configurations for ${moving.length} nodes`],
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

/** `1 node is`, `2 nodes are`. */
function nodesAre(count: number): string {
  return count === 1 ? '1 node is' : `${count} nodes are`;
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
