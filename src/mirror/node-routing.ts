// Resolves source routing of a node from inventory and annotations, and warns if a CR's network overlaps the cluster's
// or another node's addresses.

import { ANNOTATIONS, readAnnotation } from '../api/annotations.ts';
import type { Problem } from '../api/errors.ts';
import { networkAddress, parseAddress, parseCidr, type Cidr } from '../network/address.ts';
import { overlaps, routingOff, type AutoRouting } from '../network/auto-routing.ts';
import { cidrsOf, type WantedInterface } from '../network/interface.ts';
import type { Claim, Claims } from './claim.ts';
import type { InventoryNode } from './home-port.ts';
import { formatConfigRef } from '../history/commit-format.ts';

export interface RoutingSettings {
  /** Whether a NIC gets source routing where it needs it and the CR does not set it. */
  readonly auto: boolean;
  /** Networks of the cluster's pods and Services. */
  readonly clusterNetworks: readonly string[];
}

export const DEFAULT_ROUTING: RoutingSettings = { auto: true, clusterNetworks: [] };

/**
 * Finds the setting of a node: the Node's annotation comes before the CR's annotation, and both before the controller's
 * option.
 */
export function autoRoutingOf(
  listed: InventoryNode | undefined,
  config: Readonly<Record<string, string>> | undefined,
  { auto }: RoutingSettings,
): AutoRouting {
  const word =
    readAnnotation(listed?.annotations, ANNOTATIONS.sourceRouting) ??
    readAnnotation(config, ANNOTATIONS.sourceRouting);
  return { on: word === undefined ? auto : word === 'auto', nodeAddresses: listed?.addresses ?? [] };
}

/** Warnings of the claimed entries, by the key of their CR. */
export function routingWarnings(
  claims: Claims,
  nodes: ReadonlyMap<string, InventoryNode>,
  settings: RoutingSettings,
): Map<string, Problem[]> {
  const warnings = new Map<string, Problem[]>();
  const known = NodeWarnings.of(nodes, settings);
  for (const [name, claim] of claims.byNode) {
    const found = known.find(name, claim);
    if (found.length === 0) continue;
    const key = formatConfigRef(claim.config.ref);
    const all = warnings.get(key);
    if (all === undefined) warnings.set(key, [...found]);
    else all.push(...found);
  }
  return warnings;
}

/** The warnings of an entry, and their inputs. */
interface Found {
  readonly listed: InventoryNode;
  readonly annotations: Readonly<Record<string, string>>;
  readonly peers: PeerAddresses;
  readonly problems: readonly Problem[];
}

/** Caches the warnings of entries for the same settings. */
class NodeWarnings {
  static readonly #known = new WeakMap<RoutingSettings, NodeWarnings>();

  readonly #settings: RoutingSettings;
  #nodes: ReadonlyMap<string, InventoryNode> = new Map();
  #peers = new PeerAddresses([]);
  readonly #found = new WeakMap<Claim['entry'], Found>();

  private constructor(settings: RoutingSettings) {
    this.#settings = settings;
  }

  static of(nodes: ReadonlyMap<string, InventoryNode>, settings: RoutingSettings): NodeWarnings {
    const known = this.#known.get(settings) ?? new NodeWarnings(settings);
    this.#known.set(settings, known);
    known.#see(nodes);
    return known;
  }

  #see(nodes: ReadonlyMap<string, InventoryNode>): void {
    if (nodes === this.#nodes) return;
    this.#nodes = nodes;
    const addresses = [...nodes.values()].flatMap((node) => node.addresses ?? []);
    // A node that only becomes ready changes no warning of another node.
    if (!this.#peers.areOf(addresses)) this.#peers = new PeerAddresses(addresses);
  }

  find(name: string, { config: { annotations }, entry }: Claim): readonly Problem[] {
    const listed = this.#nodes.get(name);
    if (listed === undefined) return [];
    const peers = this.#peers;
    const before = this.#found.get(entry);
    if (before?.listed === listed && before.annotations === annotations && before.peers === peers)
      return before.problems;
    const problems = this.#judge(listed, annotations, entry.wanted ?? []);
    this.#found.set(entry, { listed, annotations, peers, problems });
    return problems;
  }

  #judge(
    listed: InventoryNode,
    annotations: Readonly<Record<string, string>>,
    wanted: readonly WantedInterface[],
  ): Problem[] {
    if (wanted.length === 0) return [];
    const { name } = listed;
    const auto = autoRoutingOf(listed, annotations, this.#settings);
    const networks = [...(listed.podCIDRs ?? []), ...this.#settings.clusterNetworks];
    return wanted.flatMap((nic, index): Problem[] => {
      const path = `node ${name}, interfaces[${index}]`;
      return [
        ...routingOff(nic, wanted, auto, path),
        ...networkOverlaps(nic, networks, path),
        ...peerOverlaps(nic, listed, this.#peers, path),
      ];
    });
  }
}

/** The networks and routes of a NIC that overlap networks of pods or Services. */
function networkOverlaps(nic: WantedInterface, networks: readonly string[], path: string): Problem[] {
  return networks.flatMap((text): Problem[] => {
    const network = parseCidr(text);
    const mine = network && networksOf(nic).find((cidr) => overlaps(cidr, network));
    if (mine === undefined) return [];
    const message = `${subnetText(mine)} of ${nic.mac} overlaps ${text}, a network of pods or Services: one of the two is not reached; write another network`;
    return [{ path, code: 'NetworkOverlap', message }];
  });
}

/**
 * Another node whose address lies in a network of the NIC. A network that also has this node's own address does not
 * count.
 */
function peerOverlaps(
  nic: WantedInterface,
  listed: InventoryNode,
  peers: PeerAddresses,
  path: string,
): Problem[] {
  const own = (listed.addresses ?? []).flatMap((text) => parseAddress(text) ?? []);
  return networksOf(nic).flatMap((cidr): Problem[] => {
    if (own.some((address) => overlaps(cidr, { ...address, prefix: 128 }))) return [];
    const peer = peers.within(cidr);
    if (peer === undefined) return [];
    const message = `${subnetText(cidr)} of ${nic.mac} has ${peer}, the address of a node, which is then reached by this NIC; write another network`;
    return [{ path, code: 'NetworkOverlap', message }];
  });
}

function networksOf(nic: WantedInterface): Cidr[] {
  const routed = (nic.routes ?? []).map(({ to }) => to);
  return [...cidrsOf(nic), ...routed].flatMap((text) => parseCidr(text) ?? []);
}

function subnetText(cidr: Cidr): string {
  return `${networkAddress(cidr)}/${cidr.prefix}`;
}

/** Index of the addresses of all nodes, by network, for each prefix length that is asked for. */
class PeerAddresses {
  readonly #addresses: readonly string[];
  readonly #byNetwork = new Map<string, Map<string, string>>();

  constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
  }

  areOf(addresses: readonly string[]): boolean {
    return (
      addresses.length === this.#addresses.length &&
      addresses.every((address, index) => address === this.#addresses[index])
    );
  }

  within(cidr: Cidr): string | undefined {
    const kind = `${cidr.family} ${cidr.prefix}`;
    const known = this.#byNetwork.get(kind) ?? this.#index(cidr);
    this.#byNetwork.set(kind, known);
    return known.get(networkAddress(cidr));
  }

  #index({ family, prefix }: Cidr): Map<string, string> {
    return new Map(
      this.#addresses.flatMap((text) => {
        const address = parseAddress(text);
        return address?.family === family ? [[networkAddress({ ...address, prefix }), text] as const] : [];
      }),
    );
  }
}
