import { checkpoint } from '../../api/checkpoint.ts';
import { sha256, type Applied, type HostRecord, type Pending } from '../files/host-record.ts';
import { CONFIG_FOLDERS, STAGING } from '../files/managed-files.ts';
import { dropInFolders } from '../files/route-metric.ts';
import type { Root } from '../files/root.ts';
import type { Host } from '../host/host.ts';
import { recordedRouting } from '../host/routing.ts';
import { addressesOnlyIn, unroutedOf } from '../plan/undo-plan.ts';
import { recordedForeign, restoreForeign } from './restore-foreign.ts';
import { describeNotRestored } from './result.ts';
import type { Log } from './run-log.ts';
import { disarm, undo } from './undo.ts';
import { durablePart, verifyLinks, verifyReady, verifyUntouched } from './verify.ts';
import { verifyGateways } from './route-lookups.ts';

type Recovered = 'clean' | 'finished' | 'undone';

/**
 * Ends the change that a killed run left: keeps a change that is complete on the host, and undoes any other.
 * @returns what was done, for the log
 */
export async function recover(
  root: Root,
  host: Host,
  record: HostRecord,
  probe: () => Promise<void>,
  log: Log,
): Promise<Recovered> {
  // The list of folders includes the root itself (`''`), because the file of a recorded machine is there.
  root.removeTemporary(['', ...CONFIG_FOLDERS, ...dropInFolders(root), 'var/lib/multinic']);
  root.removeScratch(STAGING);
  const recovered = await endPending(root, host, record, probe, log);
  checkpoint('agent.recover.disarm');
  await disarm(host.deadMan, log);
  return recovered;
}

async function endPending(
  root: Root,
  host: Host,
  record: HostRecord,
  probe: () => Promise<void>,
  log: Log,
): Promise<Recovered> {
  const { pending } = record;
  if (pending === undefined) return 'clean';
  if (!owesReload(record.applied, pending) && (await isComplete(pending, root, host, probe, log))) {
    record.finish(pending.applied);
    return 'finished';
  }
  const notRestored = await undo(pending, root, host, log);
  if (notRestored.length > 0) log.warn({ notRestored }, describeNotRestored(notRestored));
  record.abandon();
  return 'undone';
}

/**
 * Whether networkd still holds addresses that a reload should have removed and a kill prevented. Only the record from
 * before the change knows these addresses, so the change must not replace that record.
 */
function owesReload(applied: Applied | undefined, { bootId, reload, applied: next }: Pending): boolean {
  if (reload) return false;
  return Object.entries(applied?.nics ?? {}).some(
    ([mac, { lingering }]) =>
      lingering?.bootId === bootId &&
      lingering.addresses.length > 0 &&
      next?.nics[mac] !== undefined &&
      next.nics[mac].lingering === undefined,
  );
}

/** Whether the host passes every check that a run makes before it reports Applied. */
async function isComplete(
  pending: Pending,
  root: Root,
  host: Host,
  probe: () => Promise<void>,
  log: Log,
): Promise<boolean> {
  const { files, links, machine } = pending;
  if (!files.every((file) => isWritten(file, root))) return false;
  try {
    verifyLinks(
      (await host.machine.state(recordedRouting(pending))).links,
      links.after.map((link) => ({
        ...link,
        dropped: addressesOnlyIn(links.before, link),
        ...unroutedOf(links.before, link),
      })),
    );
    // The killed run may have changed its last link without restoring foreign state.
    await restoreForeign(recordedForeign(pending), root, host, log);
    const configured = links.after.filter(({ mac }) => pending.applied?.nics[mac] !== undefined);
    verifyReady(await host.links.readiness(configured.map(({ mac }) => mac)), configured);
    verifyUntouched(await host.machine.state(), durablePart(machine, links.after));
    await verifyGateways(host.machine, machine.routes, links.after);
    await probe();
    return true;
  } catch {
    return false;
  }
}

function isWritten({ path, after }: Pending['files'][number], root: Root): boolean {
  const file = root.read(path);
  return (file === undefined ? null : sha256(file.content)) === after;
}
