// The whole state as one JSON, for `multinic status` and other programs.

import { formatProblem } from '../api/errors.ts';
import type { Condition, ConfigStatus, Summary } from '../api/status.ts';
import { allViews, nodeViews, type NodeView, type Snapshot } from './config-status.ts';

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
    doubts: Object.fromEntries(snapshot.report.doubts),
    ...(snapshot.report.unreadable.length > 0 && {
      unreadable: snapshot.report.unreadable.map(formatProblem),
    }),
    ...(failure !== undefined && { failure }),
  };
}
