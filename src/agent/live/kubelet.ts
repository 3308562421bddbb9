// The API servers of the host's kubelet.
import { parse } from 'yaml';
import { parseAddress } from '../../network/address.ts';
import type { Root } from '../files/root.ts';
import { run, type InHost } from '../command/host-command.ts';

/** Kubeconfigs of kubeadm, of other installers, of RKE2, k3s, k0s and MicroK8s. */
const KUBECONFIGS = [
  'etc/kubernetes/kubelet.conf',
  'var/lib/kubelet/kubeconfig',
  'var/lib/rancher/rke2/agent/kubelet.kubeconfig',
  'var/lib/rancher/k3s/agent/kubelet.kubeconfig',
  'var/lib/k0s/kubelet.conf',
  'var/snap/microk8s/current/credentials/kubelet.config',
];
const RESOLVE_MS = 5_000;

/**
 * Hosts at which the kubelet reaches its API servers, as addresses or names. A host may be a load balancer that no
 * Service knows.
 */
export function kubeletServers(root: Root): string[] {
  return KUBECONFIGS.flatMap((path) => serversIn(root.readForeign(path)?.content ?? ''));
}

/**
 * Addresses of hosts. The node itself resolves names, by its own resolver and /etc/hosts.
 * @returns no address for a name that the node does not resolve within some seconds
 */
export async function resolveHosts(hosts: readonly string[], inHost: InHost): Promise<string[]> {
  const found = await Promise.all(
    hosts.map(async (host) => {
      if (parseAddress(host) !== undefined) return [host];
      const answer = await run(inHost(['getent', 'ahosts', host]), RESOLVE_MS).catch(() => undefined);
      return [...(answer?.stdout ?? '').matchAll(/^(\S+)/gm)].flatMap(([, address = '']) => address);
    }),
  );
  return [...new Set(found.flat())];
}

function serversIn(kubeconfig: string): string[] {
  let clusters: unknown;
  try {
    clusters = (parse(kubeconfig) as { clusters?: unknown } | null)?.clusters;
  } catch {
    return [];
  }
  if (!Array.isArray(clusters)) return [];
  return (clusters as ({ cluster?: { server?: unknown } | null } | null)[]).flatMap((each) => {
    const server = each?.cluster?.server;
    const url = typeof server === 'string' ? URL.parse(server) : null;
    return url === null || url.hostname === '' ? [] : [url.hostname.replaceAll(/^\[|\]$/g, '')];
  });
}
