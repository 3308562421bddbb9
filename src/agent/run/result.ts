import { MultinicError } from '../../api/errors.ts';
import type { Outcome } from '../../api/outcome.ts';
import type { FoundNic, Lingering, Plan } from '../plan/plan.ts';
import type { CloudInitName } from '../foreign/cloud-init.ts';
import { unexpected, type LeftNic } from '../plan/used-nics.ts';
import type { Network } from '../../network/interface.ts';
import type { Applied } from '../files/host-record.ts';
import type { AnyReason, Reason } from '../../api/reasons/reasons.ts';
import type { Oid } from '../../api/oid.ts';

/** The end of a run, as its report has it. The run adds its name, node and times. */
export type Report = Pick<Outcome, 'result'> &
  Partial<
    Pick<
      Outcome,
      | 'reason'
      | 'message'
      | 'written'
      | 'removed'
      | 'missing'
      | 'leftOut'
      | 'found'
      | 'record'
      | 'tree'
      | 'warnings'
    >
  >;

/**
 * @param notRestored routes, rules and addresses of other software that could not be restored
 * @param doubt the reason why the next boot may have another result
 * @param renamed NICs that cloud-init renames at the next boot
 */
export function success(
  { missing, files, lingering, left: all }: Plan,
  notRestored: readonly string[],
  doubt?: MultinicError,
  renamed: readonly CloudInitName[] = [],
): Report {
  const left = unexpected(all);
  const last = new Map(files.map((step) => [step.path, step.op]));
  const paths = (op: 'write' | 'remove'): string[] =>
    [...last].filter(([, each]) => each === op).map(([path]) => path);
  const changes = { written: paths('write'), removed: paths('remove'), missing: [...missing] };
  const absent = `not on this machine: ${missing.join(', ')}; attach the ports to the VM, or take them out of the MultiNicBizConfig`;
  const message = [
    ...(missing.length === 0 ? [] : [absent]),
    ...(left.length === 0 ? [] : [describeLeft(left)]),
    ...(lingering.length === 0 ? [] : [describeLingering(lingering)]),
    ...(notRestored.length === 0 ? [] : [describeNotRestored(notRestored)]),
    ...(doubt === undefined ? [] : [`at the next boot: ${doubt.message}`]),
    ...(renamed.length === 0 ? [] : [describeRenamed(renamed)]),
  ].join('. ');
  const warnings: AnyReason[] = [];
  if (left.length > 0) warnings.push(NIC_LEFT);
  if (lingering.length > 0) warnings.push(NETWORKD_HOLDS);
  if (notRestored.length > 0) warnings.push(OTHERS_LOST);
  if (doubt !== undefined) warnings.push(doubt.code);
  if (renamed.length > 0) warnings.push(CLOUD_INIT_RENAMES);
  return {
    ...(missing.length === 0 ? { result: 'Applied' } : { result: 'Pending', reason: 'InterfacesMissing' }),
    ...(message !== '' && { message }),
    ...(warnings.length > 0 && { warnings }),
    ...changes,
  };
}

/** Report of a run that left NICs out, so the host does not have the whole commit. */
export function leavingOut(report: Report, left: Network): Report {
  if (left.length === 0 || (report.result !== 'Applied' && report.result !== 'Pending')) return report;
  const nics = left.map(({ name, mac, address }) => `${name} (${mac}) with ${address}`).join(', ');
  const what = `left out for now: ${nics}; another node still has that address, and takes one that this run freed`;
  return {
    ...report,
    result: 'Pending',
    reason: 'AddressFreed',
    message: [what, ...(report.message === undefined ? [] : [report.message])].join('. '),
    leftOut: left.map(({ mac }) => mac),
  };
}

/** Warning: foreign state could not be restored. */
export const OTHERS_LOST: Reason = 'OthersLost';

/** Warning: other software uses a NIC of the commit. */
export const NIC_LEFT: Reason = 'NicLeft';

/** Warning: networkd still holds addresses of an old file. */
export const NETWORKD_HOLDS: Reason = 'NetworkdHoldsOldFile';

/** Warning: cloud-init renames a NIC of the commit at the next boot. */
export const CLOUD_INIT_RENAMES: Reason = 'CloudInitRenames';

