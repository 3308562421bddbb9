import * as z from 'zod';
import { APPLY_MODES } from './apply-modes.ts';
import { DEFAULTS } from './defaults.ts';
import { oidSchema } from './oid-schema.ts';

/** The agent's input from a Job. It is complete, so that a person can repeat a run by hand. */
export const AgentJob = z.strictObject({
  version: z.literal(1),
  /** Absent: the Job applies its commit. observe: it compares the host with its commit, and changes nothing. */
  mode: z.literal('observe').optional(),
  /** Job name, `multinic-agent-<node id>-<yyyymmddhhmmss>`; `multinic-observe-…` of an observation. */
  name: z.string(),
  node: z.string(),
  /**
   * The commit to apply: the tip of node/<node> when the Job was made. Of an observation: the commit that the host's
   * record should name.
   */
  commit: oidSchema,
  /**
   * The commit that put the host in its present state: the tried commit of the newest such outcome; null: no such
   * outcome yet.
   */
  expectedRecord: oidSchema.nullable(),
  /**
   * MACs of NICs that this run leaves without configuration, because another node still has an address that the commit
   * gives them. A later run configures them.
   */
  leaveOut: z.array(z.string()).optional(),
  /** Smart-HTTP URL of the store. */
  url: z.string(),
  /** Bearer token that reads this node's branch; given by file so that no process list shows it. */
  tokenFile: z.string(),
  /** CA certificate (PEM) that signed the store's certificate. */
  caFile: z.string().optional(),
  /** DNS name in the store's certificate, if the URL has an address; absent: the host of the URL. */
  serverName: z.string().optional(),
  apply: z.enum(APPLY_MODES).default(DEFAULTS.apply),
  /** Hosts that must answer after a change: `192.168.100.1`, `192.168.100.1:22`, `[fd00::1]:22`. */
  probes: z.array(z.string()).optional(),
  /** Addresses of API servers and of the store behind their Services: the node must still reach them after a change. */
  peers: z.array(z.string()).optional(),
  /** Seconds that a run waits for an unreachable store before it fails or restores its host; absent: 40. */
  storeWaitSeconds: z.number().positive().optional(),
  /** Deadline of the run: the agent restores the host and ends before it. */
  deadlineSeconds: z.number().int().positive().default(DEFAULTS.deadline),
});
export type AgentJob = z.infer<typeof AgentJob>;

/** Environment variable of an agent with the node's InternalIP, which the kubelet knows best. */
export const NODE_ADDRESS_VARIABLE = 'MULTINIC_NODE_ADDRESS';
