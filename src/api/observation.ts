// The agent's report of an observation, and the host's files that the agent sends to the store after a drift.

import * as z from 'zod';
import { oidSchema } from './oid-schema.ts';
import { factsOf, readReason, type AnyReason } from './reasons/reasons.ts';

/**
 * Observed: the host is as the commit has it. Drifted: the host differs, and the report says how. Unclear: only a run
 * can tell what is to be done, and the reason says why. Busy: a change was under way, so nothing was compared.
 */
export const OBSERVATION_RESULTS = ['Observed', 'Drifted', 'Unclear', 'Busy'] as const;

export const DIFFERENCE_KINDS = [
  'FileChanged',
  'FileMissing',
  'FileExtra',
  'FileForeign',
  'LinkMissing',
  'LinkRenamed',
  'LinkDown',
  'MtuChanged',
  'AddressMissing',
  'AddressExtra',
  'MetricChanged',
  'RouterAdvertisements',
  'NetworkManagerManages',
  'RuleMissing',
  'RuleExtra',
  'RouteMissing',
  'RouteExtra',
  'SettingChanged',
  'NextBoot',
] as const;

/** Longest text of a difference. */
export const DIFFERENCE_TEXT_MAX = 200;

// Commit messages have these texts in their lines, and a host must not be able to add lines of its own.
const text = z
  .string()
  .max(DIFFERENCE_TEXT_MAX)
  .regex(/^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]*$/u);
const word = z.string().regex(/^[\x21-\x7e]{1,253}$/);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const reason = z
  .string()
  .regex(/^[A-Z][A-Za-z]{0,63}$/)
  .transform(readReason);

/** One way in which a host differs from its commit. `describeDifference` says it in words. */
export const Difference = z.strictObject({
  kind: z.enum(DIFFERENCE_KINDS),
  /** The NIC's name in the commit. */
  name: word.optional(),
  mac: word.optional(),
  /** Path on the host, without the leading slash. */
  path: text.optional(),
  wanted: text.optional(),
  found: text.optional(),
  /** How other software uses the NIC, as the end of a sentence. A run does not change such a NIC. */
  inUse: text.optional(),
});
export type Difference = z.infer<typeof Difference>;

/** The agent's report of one observation. It takes the place of an Outcome, with the same limit of 4,096 bytes. */
export const Observation = z.strictObject({
  version: z.literal(1),
  mode: z.literal('observe'),
  node: z.string(),
  job: z.string(),
  /** The commit that the host was compared with: the one that its record names. */
  commit: oidSchema,
  result: z.enum(OBSERVATION_RESULTS),
  /** With Unclear: the code that a run would report, or the code of the error. */
  reason: reason.optional(),
  /** For people: why the result is Unclear or Busy. */
  message: z.string().optional(),
  /** Name of the agent's step in which the observation ended. */
  step: z.string(),
  /** Empty: the host did not report it. */
  machineId: word.or(z.literal('')),
  bootId: word.or(z.literal('')),
  /** The UUID of the machine's firmware. Absent: the machine has none. */
  systemUUID: word.optional(),
  startedAt: z.iso.datetime(),
  durationMs: z.number().int().nonnegative(),
  differences: z.array(Difference).default([]),
  /** Number of differences that were cut to fit the limit. */
  omitted: z.number().int().positive().optional(),
  /** With Drifted: the same for the same drift, whether differences were cut or not. */
  digest: digest.optional(),
  /** With Drifted: git tree id of the host's managed files in the store. Absent: the store does not have the files. */
  tree: oidSchema.optional(),
  /** Codes of conditions that are harmless now and may break later, as of a run. */
  warnings: z.array(reason).optional(),
});
export type Observation = z.infer<typeof Observation>;

export const HOST_TREE_FILE_MAX_BYTES = 64 * 1024;
export const HOST_TREE_MAX_BYTES = 256 * 1024;
/** Limit of a request's body: 256 KiB of text, with JSON's escapes. */
export const HOST_TREE_BODY_MAX_BYTES = 512 * 1024;
const HOST_TREE_MAX_FILES = 256;

/**
 * The managed files of a drifted host that differ from the commit, as the body of `PUT /api/v1/nodes/NODE/host-tree`.
 * The commit's tree with these files is the tree of the host.
 */
export const HostTree = z
  .strictObject({
    version: z.literal(1),
    node: z.string(),
    job: z.string(),
    commit: oidSchema,
    digest,
    /** git tree id of all managed files of the host. */
    tree: oidSchema,
    /** Path to content; null: the host does not have the commit's file. */
    files: z.record(text.min(1), z.string().nullable()),
  })
  .refine(({ files }) => fits(Object.values(files)), 'files of at most 64 KiB, 256 KiB in all, are taken');
export type HostTree = z.infer<typeof HostTree>;

function fits(contents: readonly (string | null)[]): boolean {
  const sizes = contents.map((content) => Buffer.byteLength(content ?? ''));
  return (
    sizes.length <= HOST_TREE_MAX_FILES &&
    sizes.every((size) => size <= HOST_TREE_FILE_MAX_BYTES) &&
    sizes.reduce((sum, size) => sum + size, 0) <= HOST_TREE_MAX_BYTES
  );
}

/**
 * Codes of observations that learned nothing about the host, for example because the host did not answer. A run would
 * change such a host, and may undo a state that a person would accept.
 */
const NOTHING_LEARNED: ReadonlySet<AnyReason> = new Set<AnyReason>([
  'CaUnreadable',
  'CheckoutBroken',
  'CommandHangs',
  'CommandMissing',
  'DeadlineExceeded',
  'DiskFull',
  'HostIo',
  'HostPermissionDenied',
  'HostReadOnly',
  'Internal',
  'Interrupted',
  'InvalidJob',
  'NotFound',
  'TokenUnreadable',
  'TreeTooLarge',
  'Unauthorized',
]);

/** Whether a run has to follow an Unclear observation. False: the observation learned nothing, so it is repeated. */
export function needsRun(reason: AnyReason | undefined): boolean {
  return reason !== undefined && !NOTHING_LEARNED.has(reason) && factsOf(reason)?.concerns !== 'access';
}
