// A file that sets the metric of our connected routes, where another NIC has a route to the same subnet; no renderer
// writes it, because only the node knows its other NICs. networkd reads the file as a drop-in of netplan's file,
// NetworkManager as a default for profiles without a metric, such as ours.
import { indexOfName, type Interface } from '../../network/interface.ts';
import { byNetworkManager, type RendererKind } from '../../network/node.ts';

/**
 * Lowest metric of our connected routes. Routes of primary NICs have 100 (netplan with DHCP, NetworkManager) or none.
 */
export const YIELD_METRIC = 1_000;

const NETWORKD_FOLDER = 'etc/systemd/network';
const DROP_IN = /^10-netplan-[^/]+\.network\.d$/;
const MANAGER_FOLDER = 'etc/NetworkManager/conf.d';
const DROP_IN_FILE = /^etc\/systemd\/network\/10-netplan-[^/]+\.network\.d\/multinic\d+\.conf$/;
const MANAGER_FILE = /^etc\/NetworkManager\/conf\.d\/90-multinic-metric-multinic\d+\.conf$/;

/**
 * The metric of a NIC's connected routes. Each NIC has a metric of its own, so that the order of two such routes stays
 * the same.
 */
export function metricOf(name: string): number {
  return YIELD_METRIC + (indexOfName(name) ?? 0);
}

export function isMetricFile(path: string): boolean {
  return DROP_IN_FILE.test(path) || isManagerMetric(path);
}

/** Whether a path is a metric file among NetworkManager's settings. */
export function isManagerMetric(path: string): boolean {
  return MANAGER_FILE.test(path);
}

export function metricPath(nic: Interface, kind: RendererKind): string {
  return byNetworkManager(kind)
    ? `${MANAGER_FOLDER}/90-multinic-metric-${nic.name}.conf`
    : `${NETWORKD_FOLDER}/10-netplan-${nic.netplanId ?? nic.name}.network.d/${nic.name}.conf`;
}

const HEADER =
  '# Written by multinic-agent: another NIC of this node has a route to the same subnet, which comes first.';

export function metricFile(nic: Interface, kind: RendererKind): string {
  const metric = metricOf(nic.name);
  return byNetworkManager(kind)
    ? `${HEADER}
[connection-${nic.name}]
match-device=interface-name:${nic.name}
ipv4.route-metric=${metric}
ipv6.route-metric=${metric}
`
    : `${HEADER}
[Address]
Address=${nic.address}/${nic.prefix}
RouteMetric=${metric}
`;
}

interface Folders {
  list(folder: string): string[];
}

/** Folders of networkd's drop-ins that may hold our files. */
export function dropInFolders(root: Folders): string[] {
  return root
    .list(NETWORKD_FOLDER)
    .flatMap((name) => (DROP_IN.test(name) ? [`${NETWORKD_FOLDER}/${name}`] : []));
}

export function metricPaths(root: Folders): string[] {
  return [...dropInFolders(root), MANAGER_FOLDER]
    .flatMap((folder) => root.list(folder).map((name) => `${folder}/${name}`))
    .filter(isMetricFile);
}
