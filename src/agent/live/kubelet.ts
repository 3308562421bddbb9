import type { Root } from '../files/root.ts';

/** Kubeconfigs of kubeadm, of other installers and of RKE2. */
const KUBECONFIGS = [
  'etc/kubernetes/kubelet.conf',
  'var/lib/kubelet/kubeconfig',
  'var/lib/rancher/rke2/agent/kubelet.kubeconfig',
];
const SERVER = /^\s*server:\s*["']?https?:\/\/\[?([0-9A-Fa-f.:]+?)\]?(:\d+)?["']?\s*$/m;

/** Addresses by which the kubelet reaches its API server: perhaps those of a load balancer that no Service knows. */
export function kubeletServers(root: Root): string[] {
  return KUBECONFIGS.flatMap((path) => SERVER.exec(root.readForeign(path)?.content ?? '')?.[1] ?? []);
}
