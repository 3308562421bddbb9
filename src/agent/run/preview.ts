// Shows people the state of a host and the result that a run would have. Changes nothing.
import type { Oid } from '../../api/oid.ts';
import { MultinicError } from '../../api/errors.ts';
import type { NextBoot } from '../foreign/next-boot.ts';
import type { BootNic } from '../foreign/systemd-files.ts';
import { examine, withUses, type ExamineContext } from './examine.ts';
import type { FileStep } from '../plan/file-order.ts';
import { expectNoNewLinkLocal } from '../plan/desired.ts';
import { describedNics } from '../foreign/foreign-files.ts';
import { describes } from '../foreign/foreign-nics.ts';
import type { Host } from '../host/host.ts';
import { linkSteps } from '../host/links.ts';
import type { HostState, Link, LinkStep } from '../host/machine.ts';
import { takeLock } from './host-lock.ts';
import { managedNics, readManaged } from '../files/managed-files.ts';
import { knownRouting } from '../host/routing.ts';
import { bootNics, decide, needsReload, type Desired, type FoundNic, type Plan } from '../plan/plan.ts';
import { useOf } from '../plan/preflight.ts';
import { HostRecord } from '../files/host-record.ts';
import { renamedByCloudInit } from '../foreign/cloud-init.ts';
import {
  CLOUD_INIT_RENAMES,
  describeLeft,
  describeLingering,
  describeRenamed,
  NETWORKD_HOLDS,
  NIC_LEFT,
} from './result.ts';
import type { Root } from '../files/root.ts';
import { unexpected } from '../plan/used-nics.ts';
import { readSituation } from '../plan/situation.ts';
import { validateStaged } from './staging.ts';
import type { AnyReason } from '../../api/reasons/reasons.ts';

export interface DetectedNic extends Omit<Link, 'loaded'> {
  readonly altnames: readonly string[];
  /** The node's use of the NIC; absent: no use is known. */
  readonly use?: string;
  /** Files that describe the NIC: ours, and foreign ones. */
  readonly files: readonly string[];
  readonly nextBoot?: NextBoot;
}

export interface Detection {
  readonly osImage: string;
  readonly machineId: string;
  readonly bootId: string;
  /** The last applied commit, from the host record. */
  readonly applied?: { readonly commit: Oid; readonly at: string };
  /** A killed run left a change: the next run finishes or undoes it first. */
  readonly interrupted: boolean;
  readonly nics: readonly DetectedNic[];
}

/** @throws MultinicError `HostUnreadable`, `RecordUnreadable` */
export async function detect(root: Root, host: Host): Promise<Detection> {
  const record = new HostRecord(root);
  const managed = readManaged(root);
  const known = knownRouting(
    managed.flatMap(({ nic }) => nic ?? []),
    record.applied,
  );
  const own = await host.machine.state(known);
  const state = { ...own, uppers: [...(own.uppers ?? []), ...(await host.machine.uppersElsewhere())] };
  const described = describedNics(root);
  const kind = managed.find(({ nic }) => nic !== undefined)?.renderer.kind ?? 'keyfile';
  const nics = state.links.map(({ mac, name }): BootNic => {
    const origin = record.applied?.nics[mac]?.origin?.name;
    return { mac, names: [name, ...(origin === undefined ? [] : [origin])] };
  });
  const boots = await host.boot.nextBoot(nics, kind);
  return {
    osImage: state.osImage,
    machineId: state.machineId,
    bootId: state.bootId,
    ...(record.applied && { applied: { commit: record.applied.commit, at: record.applied.appliedAt } }),
    interrupted: record.pending !== undefined,
    nics: state.links.map(({ loaded: _, ...link }) => {
      const use = useOf(link, state, new Map());
      const nextBoot = boots.find(({ mac }) => mac === link.mac);
      const altnames = (state.altnames ?? []).filter(({ name }) => name === link.name);
      return {
        ...link,
        altnames: altnames.map(({ altname }) => altname),
        ...(use !== undefined && { use }),
        files: [
          ...managed.flatMap(({ nic, files }) => (nic?.mac === link.mac ? [...files.keys()] : [])),
          ...described
            .filter((each) => describes(each, { mac: link.mac, names: [link.name] }))
            .map(({ file }) => file),
        ],
        ...(nextBoot && { nextBoot }),
      };
    }),
  };
}

