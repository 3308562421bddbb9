// Makes the answer of `/healthz`, with the fields that operators already use.

import type { Snapshot } from './config-status.ts';

export interface Health {
  readonly status: 'healthy' | 'starting' | 'unhealthy';
  /** `2h15m30s` */
  readonly uptime: string;
  /** CRs that main has. */
  readonly processed_configs: number;
  readonly active_jobs: number;
  readonly crd_watcher_status: 'running' | 'starting' | 'failing';
  /** Time of the newest commit of a CR, RFC 3339, UTC. */
  readonly last_crd_processed?: string;
  /** Failure of the newest pass. */
  readonly message?: string;
}

/**
 * @param failure of the newest pass
 * @param started milliseconds since 1970
 */
export function healthOf(
  snapshot: Snapshot | undefined,
  failure: string | undefined,
  started: number,
  now = Date.now(),
): Health {
  const [status, watcher] =
    failure !== undefined
      ? (['unhealthy', 'failing'] as const)
      : snapshot === undefined
        ? (['starting', 'starting'] as const)
        : (['healthy', 'running'] as const);
  return {
    status,
    uptime: formatUptime(Math.floor((now - started) / 1000)),
    processed_configs: snapshot?.report.main.configs.size ?? 0,
    active_jobs: snapshot?.jobs.filter(({ phase }) => phase !== 'finished').length ?? 0,
    crd_watcher_status: watcher,
    ...(snapshot !== undefined && { last_crd_processed: formatTime(snapshot.mainTime) }),
    ...(failure !== undefined && { message: failure }),
  };
}

/** @param seconds since 1970 */
function formatTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
}

function formatUptime(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds % 60}s`;
}
