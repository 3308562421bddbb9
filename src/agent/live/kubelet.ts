import type { Root } from '../files/root.ts';

/** Of kubeadm, of other installers, of RKE2. */
const KUBECONFIGS = [
  'etc/kubernetes/kubelet.conf',
  'var/lib/kubelet/kubeconfig',
  'var/lib/rancher/rke2/agent/kubelet.kubeconfig',
];
const SERVER = /^\s*server:\s*["']?https?:\/\/\[?([0-9A-Fa-f.:]+?)\]?(:\d+)?["']?\s*$/m;

/** Addresses by which the host's kubelet reaches its API server: a load balancer's perhaps, which no Service knows. */
export function kubeletServers(root: Root): string[] {
  return KUBECONFIGS.flatMap((path) => SERVER.exec(root.readForeign(path)?.content ?? '')?.[1] ?? []);
}
