import { CARRIER_WAIT_PATH } from './carrier-wait.ts';
import { describedNics } from './foreign.ts';
import type { HostState } from './host.ts';
import { readManaged, readNoAutoDefault } from './managed.ts';
import type { Desired, Situation } from './plan.ts';
import type { Applied } from './record.ts';
import type { Root } from './root.ts';

/** Everything that a decision rests on, read from the host. */
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
    carrierWait: root.read(CARRIER_WAIT_PATH)?.content,
  };
}
