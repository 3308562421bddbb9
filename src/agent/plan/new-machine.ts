import { indexOfName } from '../../network/interface.ts';
import { entriesByMac } from '../../network/mac.ts';
import type { ManagedNic } from '../files/managed-files.ts';
import type { Applied } from '../files/host-record.ts';
import type { HostState } from '../host/machine.ts';
import { nicOf } from '../host/links.ts';

/** Links, files and record, which tell a machine that we configured from one that we did not. */
export interface Traces {
  readonly host: Pick<HostState, 'links'>;
  readonly managed: readonly ManagedNic[];
  readonly applied: Applied | undefined;
}

/**
 * Whether nothing of ours is in force on the machine: no NIC has a name of ours, and no record or file of ours is about
 * a NIC that is here. A new disk has neither; a clone has those of the machine that it was copied from.
 */
export function isNewMachine({ host, managed, applied }: Traces): boolean {
  if (host.links.some(({ name }) => indexOfName(name) !== undefined)) return false;
  // Files without a record may be those of a machine whose record was lost, so a person decides.
  if (applied === undefined) return managed.length === 0;
  const macs = [...entriesByMac(applied.nics).map(([mac]) => mac), ...managed.map(({ nic }) => nic?.mac)];
  return macs.every((mac) => mac !== undefined && nicOf(host.links, mac) === undefined);
}
