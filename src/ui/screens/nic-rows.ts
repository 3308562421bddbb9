// NICs as a node should have them, beside those on its host. Pure.

import type { InterfaceStatus } from '../../api/status.ts';
import type { Nic, PicturedNic } from '../live/answers.ts';

export interface NicRow {
  readonly mac: string;
  readonly desired: Nic | undefined;
  readonly host: Nic | undefined;
  readonly status: InterfaceStatus | undefined;
  /** Fields that differ. */
  readonly differs: ReadonlySet<'name' | 'address' | 'mtu'>;
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
    const differs = new Set<'name' | 'address' | 'mtu'>();
    if (wanted !== undefined && found !== undefined) {
      if (wanted.name !== found.name) differs.add('name');
      if (cidrOf(wanted) !== cidrOf(found)) differs.add('address');
      if (wanted.mtu !== found.mtu) differs.add('mtu');
    }
    const status = statuses.find(({ macAddress }) => macAddress === mac);
    return { mac, desired: wanted, host: found, status, differs };
  });
}

export function cidrOf({ address, prefix }: Nic): string {
  return address === undefined ? '' : `${address}/${prefix}`;
}

export function pictured(rows: readonly NicRow[]): PicturedNic[] {
  return rows.flatMap(({ desired, host, status, differs }) => {
    const nic = desired ?? host;
    if (nic === undefined) return [];
    const bad = status?.state === 'Failed' || desired === undefined;
    const wait =
      differs.size > 0 || host === undefined || (status !== undefined && status.state !== 'Configured');
    const mark = bad ? 'bad' : wait ? 'wait' : 'good';
    return [{ name: nic.name, address: cidrOf(nic), network: networkOf(nic), mark }];
  });
}

/** The network of an IPv4 address; of an IPv6 address, the address with its prefix. */
function networkOf({ address = '', prefix = 0 }: Nic): string {
  const bytes = address.split('.').map(Number);
  if (bytes.length !== 4) return address === '' ? '–' : `${address}/${prefix}`;
  const net = bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefix - index * 8));
    return byte & (0xff << (8 - bits)) & 0xff;
  });
  return `${net.join('.')}/${prefix}`;
}
