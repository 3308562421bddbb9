// Describes a difference for people, and whether a run would repair it. The schema is a file of its own, because most
// commands start without a schema.

import type { Difference } from './observation.ts';

/** Describes a difference for people: a sentence without its full stop. */
export function describeDifference(difference: Difference): string {
  const { inUse } = difference;
  return `${wordsOf(difference)}${inUse === undefined ? '' : `; the NIC ${inUse}, so no run touches it`}`;
}

function wordsOf({ kind, name, mac, path, wanted, found }: Difference): string {
  const nic = [name ?? mac ?? 'a NIC', ...(name !== undefined && mac !== undefined ? [`(${mac})`] : [])].join(
    ' ',
  );
  const file = path ?? 'a file';
  switch (kind) {
    case 'FileChanged':
      return `${file} was changed: ${found ?? 'other text'} instead of ${wanted ?? 'the text of the commit'}`;
    case 'FileMissing':
      return `${file} is missing`;
    case 'FileExtra':
      return `${file} is on the host and not in the commit`;
    case 'FileForeign':
      return `${file} is on the host, and multinic-agent did not write it`;
    case 'LinkMissing':
      return `${nic} is not on the machine`;
    case 'LinkRenamed':
      return `${mac ?? nic} is named ${found ?? 'otherwise'} instead of ${wanted ?? name}`;
    case 'LinkDown':
      return `${nic} is down`;
    case 'MtuChanged':
      return `${nic} has MTU ${found} instead of ${wanted}`;
    case 'AddressMissing':
      return `${nic} does not have its address ${wanted}`;
    case 'AddressExtra':
      return `${nic} has the address ${found}, which the agent removed`;
    case 'MetricChanged':
      return `the route of ${nic} to its subnet does not have metric ${wanted}, so it may win over another NIC`;
    case 'RouterAdvertisements':
      return `${nic} accepts router advertisements`;
    case 'NetworkManagerManages':
      return `NetworkManager manages ${nic} too, so it may take the addresses away`;
    case 'RuleMissing':
      return `${nic} lacks the rule \`${wanted}\``;
    case 'RuleExtra':
      return `${nic} has the rule \`${found}\`, which the agent removed`;
    case 'RouteMissing':
      return `${nic} lacks the route \`${wanted}\``;
    case 'RouteExtra':
      return `${nic} has the route \`${found}\`, which the agent removed`;
    case 'SettingChanged':
      return `${nic} has the kernel setting ${found} instead of ${wanted}`;
    case 'NextBoot':
      return `at the next boot ${mac === undefined ? '' : `${nic} `}${found ?? 'other files count'}${path === undefined ? '' : ` by ${path}`}`;
  }
}

/** Kinds of difference that one NIC may have several times at once. */
const MANY: ReadonlySet<Difference['kind']> = new Set([
  'AddressMissing',
  'AddressExtra',
  'RuleMissing',
  'RuleExtra',
  'RouteMissing',
  'RouteExtra',
  'SettingChanged',
]);

/** The key that identifies a difference when it comes back. The found value is not part of the key. */
export function differenceKey({ kind, mac, path, wanted, found }: Difference): string {
  const about = kind === 'NextBoot' ? (mac ?? path) : (path ?? mac);
  return [kind, about, MANY.has(kind) ? (wanted ?? found) : undefined]
    .filter((each) => each !== undefined)
    .join(' ');
}

/** Whether a run would repair a difference. A run leaves foreign files and NICs that other software uses. */
export function isRepairable({ kind, inUse }: Difference): boolean {
  return kind !== 'NextBoot' && kind !== 'FileForeign' && inUse === undefined;
}

/** Whether a run would repair any difference of a drift. No run begins while a foreign file is at a managed path. */
export function isDriftRepairable(differences: readonly Difference[]): boolean {
  return differences.some(isRepairable) && !differences.some(({ kind }) => kind === 'FileForeign');
}

/** The remedy for a person where nothing repairs the drift by itself. */
export function describeRemedy(node: string, differences: readonly Difference[]): string {
  if (differences.length === 0 || isDriftRepairable(differences))
    return `multinic retry ${node} repairs the host, multinic accept ${node} keeps its files`;
  const steps = [
    ...(differences.some(({ kind }) => kind === 'FileForeign')
      ? [`move the foreign file away, then run multinic retry ${node}`]
      : []),
    ...(differences.some(({ kind }) => kind === 'NextBoot')
      ? ['remove the file that the message names']
      : []),
    ...(differences.some(({ inUse }) => inUse !== undefined)
      ? [`free the NIC, then run multinic retry ${node}`]
      : []),
  ];
  return `no run can repair that; ${steps.join(', and ')}`;
}
