// Status of a CR and its nodes. Names and spelling are the ones that operators know from the earlier agent.

import type { AnyReason } from './reasons/reasons.ts';

export const NODE_STATES = ['Pending', 'InProgress', 'Configured', 'Failed'] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** One interface of a node. */
export interface InterfaceStatus {
  readonly name: string;
  readonly macAddress: string;
  /** Address with its prefix; absent: a link-only NIC. */
  readonly address?: string;
  readonly state: NodeState;
  readonly reason?: AnyReason;
}

export interface NodeStatus {
  readonly attachedNodeId: string;
  readonly attachedNodeName: string;
  readonly state: NodeState;
  /** Reason for the state, in PascalCase. */
  readonly reason?: AnyReason;
  readonly message?: string;
  /** Tip of the node's branch. */
  readonly desiredCommit?: string;
  /** Commit that the newest outcome applied. */
  readonly appliedCommit?: string;
  readonly held?: boolean;
  readonly paused?: boolean;
  /** The host no longer has what was applied. */
  readonly drifted?: boolean;
  /** Absent: the node has none, or the status has no room for them. */
  readonly interfaces?: readonly InterfaceStatus[];
  /** RFC 3339, UTC. */
  readonly lastProcessed?: string;
  readonly lastJobName?: string;
  /** Time since which the controller waits for a node that is not there: RFC 3339, UTC. */
  readonly waitingSince?: string;
}

export interface Condition {
  readonly type: 'Ready' | 'Reconciling' | 'Stalled' | 'InProgress' | 'Applied';
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: AnyReason;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

export interface Summary {
  readonly totalNodes: number;
  readonly configuredNodes: number;
  readonly failedNodes: number;
  /** Nodes in the states Pending and InProgress. */
  readonly pendingNodes: number;
  readonly heldNodes: number;
}

export interface ConfigStatus {
  readonly observedGeneration: number;
  readonly observedSpecHash?: string;
  readonly conditions: readonly Condition[];
  readonly nodeStatuses: readonly NodeStatus[];
  readonly nodeStatusesOmitted?: number;
  readonly summary: Summary;
}
