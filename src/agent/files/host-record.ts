import { createHash } from 'node:crypto';
import * as z from 'zod';
import { oidSchema } from '../../api/oid-schema.ts';
import { MultinicError } from '../../api/errors.ts';
import { isMac } from '../../network/mac.ts';
import { RECORD } from './managed-files.ts';
import type { Root } from './root.ts';

const mac = z.string().refine(isMac, 'expected a MAC: 02:00:00:00:01:00');
const ipv6 = z.strictObject({ acceptRa: z.number(), addrGenMode: z.number() });

/** Rules, routes and settings of a NIC, as texts in the form of host/routing.ts. */
const routing = z.strictObject({
  rules: z.array(z.string()).readonly(),
  routes: z.array(z.string()).readonly(),
  sysctls: z.record(z.string(), z.number()),
});

const linkTarget = z.strictObject({
  name: z.string(),
  mac,
  up: z.boolean(),
  mtu: z.number(),
  addresses: z.array(z.string()).readonly(),
  leases: z.array(z.string()).readonly().exactOptional(),
  yields: z.array(z.string()).readonly().exactOptional(),
  ipv6: ipv6.exactOptional(),
  /**
   * NetworkManager's part in the link. Before a change that takes the NIC away from NetworkManager: true; after the
   * change: false.
   */
  networkManager: z.boolean().exactOptional(),
  routing: routing.exactOptional(),
});

/** A link before or after a change. */
export type RecordedLink = z.infer<typeof linkTarget>;

const appliedSchema = z.strictObject({
  node: z.string(),
  commit: oidSchema,
  machineId: z.string(),
  appliedAt: z.string(),
  /**
   * Our NICs by MAC: the name and address that the agent gave, and the link as the agent first saw it (`origin`, absent
   * if the agent did not see it).
   */
  nics: z.record(
    z.string(),
    z.strictObject({
      name: z.string(),
      /** Absent: a link-only NIC. */
      address: z.string().exactOptional(),
      /** Addresses beside `address`. */
      furtherAddresses: z.array(z.string()).readonly().exactOptional(),
      /**
       * Addresses that networkd adds again during the boot with this ID: those that the agent removed, and `address` if
       * networkd adds it without its metric.
       */
      lingering: z
        .strictObject({
          bootId: z.string(),
          addresses: z.array(z.string()),
          /** Rules and routes that networkd loaded at boot, if they differ from those of the NIC. */
          routing: routing.exactOptional(),
        })
        .exactOptional(),
      origin: z
        .strictObject({
          name: z.string(),
          mtu: z.number(),
          up: z.boolean(),
          /** True: NetworkManager managed the link. */
          networkManager: z.boolean().exactOptional(),
        })
        .exactOptional(),
      /** Rules and routes that the agent gave the NIC, and the settings that the NIC had before them. */
      routing: routing.exactOptional(),
    }),
  ),
  /**
   * Our files by path: the hashes of the host's file and of the commit's file. The hashes differ where the two files
   * differ in bytes and mean the same.
   */
  files: z.record(z.string(), z.strictObject({ sha256: z.string(), commit: z.string() })),
});
/** State that the last finished run left on the host. */
export type Applied = z.infer<typeof appliedSchema>;

const pendingSchema = z.strictObject({
  bootId: z.string(),
  startedAt: z.string(),
  /** True once the change told the network manager to read all files again. An undo then tells it the same. */
  reload: z.boolean(),
  /** NetworkManager's profile of each NIC before the change, by MAC. */
  profiles: z.record(z.string(), z.string().nullable()).exactOptional(),
  /** Foreign state as commands of `ip` that add it: restored after the change, and after its undo. */
  others: z.array(z.string()).readonly().default([]),
  /**
   * Files in the order of the change; `before` null: the file did not exist; `after` null: the change removes the file.
   */
  files: z.array(
    z.strictObject({
      path: z.string(),
      before: z.strictObject({ content: z.string(), mode: z.number() }).nullable(),
      after: z.string().nullable(),
    }),
  ),
  links: z.strictObject({ before: z.array(linkTarget).readonly(), after: z.array(linkTarget).readonly() }),
  /**
   * Links and routes that the change could harm, as they were before it. Later checks compare them with the present
   * ones.
   */
  machine: z.strictObject({
    links: z
      .array(
        linkTarget
          .omit({ yields: true, networkManager: true, routing: true })
          .extend({ master: z.string().exactOptional() }),
      )
      .readonly(),
    routes: z
      .array(z.strictObject({ to: z.string(), via: z.string().exactOptional(), dev: z.string() }))
      .readonly(),
  }),
  /** The `applied` part of the record once the change is verified; null: a cleanup leaves no record. */
  applied: appliedSchema.nullable(),
});
/** A change that has begun: its files and links, and everything that an undo needs. */
export type Pending = z.infer<typeof pendingSchema>;

/**
 * Version 2 adds routing, several addresses of a NIC, and NICs without an address. A host with none of these keeps
 * version 1, which earlier versions of the agent read.
 */
export const recordSchema = z.strictObject({
  version: z.literal([1, 2]),
  applied: appliedSchema.nullable(),
  pending: pendingSchema.nullable(),
});

/** Limit on the size of a record, which is large on a node with very many routes. */
const MAX_RECORD_BYTES = 16 * 1024 * 1024;

/** The host record: our files and NICs on this host, and the change under way. It is on the host, not in the store. */
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

  /** Records that a change begins. If this run is killed from here on, the next run undoes the change. */
  begin(pending: Pending): void {
    this.#save(this.#applied, pending);
  }

  /** Records that the change is complete. Writes nothing if the record already says so. */
  finish(applied: Applied | null): void {
    if (this.#pending === null && sameRecord(this.#applied, applied)) return;
    this.#save(applied, null);
  }

  /** Records that the host is as it was before the change. */
  abandon(): void {
    this.#save(this.#applied, null);
  }

  #save(applied: Applied | null, pending: Pending | null): void {
    const text = `${JSON.stringify({ version: versionOf(applied, pending), applied, pending }, null, 2)}\n`;
    const bytes = Buffer.byteLength(text);
    if (bytes > MAX_RECORD_BYTES) {
      throw new MultinicError(
        'RecordTooLarge',
        `routes and rules of other software make a host record of ${bytes} bytes, which no run could read again; use apply: live if it was full, or remove routes from the NICs`,
      );
    }
    if (applied === null && pending === null) this.#root.remove(RECORD);
    else this.#root.write(RECORD, text, 0o600);
    this.#applied = applied;
    this.#pending = pending;
  }
}

function versionOf(applied: Applied | null, pending: Pending | null): 1 | 2 {
  const nics = [applied, pending?.applied].flatMap((each) => Object.values(each?.nics ?? {}));
  const links = [...(pending?.links.before ?? []), ...(pending?.links.after ?? [])];
  const isRouted =
    nics.some(
      ({ address, routing: own, furtherAddresses, lingering }) =>
        address === undefined ||
        own !== undefined ||
        furtherAddresses !== undefined ||
        lingering?.routing !== undefined,
    ) || links.some(({ routing: own }) => own !== undefined);
  return isRouted ? 2 : 1;
}

export function sha256(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Whether two records differ in the time only. */
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
