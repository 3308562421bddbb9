// The two nodes of cluster tests that compare networkd (debian) with NetworkManager (rhel), and the MACs of their NICs.

export const NODES = ['debian', 'rhel'] as const;
export type NodeName = (typeof NODES)[number];
export const MACS: Readonly<Record<NodeName, readonly [string, string]>> = {
  debian: ['02:00:00:00:01:01', '02:00:00:00:01:02'],
  rhel: ['02:00:00:00:02:01', '02:00:00:00:02:02'],
};
