// The whole state as one JSON, for `multinic status` and other programs.

import { formatProblem } from '../api/errors.ts';
import type { Condition, ConfigStatus, Summary } from '../api/status.ts';
import { allViews, nodeViews, type NodeView, type Snapshot } from './config-status.ts';
import type { ObservationReport } from './observations.ts';

export interface StatusReport {
  /** Commit of main that the newest pass mirrored. */
  readonly main: string;
  readonly configs: readonly ConfigReport[];
  readonly nodes: readonly NodeView[];
  /** Names of nodes of which only the history is kept: no CR names them, and they are clean or gone. */
  readonly historyOnly?: readonly string[];
  /** Number of departed nodes that passes leave out. */
  readonly retired?: number;
  /** Nodes whose removal waits for `multinic confirm`. */
  readonly stopped: readonly string[];
  /** CRs that are not listed and may still exist, each with the reason. */
  readonly doubts: Readonly<Record<string, string>>;
  /** Files, CRDs or CRs that cannot be read, each with the reason; what they said before counts on. */
  readonly unreadable?: readonly string[];
  readonly observations?: {
    /** Number of nodes that wait for their observation. */
    readonly waiting: number;
    /** Hour of the last look at, or change of, the host that has waited longest for an observation, RFC 3339. */
    readonly oldest?: string;
  };
  /** CRs that were edited, made or deleted since the newest pass; absent: none, or nobody asked with `fresh`. */
  readonly unseen?: readonly string[];
  /** The reason why no newer pass succeeded. */
  readonly failure?: string;
}

export interface ConfigReport {
  /** `group/namespace/name` */
  readonly config: string;
  readonly generation: number;
  readonly summary: Summary;
  readonly conditions: readonly Condition[];
}

const HOUR_MS = 3_600_000;

/** Coarse, so that no report is written for an observation alone. */
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

/** CRs that the home does not have as the newest pass reported them, by `group/namespace/name`. */
export function unseenConfigs(
  home: ReadonlyMap<string, number>,
  statuses: ReadonlyMap<string, Pick<ConfigStatus, 'observedGeneration'>>,
): string[] {
  const keys = new Set([...home.keys(), ...statuses.keys()]);
  return [...keys].filter((key) => home.get(key) !== statuses.get(key)?.observedGeneration).sort();
}