/** The result that a run of a commit would have. */
export interface Preview {
  /**
   * change: a run would change the host; none: the host is right; refused: a run would refuse; adopt and diverged: as a
   * run reports them.
   */
  readonly result: 'change' | 'none' | 'adopt' | 'diverged' | 'refused';
  /** Reason of a refusal. */
  readonly reason?: AnyReason;
  readonly message?: string;
  readonly interrupted: boolean;
  readonly files: readonly Pick<FileStep, 'op' | 'path'>[];
  readonly kept: readonly string[];
  readonly links: readonly LinkStep[];
  /** The host's network manager would read all of its files again. */
  readonly reload: boolean;
  /** MACs of NICs that are in the commit and not on the machine. */
  readonly missing: readonly string[];
  readonly found: readonly FoundNic[];
  readonly nextBoot: readonly NextBoot[];
  /** Warnings of a run, and doubts about the next boot. */
  readonly warnings: readonly { readonly reason: AnyReason; readonly message: string }[];
}

/** Options as a run has them. */
export interface PreviewOptions extends Pick<ExamineContext, 'peers' | 'mode' | 'probes'> {
  readonly desired: Desired;
  /** The commit that the host's record should name; undefined: any commit. */
  readonly expectedRecord?: Oid | null;
}

/**
 * Finds the result that a run of a commit would have. Holds the host's lock meanwhile, because the OS's generator works
 * in the folder that a run uses too.
 * @throws MultinicError `AgentRunning`, `HostUnreadable`, `RecordUnreadable`
 */
export async function preview(root: Root, host: Host, options: PreviewOptions): Promise<Preview> {
  const lock = takeLock(root);
  try {
    const record = new HostRecord(root);
    const known = knownRouting([...options.desired.network, ...managedNics(root)], record.applied);
    const before = await host.machine.state(known);
    const nothing = {
      files: [],
      kept: [],
      links: [],
      reload: false,
      missing: [],
      found: [],
      nextBoot: [],
      warnings: [],
    };
    const interrupted = record.pending !== undefined;
    try {
      return { ...nothing, ...(await foresee(root, host, before, record, options)), interrupted };
    } catch (error) {
      if (!(error instanceof MultinicError)) throw error;
      return { ...nothing, result: 'refused', reason: error.code, message: error.message, interrupted };
    }
  } finally {
    lock.release();
  }
}

async function foresee(
  root: Root,
  host: Host,
  detected: HostState,
  record: HostRecord,
  { desired, expectedRecord = record.applied?.commit ?? null, peers, mode, probes }: PreviewOptions,
): Promise<Pick<Preview, 'result'> & Partial<Preview>> {
  const { applied } = record;
  expectNoNewLinkLocal(desired, applied, readManaged(root));
  const decision = decide(
    readSituation(root, detected, { desired, applied, expectedRecord, links: mode !== 'files' }),
  );
  if (decision.kind !== 'apply') return { result: decision.kind, found: decision.found };
  const { plan, before } = await withUses(decision.plan, detected, desired, host.machine);
  const steps = linkSteps(before.links, plan.targets);
  const reload = needsReload(plan, mode);
  const changes = plan.files.length > 0 || steps.length > 0 || reload;
  // Only a run asks the API server, which has to answer after a change.
  if (changes)
    await examine(plan, before, desired, { root, host, record, peers, mode, probes, apiServer: undefined });
  const boot = (): Promise<readonly NextBoot[]> =>
    validateStaged(root, host.boot, desired.kind, plan, bootNics(plan, before, applied));
  const { nextBoot, doubts } = changes ? { nextBoot: await boot(), doubts: [] } : await doubtful(plan, boot);
  const held = mode === 'full' ? [] : plan.lingering;
  const left = unexpected(plan.left);
  const renamed = renamedByCloudInit(root, plan.present);
  return {
    result: changes ? 'change' : 'none',
    files: plan.files.map(({ op, path }) => ({ op, path })),
    kept: plan.kept,
    links: steps,
    reload,
    missing: plan.missing,
    nextBoot,
    warnings: [
      ...(left.length === 0 ? [] : [{ reason: NIC_LEFT, message: describeLeft(left) }]),
      ...(held.length === 0 ? [] : [{ reason: NETWORKD_HOLDS, message: describeLingering(held) }]),
      ...doubts,
      ...(renamed.length === 0 ? [] : [{ reason: CLOUD_INIT_RENAMES, message: describeRenamed(renamed) }]),
    ],
  };
}

/** Doubts about the next boot of a host that needs no change. A run does not refuse such a host. */
async function doubtful(
  { present }: Plan,
  boot: () => Promise<readonly NextBoot[]>,
): Promise<{ nextBoot: readonly NextBoot[]; doubts: Preview['warnings'] }> {
  if (present.length === 0) return { nextBoot: [], doubts: [] };
  try {
    return { nextBoot: await boot(), doubts: [] };
  } catch (error) {
    if (!(error instanceof MultinicError)) throw error;
    return { nextBoot: [], doubts: [{ reason: error.code, message: error.message }] };
  }
}
