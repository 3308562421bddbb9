// NICs as a node should have them, beside those on its host. Pure.

import type { InterfaceStatus } from '../../api/status.ts';
import { networkAddress, parseCidr } from '../../network/address.ts';
import { ownCidrOf } from '../../network/interface.ts';
import { routingOf, ruleText, tableOf } from '../../network/source-routing.ts';
import type { Nic, PicturedNic } from '../live/answers.ts';

/** Fields of a NIC that may differ. */
export type NicField = 'name' | 'address' | 'mtu' | 'further' | 'gateway' | 'routes' | 'sourceRouting';

export interface NicRow {
  readonly mac: string;
  readonly desired: Nic | undefined;
  readonly host: Nic | undefined;
  readonly status: InterfaceStatus | undefined;
  /** Fields that differ. */
  readonly differs: ReadonlySet<NicField>;
}

export function nicRows(
  desired: readonly Nic[],
  host: readonly Nic[],
  statuses: readonly InterfaceStatus[],
): NicRow[] {
  const macs = new Set([...desired, ...host].map(({ mac }) => mac));
  return [...macs].map((mac) => {
    const wanted = desired.find((nic) => nic.mac === mac);
    const found = host.find((nic) => nic.mac === mac);
    const differs = wanted && found ? differencesOf(wanted, found) : new Set<NicField>();
    const status = statuses.find(({ macAddress }) => macAddress === mac);
    return { mac, desired: wanted, host: found, status, differs };
  });
}

function differencesOf(wanted: Nic, found: Nic): ReadonlySet<NicField> {
  const [one, other] = [fieldsOf(wanted), fieldsOf(found)];
  const names = Object.keys(one) as NicField[];
  return new Set(names.filter((field) => one[field] !== other[field]));
}

/** Each field as a canonical text. */
function fieldsOf(nic: Nic): Readonly<Record<NicField, string>> {
  return {
    name: nic.name,
    address: ownCidrOf(nic) ?? '',
    mtu: String(nic.mtu),
    further: (nic.furtherAddresses ?? []).join(' '),
    gateway: gatewaysOf(nic).join(' '),
    routes: routeTexts(nic).join('\n'),
    sourceRouting: `${nic.sourceRouting ?? false} ${nic.statedSourceRouting ?? 'auto'}`,
  };
}

export function gatewaysOf({ gateway, gateway6 }: Nic): string[] {
  return [gateway, gateway6].flatMap((each) => each ?? []);
}

/** Routes as `ip route` writes them. */
export function routeTexts({ routes = [] }: Nic): string[] {
  return routes.map(
    ({ to, via, metric }) => `${to} via ${via}${metric === undefined ? '' : ` metric ${metric}`}`,
  );
}

/** The rules of a NIC with source routing, as `ip rule` has them, and the number of its table. */
export function rulesOf(nic: Nic): { readonly table: number; readonly rules: readonly string[] } | undefined {
  const rules = routingOf(nic).rules.map(ruleText);
  return rules.length === 0 ? undefined : { table: tableOf(nic.name), rules };
}

export function pictured(rows: readonly NicRow[]): PicturedNic[] {
  return rows.flatMap(({ desired, host, status, differs }) => {
    const nic = desired ?? host;
    if (nic === undefined) return [];
    const bad = status?.state === 'Failed' || desired === undefined;
    const wait =
      differs.size > 0 || host === undefined || (status !== undefined && status.state !== 'Configured');
    const mark = bad ? 'bad' : wait ? 'wait' : 'good';
    return [{ name: nic.name, address: ownCidrOf(nic), network: networkOf(nic), mark }];
  });
}

/** The network of the first address; undefined: a link-only NIC. */
function networkOf(nic: Nic): string | undefined {
  const own = ownCidrOf(nic);
  const cidr = own === undefined ? undefined : parseCidr(own);
  return cidr === undefined ? own : `${networkAddress(cidr)}/${cidr.prefix}`;
}
