// The whole state as one JSON, for `multinic status` and other programs.

import type { Condition, ConfigStatus, Summary } from '../api/status.ts';
import { nodeViews, type NodeView, type Snapshot } from './config-status.ts';

export interface StatusReport {
  /** Commit of main that the newest pass mirrored. */
  readonly main: string;
  readonly configs: readonly ConfigReport[];
  readonly nodes: readonly NodeView[];
  /** Nodes whose removal waits for `multinic confirm`. */
  readonly stopped: readonly string[];
  /** CRs that are not listed and may still exist, each with the reason. */
  readonly doubts: Readonly<Record<string, string>>;
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
  return {
    main: snapshot.report.main.commit,
    configs: [...statuses].map(([config, { observedGeneration, summary, conditions }]) => ({
      config,
      generation: observedGeneration,
      summary,
      conditions,
    })),
    nodes: nodeViews(snapshot),
    stopped: [...snapshot.report.stopped],
    doubts: Object.fromEntries(snapshot.report.doubts),
    ...(failure !== undefined && { failure }),
  };
}
