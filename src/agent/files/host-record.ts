import { createHash } from 'node:crypto';
import * as z from 'zod';
import { MultinicError } from '../../api/errors.ts';
import { RECORD } from './managed-files.ts';
import type { Root } from './root.ts';

const ipv6 = z.strictObject({ acceptRa: z.number(), addrGenMode: z.number() });

const linkTarget = z.strictObject({
  name: z.string(),
  mac: z.string(),
  up: z.boolean(),
  mtu: z.number(),
  addresses: z.array(z.string()).readonly(),
  leases: z.array(z.string()).readonly().exactOptional(),
  yields: z.array(z.string()).readonly().exactOptional(),
  ipv6: ipv6.exactOptional(),
});

/** A link as a change found it, or left it. */
export type RecordedLink = z.infer<typeof linkTarget>;

const appliedSchema = z.strictObject({
  node: z.string(),
  commit: z.string(),
  machineId: z.string(),
  appliedAt: z.string(),
  /** By MAC: the name and address that we gave, those that we took back, and how the link was before us, where we saw it. */
  nics: z.record(
    z.string(),
    z.strictObject({
      name: z.string(),
      address: z.string(),
      /** Addresses of ours that networkd brings back in that boot. */
      lingering: z.strictObject({ bootId: z.string(), addresses: z.array(z.string()) }).exactOptional(),
      origin: z.strictObject({ name: z.string(), mtu: z.number(), up: z.boolean() }).exactOptional(),
    }),
  ),
  /** By path: hash of what is on the host, and of what the commit has (they differ where the host's means the same). */
  files: z.record(z.string(), z.strictObject({ sha256: z.string(), commit: z.string() })),
});
/** What the last finished run left on the host. */
export type Applied = z.infer<typeof appliedSchema>;

const pendingSchema = z.strictObject({
  bootId: z.string(),
  startedAt: z.string(),
  /** The OS's network manager was told to read its files anew, so an undo has it read them again. */
  reload: z.boolean(),
  /** NetworkManager's profile of each NIC that changes, as it was, by MAC. */
  profiles: z.record(z.string(), z.string().nullable()).exactOptional(),
  /** What others had on the NICs, to be given back after a change as after its undo. */
  others: z.array(z.string()).readonly().default([]),
  /** In the order of the change; `before` null: there was no such file; `after` null: it is removed. */
  files: z.array(
    z.strictObject({
      path: z.string(),
      before: z.strictObject({ content: z.string(), mode: z.number() }).nullable(),
      after: z.string().nullable(),
    }),
  ),
  links: z.strictObject({ before: z.array(linkTarget).readonly(), after: z.array(linkTarget).readonly() }),
  /** What was at stake, as it was: to tell whether anything else changed. */
  machine: z.strictObject({
    links: z
      .array(linkTarget.omit({ yields: true }).extend({ master: z.string().exactOptional() }))
      .readonly(),
    routes: z
      .array(z.strictObject({ to: z.string(), via: z.string().exactOptional(), dev: z.string() }))
      .readonly(),
  }),
  /** The record once the change is verified; null: none (a cleanup). */
  applied: appliedSchema.nullable(),
});
/** A change that began: what it does, and all that is needed to undo it. */
export type Pending = z.infer<typeof pendingSchema>;

export const recordSchema = z.strictObject({
  version: z.literal(1),
  applied: appliedSchema.nullable(),
  pending: pendingSchema.nullable(),
});

/** Of a node with very many routes. */
const MAX_RECORD_BYTES = 16 * 1024 * 1024;

/** The host record: what is ours on this host, and whether a change is under way. Kept on the host, not in the store. */
export class HostRecord {
  readonly #root: Root;
  #applied: Applied | null = null;
  #pending: Pending | null = null;

  /** @throws MultinicError `RecordUnreadable` */
  constructor(root: Root) {
    this.#root = root;
    const file = root.read(RECORD, MAX_RECORD_BYTES);
    if (file === undefined) return;
    const parsed = recordSchema.safeParse(parseJson(file.content));
    if (!parsed.success) {
      throw new MultinicError(
        'RecordUnreadable',
        `${RECORD} is not a record of ours: ${z.prettifyError(parsed.error)}; compare the host’s files with the node’s branch, move the record away, then run \`multinic confirm\` for the node`,
      );
    }
    this.#applied = parsed.data.applied;
    this.#pending = parsed.data.pending;
  }

  get applied(): Applied | undefined {
    return this.#applied ?? undefined;
  }

  get pending(): Pending | undefined {
    return this.#pending ?? undefined;
  }

  /** From here on a killed run is undone. */
  begin(pending: Pending): void {
    this.#save(this.#applied, pending);
  }

  /** The change stands. Nothing is written when the record says so already. */
  finish(applied: Applied | null): void {
    if (this.#pending === null && sameRecord(this.#applied, applied)) return;
    this.#save(applied, null);
  }

  /** The host is as it was before. */
  abandon(): void {
    this.#save(this.#applied, null);
  }

  #save(applied: Applied | null, pending: Pending | null): void {
    const text = `${JSON.stringify({ version: 1, applied, pending }, null, 2)}\n`;
    if (text.length > MAX_RECORD_BYTES) {
      throw new MultinicError(
        'RecordTooLarge',
        `what others have on this node makes a record of ${text.length} bytes, which could not be read again; use apply: live if it was full, or take routes off the NICs`,
      );
    }
    if (applied === null && pending === null) this.#root.remove(RECORD);
    else this.#root.write(RECORD, text, 0o600);
    this.#applied = applied;
    this.#pending = pending;
  }
}

export function sha256(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Equal but for the time. */
function sameRecord(a: Applied | null, b: Applied | null): boolean {
  return (
    a === b ||
    (a !== null && b !== null && JSON.stringify({ ...a, appliedAt: b.appliedAt }) === JSON.stringify(b))
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
