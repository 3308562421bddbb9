// Restores the foreign state that a change found. The run that ends the change does this, or the undo of the change.
import type { Pending } from '../files/host-record.ts';
import { isArmed } from '../files/armed-restore.ts';
import type { Root } from '../files/root.ts';
import {
  notOnLinks,
  fromCommands,
  NO_FOREIGN_STATE,
  toCommands,
  type ForeignState,
} from '../host/foreign-state.ts';
import type { Host } from '../host/host.ts';
import type { NamedNic, Rename } from '../host/machine.ts';
import type { Log } from './run-log.ts';

/** Foreign state as the change found it. */
export interface RecordedForeign {
  readonly bootId: string;
  readonly state: ForeignState;
  /** The links of the change, by the names that the state has for them. */
  readonly links: readonly NamedNic[];
  /** A network manager has read its files again since the change. */
  readonly isReloaded: boolean;
}

type Ports = Pick<Host, 'machine' | 'managers' | 'foreign'>;

export function recordedForeign({ bootId, others, links, reload }: Pending): RecordedForeign {
  return { bootId, state: fromCommands(others), links: links.before, isReloaded: reload };
}

/** @returns commands of `ip` for the entries that could not be restored */
export async function restoreForeign(
  recorded: RecordedForeign,
  root: Root,
  host: Ports,
  log: Log,
): Promise<readonly string[]> {
  if (!(await mayRestore(recorded, root, host))) return [];
  const { state, links, isReloaded } = recorded;
  const notRestored = toCommands(await host.foreign.restore(state, links, isReloaded));
  if (notRestored.length > 0)
    log.warn({ notRestored }, 'could not restore all routes, rules and addresses of other software');
  return notRestored;
}

/** @returns the recorded state that is on no link of the change; empty if the state may belong elsewhere by now */
export async function recordedElsewhere(
  recorded: RecordedForeign,
  root: Root,
  host: Ports,
): Promise<ForeignState> {
  const may = await mayRestore(recorded, root, host);
  return may ? notOnLinks(recorded.state, recorded.links) : NO_FOREIGN_STATE;
}

/**
 * Waits for networkd after renames. networkd manages and releases NICs by their names, and then drops rules and
 * blackhole routes of other software.
 * @param dropped the state that networkd may drop: the state is restored at once, so that it is gone for a moment only
 */
export async function awaitNetworkd(
  renames: readonly Rename[],
  dropped: readonly ForeignState[],
  host: Ports,
): Promise<void> {
  const noticed = renames.filter((rename) => isForNetworkd(rename, host.managers));
  if (noticed.length === 0) return;
  const links = await host.managers.networkdNotices(noticed);
  for (const state of dropped) await host.foreign.restore(state, []);
  await host.managers.awaitNetworkd(links);
}

/** Whether networkd has a file for the old or the new name of a NIC. */
export function isForNetworkd({ mac, from, to }: Rename, managers: Host['managers']): boolean {
  return managers.hasNetworkdFile({ mac, name: from }) || managers.hasNetworkdFile({ mac, name: to });
}

/**
 * Whether foreign state may be restored: only while the host's own restore is armed, during a change and its undo.
 * Later, or after a reboot, foreign state may belong elsewhere (a VIP on another node).
 */
async function mayRestore(
  { bootId }: RecordedForeign,
  root: Root,
  { machine }: Pick<Host, 'machine'>,
): Promise<boolean> {
  return isArmed(root) && (await machine.identity()).bootId === bootId;
}
