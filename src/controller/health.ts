// `/healthz`, as operators know it.

import type { Snapshot } from './status.ts';

export interface Health {
  readonly status: 'healthy' | 'starting';
  /** `2h15m30s` */
  readonly uptime: string;
  readonly processed_configs: number;
  readonly active_jobs: number;
  readonly crd_watcher_status: 'running' | 'starting';
}

/** @param started milliseconds since 1970 */
export function healthOf(snapshot: Snapshot | undefined, started: number, now = Date.now()): Health {
  return {
    status: snapshot === undefined ? 'starting' : 'healthy',
    uptime: formatUptime(Math.floor((now - started) / 1000)),
    processed_configs: snapshot?.report.main.configs.size ?? 0,
    active_jobs: snapshot?.jobs.filter(({ phase }) => phase !== 'finished').length ?? 0,
    crd_watcher_status: snapshot === undefined ? 'starting' : 'running',
  };
}

function formatUptime(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds % 60}s`;
}
