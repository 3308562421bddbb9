// A root folder with a recorded machine: the host of the local home.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MultinicError } from '../../api/errors.ts';
import { contains, parseAddress, parseCidr } from '../../network/address.ts';
import { cidrsOf, type Interface } from '../../network/interface.ts';
import type { RendererKind } from '../../network/node.ts';
import type { Mac } from '../../network/mac.ts';
import { readBoot } from '../foreign/boot-folders.ts';
import { generate } from '../foreign/generator.ts';
import type { Pending } from '../files/host-record.ts';
import { readManaged } from '../files/managed-files.ts';
import { nextBoot, type NextBoot } from '../foreign/next-boot.ts';
import type { BootNic } from '../foreign/systemd-files.ts';
import type { Root } from '../files/root.ts';
import { NO_FOREIGN_STATE, type ForeignState } from '../host/foreign-state.ts';
import type {
  BootPort,
  BootRouting,
  DeadManPort,
  ForeignStatePort,
  Host,
  LinkPort,
  MachinePort,
  ManagerPort,
  NeighbourPort,
} from '../host/host.ts';
import { heldAddresses, ipOf, isSameFamily } from '../host/links.ts';
import type {
  ClaimedAddress,
  Conflict,
  HostState,
  LinkGroup,
  LinkStep,
  MachineIdentity,
  Destinations,
  Packet,
  Readiness,
  Route,
  RouteLookup,
} from '../host/machine.ts';
import type { Probe } from '../host/probe.ts';
import {
  isConnectedInMain,
  isEmptyRouting,
  NO_ROUTING,
  NOTHING_KNOWN,
  onlyIn,
  wantedRouting,
  type KnownRouting,
  type LinkRouting,
} from '../host/routing.ts';
import { readHostFile, writeHostFile, type HostFile } from './host-file.ts';

export function recordedHost(root: Root): Host {
  return {
    machine: new RecordedMachine(root),
    links: new RecordedLinks(root),
    neighbours: new RecordedNeighbours(root),
    managers: new RecordedManagers(root),
    foreign: new RecordedForeignState(),
    boot: new RecordedBoot(root),
    deadMan: new RecordedDeadMan(root),
  };
}

class RecordedMachine implements MachinePort {
  readonly #root: Root;

  constructor(root: Root) {
    this.#root = root;
  }

