import * as z from 'zod';

/** What a Job tells the agent: everything it knows, so that a run can be repeated by hand. */
export const AgentJob = z.strictObject({
  version: z.literal(1),
  /** Job name, `multinic-agent-<node id>-<yyyymmddhhmmss>`. */
  name: z.string(),
  node: z.string(),
  /** The commit to apply: the tip of node/<node> when the Job was made. */
  commit: z.string(),
  /** Tried commit of the newest outcome that put the host in its state; null: none yet. */
  expectedRecord: z.string().nullable(),
  /** Smart-HTTP URL of the store. */
  url: z.string(),
  /** Bearer token that reads this node's branch; given by file so that no process list shows it. */
  tokenFile: z.string(),
  /** PEM, for a store whose certificate is by its own CA. */
  caFile: z.string().optional(),
  apply: z.enum(['live', 'full', 'files']).default('live'),
  /** Who has to answer after a change: `192.168.100.1`, `192.168.100.1:22`, `[fd00::1]:22`. */
  probes: z.array(z.string()).optional(),
  /** Addresses that the node has to go on reaching, as they are behind the Services: of API servers, of the store. */
  peers: z.array(z.string()).optional(),
  /** How long the store may be away before a run fails, or restores its host; absent: 40. */
  storeWaitSeconds: z.number().positive().optional(),
  /** The run ends by itself, restored, before this. */
  deadlineSeconds: z.number().int().positive().default(120),
});
export type AgentJob = z.infer<typeof AgentJob>;

/** Environment of an agent: the node's InternalIP, which the kubelet knows best. */
export const NODE_ADDRESS_VARIABLE = 'MULTINIC_NODE_ADDRESS';