export function describeRenamed(renamed: readonly CloudInitName[]): string {
  const nics = renamed.map(({ nic, name, file }) => `${nic.name} (${nic.mac}) ${name} by ${file}`).join('; ');
  return `at the next boot cloud-init names NICs of the commit otherwise: ${nics}; write \`network: {config: disabled}\` in /etc/cloud/cloud.cfg.d/99-disable-network-config.cfg on the node`;
}

const LISTED = 5;

/** @param notRestored commands of `ip`, or the end of a sentence */
export function describeNotRestored(notRestored: readonly string[]): string {
  const more =
    notRestored.length > LISTED ? ` and ${notRestored.length - LISTED} more (the log has all)` : '';
  return `could not restore all routes, rules and addresses of other software: ${notRestored.slice(0, LISTED).join('; ')}${more}; look at the node’s routes and rules`;
}

/**
 * Describes the addresses that networkd adds again. networkd does not notice live changes, and still holds the files of
 * the boot.
 */
export function describeLingering(lingering: readonly Lingering[]): string {
  const unrouted = lingering.flatMap(({ name, heldRouting }) => (heldRouting === undefined ? [] : [name]));
  const removed = lingering.flatMap(({ name, addresses, withoutMetric }) => {
    const others = addresses.filter((address) => address !== withoutMetric);
    return others.length === 0 ? [] : [`${name} ${others.join(', ')}`];
  });
  const unmetered = lingering.flatMap(({ name, withoutMetric }) =>
    withoutMetric === undefined ? [] : [`${name} ${withoutMetric}`],
  );
  const ends = 'a reboot ends this, `multinic retry` mends it after it happened';
  const whenever = 'when a NIC loses its carrier and gets it back';
  return [
    ...(removed.length === 0
      ? []
      : [
          `systemd-networkd still holds addresses that it loaded at boot, and adds them again ${whenever}: ${removed.join('; ')}; ${ends}`,
        ]),
    ...(unmetered.length === 0
      ? []
      : [
          `systemd-networkd loaded addresses without the metric that lets the node's own NIC come first, and adds them so ${whenever}, which can cut the node off: ${unmetered.join('; ')}; ${ends}`,
        ]),
    ...(unrouted.length === 0
      ? []
      : [
          `systemd-networkd loaded other rules and routes than these NICs have now, and puts its own in their place ${whenever}: ${unrouted.join('; ')}; ${ends}`,
        ]),
  ].join('. ');
}

/** Describes the NICs of the commit that stay as they are because other software uses them. */
export function describeLeft(left: readonly LeftNic[]): string {
  const nics = left.map(({ name, mac, use }) => `${name} (${mac}) ${use}`).join('; ');
  return `other software uses NICs of the commit, which stay as they are: ${nics}; free each NIC and run \`multinic retry\`, or take its MAC out of the MultiNicBizConfig`;
}

export function superseded(commit: Oid, tip: Oid): Report {
  return {
    result: 'Superseded',
    reason: 'NewerCommit',
    message: `the branch is at ${tip.slice(0, 10)}, the Job was made for ${commit.slice(0, 10)}; nothing was touched, a Job for the newer commit follows`,
  };
}

export function adopt(found: readonly FoundNic[]): Report {
  return {
    result: 'Adopt',
    reason: 'NamesFound',
    message: `NICs already have names that the commit does not give them (${found.map(({ mac, name, netplanId }) => `${mac} ${netplanId ?? name}`).join(', ')}); nothing was touched, the controller takes the names over`,
    found: [...found],
  };
}

export function diverged(
  found: readonly FoundNic[],
  applied: Applied | undefined,
  expected: Oid | null,
): Report {
  return {
    result: 'Diverged',
    reason: 'RecordDiffers',
    message: `the host has ${short(applied?.commit)} where ${short(expected)} was expected; nothing was touched: look at its files, then run \`multinic confirm\` for the node`,
    found: [...found],
    record: applied?.commit ?? null,
  };
}

/** Reason and message of an error in a report. */
export function describeError(error: unknown): { reason: AnyReason; message: string } {
  if (error instanceof MultinicError) return { reason: error.code, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  return {
    reason: 'Internal',
    message: `${message}; this is a fault of the agent: report it with the agent’s log`,
  };
}

function short(commit: Oid | null | undefined): string {
  return commit?.slice(0, 10) ?? 'no commit';
}