  async state(known: KnownRouting = NOTHING_KNOWN): Promise<HostState> {
    const { deadMan: _, neighbours: __, links, ...state } = readHostFile(this.#root);
    return {
      ...state,
      links: links.map(({ carrier: ___, routing, ...link }) => {
        const wanted = known.get(link.mac);
        return wanted === undefined ? link : { ...link, routing: partOf(routing ?? NO_ROUTING, wanted) };
      }),
    };
  }

  async links(known?: KnownRouting): Promise<HostState['links']> {
    return (await this.state(known)).links;
  }

  async identity(): Promise<MachineIdentity> {
    const { machineId, bootId, systemUUID } = readHostFile(this.#root);
    return { machineId, bootId, ...(systemUUID !== undefined && { systemUUID }) };
  }

  /** Returns at once, because a person attaches a NIC by editing the file. */
  async attached(): Promise<void> {}

  /** `uppers` of the file has the links of all namespaces. */
  async uppersElsewhere(): Promise<[]> {
    return [];
  }

  /** A packet from an address with rules leaves by the NIC of the address. */
  async waysFrom(packets: readonly Packet[]): Promise<RouteLookup[]> {
    const { links } = readHostFile(this.#root);
    return packets.flatMap(({ to, from }) => {
      const link = links.find(({ routing }) => routing?.rules.some((rule) => rule.split(' ')[2] === from));
      return link === undefined ? [] : [{ to, from, dev: link.name }];
    });
  }

  async lookUpRoutes({ to, from }: Destinations): Promise<RouteLookup[]> {
    const host = readHostFile(this.#root);
    return to.flatMap((each) => {
      const way = routeTo(each, host);
      const sources = from.filter((source) => isSameFamily(source, each));
      return way === undefined ? [] : [way, ...sources.map((source) => ({ ...way, from: source }))];
    });
  }
}

class RecordedLinks implements LinkPort {
  readonly #root: Root;

  constructor(root: Root) {
    this.#root = root;
  }

  async change(group: LinkGroup): Promise<void> {
    for (const step of group) this.#change(step);
  }

  #change(step: LinkStep): void {
    const host = readHostFile(this.#root);
    const links = host.links.map((link) => ({ ...link }));
    const link = links.find((each) => each.mac === step.mac);
    if (link === undefined) throw refused(step, 'no such device');
    switch (step.op) {
      case 'rename':
        if (links.some((each) => each.name === step.to)) throw refused(step, 'a link of that name exists');
        link.name = step.to;
        // The kernel keeps a route with its device, whatever the name.
        for (const route of host.routes) if (route.dev === step.from) route.dev = step.to;
        break;
      case 'ipv6':
      case 'manage':
        throw refused(step, 'a recorded machine has no such settings');
      case 'set':
        if (step.mtu < 68 || step.mtu > 65_535) throw refused(step, 'MTU out of range');
        link.mtu = step.mtu;
        link.up = step.up;
        break;
      case 'add':
        addAddress(link, step);
        break;
      case 'drop':
        if (!link.addresses.includes(step.address)) throw refused(step, 'no such address');
        link.addresses = link.addresses.filter((each) => each !== step.address);
        setYields(link, step.address, false);
        break;
      case 'sysctl':
      case 'route':
      case 'unroute':
        setRouting(link, step);
        break;
    }
    writeHostFile(this.#root, { ...host, links });
  }

  async readiness(macs: readonly Mac[]): Promise<Readiness[]> {
    const { links, neighbours } = readHostFile(this.#root);
    return links
      .filter((link) => macs.includes(link.mac))
      .map((link) => {
        const claims = link.addresses.map((address) => ({ mac: link.mac, address }));
        const duplicates = conflictsOf(claims, neighbours).map(({ address }) => address);
        return { mac: link.mac, carrier: link.carrier !== false, duplicates, undecided: [] };
      });
  }
}

class RecordedNeighbours implements NeighbourPort {
  readonly #root: Root;

  constructor(root: Root) {
    this.#root = root;
  }

  /** Does nothing, because the machines in the file keep no table of MACs. */
  async announce(): Promise<void> {}

  async conflicts(claims: readonly ClaimedAddress[]): Promise<Conflict[]> {
    const v4 = claims.filter(({ address }) => !address.includes(':'));
    return conflictsOf(v4, readHostFile(this.#root).neighbours);
  }

  async answers({ host }: Probe): Promise<boolean> {
    return readHostFile(this.#root).neighbours.some(({ address }) => address === host);
  }
}

/** A recorded host has no NetworkManager and no networkd to talk to. */
class RecordedManagers implements ManagerPort {
  readonly #root: Root;

  constructor(root: Root) {
    this.#root = root;
  }

  async profiles(): Promise<undefined> {}

  async applyProfiles(): Promise<void> {}

  hasNetworkdFile(): boolean {
    return false;
  }

  async networkdNotices(): Promise<[]> {
    return [];
  }

  async awaitNetworkd(): Promise<void> {}

  /** Acts as a network manager that starts: each managed file takes effect on its NIC. */
  async reload(): Promise<void> {
    const host = readHostFile(this.#root);
    const links = host.links.map((link) => {
      const nic = readManaged(this.#root).find((managed) => managed.nic?.mac === link.mac)?.nic;
      return nic === undefined
        ? link
        : { ...link, up: true, mtu: nic.mtu, addresses: [...cidrsOf(nic)], ...routed(nic) };
    });
    writeHostFile(this.#root, { ...host, links });
  }
}

/** A recorded host loses no foreign state: its routes stay where they are. */
class RecordedForeignState implements ForeignStatePort {
  async read(): Promise<ForeignState> {
    return NO_FOREIGN_STATE;
  }

  async restore(): Promise<ForeignState> {
    return NO_FOREIGN_STATE;
  }
}

class RecordedBoot implements BootPort {
  readonly #root: Root;

  constructor(root: Root) {
    this.#root = root;
  }

  async canYield(): Promise<boolean> {
    return true;
  }

  async routing(): Promise<BootRouting> {
    return 'beside';
  }

  async validate(kinds: readonly RendererKind[], staging: string): Promise<void> {
    for (const kind of kinds) generate(kind, (folder) => filesIn(join(staging, folder)));
  }

  async nextBoot(nics: readonly BootNic[], kind: RendererKind, staging?: string): Promise<NextBoot[]> {
    return kind === 'netplan' ? [] : nextBoot(nics, readBoot(this.#root, staging));
  }
}

class RecordedDeadMan implements DeadManPort {
  readonly #root: Root;

  constructor(root: Root) {
    this.#root = root;
  }

  async arm(_: Pending, seconds: number): Promise<void> {
    writeHostFile(this.#root, { ...readHostFile(this.#root), deadMan: { seconds } });
  }

  async disarm(): Promise<void> {
    const { deadMan, ...host } = readHostFile(this.#root);
    if (deadMan !== undefined) writeHostFile(this.#root, host);
  }
}

function conflictsOf(claims: readonly ClaimedAddress[], neighbours: HostFile['neighbours']): Conflict[] {
  return claims.flatMap((claim) => {
    const holder = neighbours.find(({ address }) => address === ipOf(claim.address));
    return holder === undefined ? [] : [{ ...claim, holder: holder.mac }];
  });
}

type RecordedNic = HostFile['links'][number];

function addAddress(link: RecordedNic, step: LinkStep & { op: 'add' }): void {
  const { address: added, metric } = step;
  const isYielding = link.yields?.includes(added) === true;
  if (link.addresses.includes(added) && isYielding === (metric !== undefined))
    throw refused(step, 'the address exists');
  link.addresses = [...link.addresses.filter((each) => each !== added), added];
  setYields(link, added, metric !== undefined);
}

function setYields(link: RecordedNic, which: string, yields: boolean): void {
  const others = (link.yields ?? []).filter((each) => each !== which);
  const now = yields ? [...others, which] : others;
  if (now.length > 0) link.yields = now;
  else delete link.yields;
}

function routed(nic: Interface): Pick<RecordedNic, 'routing'> {
  const { rules, routes, sysctls } = wantedRouting(nic);
  return rules.length + routes.length === 0
    ? {}
    : {
        routing: {
          rules: [...rules],
          routes: routes.filter((route) => !isConnectedInMain(route)),
          sysctls: { ...sysctls },
        },
      };
}

/**
 * The part of the known rules and routes that a link has, and the link's settings. A new link has the value 0
 * everywhere.
 */
function partOf(routing: LinkRouting, known: LinkRouting): LinkRouting {
  const values = Object.keys(known.sysctls).map((key) => [key, routing.sysctls[key] ?? 0] as const);
  return {
    rules: known.rules.filter((rule) => routing.rules.includes(rule)),
    // Leaves out connected routes, which the recorded kernel makes by itself.
    routes: known.routes.filter((route) => isConnectedInMain(route) || routing.routes.includes(route)),
    sysctls: Object.fromEntries(values),
  };
}

function setRouting(link: RecordedNic, step: LinkStep & { op: 'sysctl' | 'route' | 'unroute' }): void {
  const now = link.routing ?? NO_ROUTING;
  const others = step.op === 'sysctl' ? now : onlyIn(now, { ...NO_ROUTING, ...step });
  const added = step.op === 'route' ? step : NO_ROUTING;
  const sysctls = Object.entries({ ...now.sysctls, ...(step.op === 'sysctl' && step.values) });
  const routing = {
    rules: [...others.rules, ...added.rules],
    routes: [...others.routes, ...added.routes].filter((route) => !isConnectedInMain(route)),
    sysctls: Object.fromEntries(sysctls.filter(([, value]) => value !== 0)),
  };
  if (isEmptyRouting(routing)) delete link.routing;
  else link.routing = routing;
}

/** The route with the longest prefix to an address; undefined for a host name, or without a route. */
function routeTo(address: string, host: Pick<HostState, 'links' | 'routes'>): RouteLookup | undefined {
  const target = parseAddress(address);
  if (target === undefined) return undefined;
  const connected = host.links.flatMap((link) =>
    heldAddresses(link).map((to) => ({ to, dev: link.name, yields: link.yields?.includes(to) === true })),
  );
  const routes: (Route & { readonly yields?: boolean })[] = [...connected, ...host.routes];
  const matching = routes.flatMap(({ to, dev, via, yields = false }) => {
    const network = parseCidr(to === 'default' ? (target.family === 4 ? '0.0.0.0/0' : '::/0') : to);
    if (network === undefined || !contains(network, target)) return [];
    return [
      { lookup: { to: address, dev, ...(via !== undefined && { via }) }, prefix: network.prefix, yields },
    ];
  });
  return matching.toSorted((a, b) => b.prefix - a.prefix || Number(a.yields) - Number(b.yields))[0]?.lookup;
}

function refused(step: LinkStep, why: string): MultinicError {
  return new MultinicError(
    'LinkRefused',
    `${step.op} of ${step.mac}: ${why}; look at \`ip link\` on the node`,
    {
      data: { step },
    },
  );
}

function filesIn(folder: string): Map<string, string> {
  if (!existsSync(folder)) return new Map();
  return new Map(
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [entry.name, readFileSync(join(folder, entry.name), 'utf8')]),
  );
}
