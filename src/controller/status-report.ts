// The whole state as one JSON, for `multinic status` and other programs.

import { formatProblem } from '../api/errors.ts';
import type { Condition, ConfigStatus, Summary } from '../api/status.ts';
import { allViews, nodeViews, type NodeView, type Snapshot } from './config-status.ts';
import { isAsked, type LookResult, type Seen } from '../scheduler/observe-due.ts';
import type { ObservationReport } from './observations.ts';

export interface StatusReport {
  /** Commit of main that the newest pass mirrored. */
  readonly main: string;
  readonly configs: readonly ConfigReport[];
  readonly nodes: readonly NodeReport[];
  /** Names of nodes of which only the history is kept: no CR names them, and they are clean or gone. */
  readonly historyOnly?: readonly string[];
  /** Number of departed nodes that passes leave out. */
  readonly retired?: number;
  /** Nodes whose removal waits for `multinic confirm`. */
  readonly stopped: readonly string[];
  /** CRs that are not listed and may still exist, each with the reason. */
  readonly doubts: Readonly<Record<string, string>>;
  /** Files, CRDs or CRs that cannot be read, each with the reason. Their last readable content still counts. */
  readonly unreadable?: readonly string[];
  readonly observations?: {
    /** Number of nodes that wait for an observation. */
    readonly waiting: number;
    /** Hour of the last observation or run of the host that has waited longest for an observation, RFC 3339. */
    readonly oldest?: string;
  };
  /** CRs that were edited, made or deleted since the newest pass; absent: no CR was, or the request has no `fresh`. */
  readonly unseen?: readonly string[];
  /** The reason why no newer pass succeeded. */
  readonly failure?: string;
}

export interface NodeReport extends NodeView {
  /** Absent: the host was never observed and no observation is asked for, or no controller runs. */
  readonly observation?: NodeLook;
}

/** The newest observation of a host. */
export interface NodeLook {
  /** Start of the newest observation that learned the host's state, RFC 3339; absent: no observation did. */
  readonly at?: string;
  readonly result?: LookResult;
  /** With Unclear: the code. */
  readonly reason?: string;
  /** Number of later observations that learned nothing. */
  readonly failures?: number;
  /** A person asked for an observation that has not ended. */
  readonly asked?: true;
  /** The host cannot be observed until something else happens. */
  readonly outOfReach?: true;
}

export interface ConfigReport {
  /** `group/namespace/name` */
  readonly config: string;
  readonly generation: number;
  readonly summary: Summary;
  readonly conditions: readonly Condition[];
}

const HOUR_MS = 3_600_000;

/** Rounded, so that an observation alone does not rewrite the report. */
function observationsOf({ oldest, waiting }: ObservationReport): NonNullable<StatusReport['observations']> {
  const count = [...waiting.values()].reduce((sum, each) => sum + each, 0);
  return {
    waiting: count,
    ...(oldest !== undefined && {
      oldest: new Date(Math.floor(oldest.at / HOUR_MS) * HOUR_MS).toISOString().replace('.000Z', 'Z'),
    }),
  };
}

export function reportOf(
  snapshot: Snapshot,
  statuses: ReadonlyMap<string, ConfigStatus>,
  failure?: string,
): StatusReport {
  const historyOnly = allViews(snapshot).flatMap(({ node, historyOnly: only }) =>
    only === true ? (node ?? []) : [],
  );
  const { retired } = snapshot.report;
  return {
    main: snapshot.report.main.commit,
    configs: [...statuses].map(([config, { observedGeneration, summary, conditions }]) => ({
      config,
      generation: observedGeneration,
      summary,
      conditions,
    })),
    nodes: nodeViews(snapshot),
    ...(historyOnly.length > 0 && { historyOnly }),
    ...(retired > 0 && { retired }),
    stopped: [...snapshot.report.stopped],
    ...(snapshot.observing !== undefined && { observations: observationsOf(snapshot.observing) }),
    doubts: Object.fromEntries(snapshot.report.doubts),
    ...(snapshot.report.unreadable.length > 0 && {
      unreadable: snapshot.report.unreadable.map(formatProblem),
    }),
    ...(failure !== undefined && { failure }),
  };
}

/**
 * Adds the newest observation of each host. The file of a local home leaves them out, because each observation would
 * rewrite the file.
 */
export function withLooks(
  report: StatusReport,
  observing: ObservationReport | undefined,
  observed: { of(node: string): Seen | undefined },
): StatusReport {
  const nodes = report.nodes.map((view) => {
    const observation = lookOf(view.node, observing, observed);
    return { ...view, ...(observation !== undefined && { observation }) };
  });
  return { ...report, nodes };
}

function lookOf(
  node = '',
  observing: ObservationReport | undefined,
  observed: { of(node: string): Seen | undefined },
): NodeLook | undefined {
  const seen = observed.of(node);
  const { at, result, reason, failures = 0 } = seen ?? {};
  const asked = isAsked(seen);
  if (at === undefined && failures === 0 && !asked) return undefined;
  return {
    ...(at !== undefined && { at: new Date(at).toISOString() }),
    ...(result !== undefined && { result }),
    ...(reason !== undefined && { reason }),
    ...(failures > 0 && { failures }),
    ...(asked && { asked }),
    ...(observing?.outOfReach?.has(node) === true && { outOfReach: true as const }),
  };
}

/** CRs whose state in the home differs from the newest pass's report, by `group/namespace/name`. */
export function unseenConfigs(
  home: ReadonlyMap<string, number>,
  statuses: ReadonlyMap<string, Pick<ConfigStatus, 'observedGeneration'>>,
): string[] {
  const keys = new Set([...home.keys(), ...statuses.keys()]);
  return [...keys].filter((key) => home.get(key) !== statuses.get(key)?.observedGeneration).sort();
}
