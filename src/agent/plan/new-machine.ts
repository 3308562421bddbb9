import { indexOfName } from '../../network/interface.ts';
import { entriesByMac } from '../../network/mac.ts';
import type { ManagedNic } from '../files/managed-files.ts';
import type { Applied } from '../files/host-record.ts';
import type { HostState } from '../host/machine.ts';
import { nicOf } from '../host/links.ts';

/** Links, files and record, which show whether the agent has configured a machine. */
export interface Traces {
  readonly host: Pick<HostState, 'links'>;
  readonly managed: readonly ManagedNic[];
  readonly applied: Applied | undefined;
}

/**
 * Whether the agent has configured no NIC of the machine: no NIC has a managed name, and neither the record nor a
 * managed file concerns a NIC that is here. A new disk has no record and no files; a clone has the record and the files
 * of its original.
 */
export function isNewMachine({ host, managed, applied }: Traces): boolean {
  if (host.links.some(({ name }) => indexOfName(name) !== undefined)) return false;
  // Files without a record may come from a machine that lost its record, so a person decides.
  if (applied === undefined) return managed.length === 0;
  const macs = [...entriesByMac(applied.nics).map(([mac]) => mac), ...managed.map(({ nic }) => nic?.mac)];
  return macs.every((mac) => mac !== undefined && nicOf(host.links, mac) === undefined);
}
