import { CARRIER_WAIT_PATH } from '../files/carrier-wait.ts';
import { describedNics } from '../foreign/foreign-files.ts';
import type { HostState } from '../host/machine.ts';
import { readManaged, readMetricFiles, readNoAutoDefault } from '../files/managed-files.ts';
import type { Desired, Situation } from './plan.ts';
import type { Applied } from '../files/host-record.ts';
import type { Root } from '../files/root.ts';

/** Reads everything that a decision needs from the host. */
export function readSituation(
  root: Root,
  host: HostState,
  known: Pick<Situation, 'desired' | 'expectedRecord' | 'links'> & {
    readonly desired: Desired;
    readonly applied: Applied | undefined;
  },
): Situation {
  return {
    ...known,
    host,
    managed: readManaged(root),
    described: describedNics(root),
    noAutoDefault: readNoAutoDefault(root),
    metricFiles: readMetricFiles(root),
    carrierWait: root.read(CARRIER_WAIT_PATH)?.content,
  };
}
