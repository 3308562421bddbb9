// For people: what is on a host, and what a run would do there. Nothing is changed.
import { MultinicError } from '../api/errors.ts';
import type { BootNic, NextBoot } from './boot.ts';
import type { FileStep } from './file-order.ts';
import { describedNics } from './foreign.ts';
import type { Host, HostState, Link, LinkStep } from './host.ts';
import { linkSteps } from './links.ts';
import { takeLock } from './lock.ts';
import { readManaged } from './managed.ts';
import { bootNics, decide, type Desired, type FoundNic } from './plan.ts';
import { preflight, useOf } from './preflight.ts';
import { HostRecord } from './record.ts';
import type { Root } from './root.ts';
import { readSituation } from './situation.ts';
import { validateStaged } from './staging.ts';

export interface DetectedNic extends Omit<Link, 'loaded'> {
  readonly altnames: readonly string[];
  /** What the node needs it for; absent: nothing that is known. */
  readonly use?: string;
  /** Files that describe it: ours, and those of others. */
  readonly files: readonly string[];
  readonly nextBoot?: NextBoot;
}

export interface Detection {
  readonly osImage: string;
  readonly machineId: string;
  readonly bootId: string;
  /** What the host's record says was applied last. */
  readonly applied?: { readonly commit: string; readonly at: string };
  /** A run was killed here: the next one finishes or undoes it first. */
  readonly interrupted: boolean;
  readonly nics: readonly DetectedNic[];
}

/** @throws MultinicError `HostUnreadable`, `RecordUnreadable` */
export async function detect(root: Root, host: Host): Promise<Detection> {
  const state = await host.state();
  const record = new HostRecord(root);
  const managed = readManaged(root);
  const described = describedNics(root);
  const kind = managed.find(({ nic }) => nic !== undefined)?.renderer.kind ?? 'keyfile';
  const nics = state.links.map(({ mac, name }): BootNic => {
    const origin = record.applied?.nics[mac]?.origin?.name;
    return { mac, names: [name, ...(origin === undefined ? [] : [origin])] };
  });
  const boots = await host.nextBoot(nics, kind);
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
            .filter((each) => (each.mac === undefined ? each.link === link.name : each.mac === link.mac))
            .map(({ file }) => file),
        ],
        ...(nextBoot && { nextBoot }),
      };
    }),
  };
}

/** What a run of a commit would come to. */
export interface Preview {
  /** change: the host would be changed; none: it is right; the others as a run reports them, or that it would refuse. */
  readonly result: 'change' | 'none' | 'adopt' | 'diverged' | 'refused';
  /** Of a refusal. */
  readonly reason?: string;
  readonly message?: string;
  readonly interrupted: boolean;
  readonly files: readonly Pick<FileStep, 'op' | 'path'>[];
  readonly kept: readonly string[];
  readonly links: readonly LinkStep[];
  /** MACs that are wanted and not on the machine. */
  readonly missing: readonly string[];
  readonly found: readonly FoundNic[];
  readonly nextBoot: readonly NextBoot[];
}

export interface PreviewOptions {
  readonly desired: Desired;
  /** undefined: whatever the host's record names. */
  readonly expectedRecord?: string | null;
  /** Addresses that must not be cut off. */
  readonly peers: readonly string[];
  readonly links: boolean;
}

/**
 * Holds the host's lock meanwhile, because the OS's generator works in the same folder as a run's.
 * @throws MultinicError `AgentRunning`, `HostUnreadable`, `RecordUnreadable`
 */
export async function preview(root: Root, host: Host, options: PreviewOptions): Promise<Preview> {
  const lock = takeLock(root);
  try {
    const record = new HostRecord(root);
    const before = await host.state();
    const nothing = { files: [], kept: [], links: [], missing: [], found: [], nextBoot: [] };
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
  before: HostState,
  { applied }: HostRecord,
  { desired, expectedRecord = applied?.commit ?? null, peers, links }: PreviewOptions,
): Promise<Pick<Preview, 'result'> & Partial<Preview>> {
  const decision = decide(readSituation(root, before, { desired, applied, expectedRecord, links }));
  if (decision.kind !== 'apply') return { result: decision.kind, found: decision.found };
  const { plan } = decision;
  const steps = linkSteps(before.links, plan.targets);
  const changes = plan.files.length > 0 || steps.length > 0;
  const ours = new Set(Object.keys(applied?.nics ?? {}));
  if (changes) preflight(plan, before, await host.ways(peers), ours);
  const nics = bootNics(plan, before, applied);
  return {
    result: changes ? 'change' : 'none',
    files: plan.files.map(({ op, path }) => ({ op, path })),
    kept: plan.kept,
    links: steps,
    missing: plan.missing,
    nextBoot: await validateStaged(root, host, desired.kind, plan, nics),
  };
}
