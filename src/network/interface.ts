// The domain's smallest thing: one NIC as a node should have it. Pure values, no I/O.

/**
 * A secondary NIC as a node's files describe it. Normalised: MAC lower case with colons, address in its
 * canonical text (RFC 5952 for IPv6) without prefix.
 */
export interface Interface {
  /** `multinic0`… */
  readonly name: string;
  readonly mac: string;
  readonly address: string;
  readonly prefix: number;
  readonly mtu: number;
  /** OpenStack port, a comment in the file: it identifies nothing. */
  readonly portId?: string;
  /** netplan only: the key under `ethernets` when another file already describes the NIC under that ID. */
  readonly netplanId?: string;
}

/** What a CR's entry wants: as `Interface`, but a name only where the CR states one. */
export interface WantedInterface extends Omit<Interface, 'name' | 'netplanId'> {
  readonly name?: string;
}

/** A node's NICs, sorted by index of their names. */
export type Network = readonly Interface[];

/** A CR's wish may be compared with a network: by MAC, address, prefix, MTU; a name only if the wish states one. */
export function satisfies(network: Network, wanted: readonly WantedInterface[]): boolean {
  if (network.length !== wanted.length) return false;
  const byMac = new Map(network.map((nic) => [nic.mac, nic]));
  return wanted.every((want) => {
    const nic = byMac.get(want.mac);
    return (
      nic !== undefined &&
      nic.address === want.address &&
      nic.prefix === want.prefix &&
      nic.mtu === want.mtu &&
      (want.name === undefined || want.name === nic.name)
    );
  });
}
