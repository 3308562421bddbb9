// State of the running machine: the kernel's links and routes, and a few files of the host.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { indexOfName } from '../../network/interface.ts';
import type { Mac } from '../../network/mac.ts';
import type { Root } from '../files/root.ts';
import type { MachinePort } from '../host/host.ts';
import { heldAddresses, ipOf, isSameFamily } from '../host/links.ts';
import type {
  ConnectedRoute,
  HostState,
  Link,
  MachineIdentity,
  Destinations,
  Packet,
  Upper,
  RouteLookup,
} from '../host/machine.ts';
import {
  ip,
  readAltnames,
  readConnected,
  readLinks,
  readMainRoutes,
  readMtuLimits,
  readOtherAddresses,
  lookUpRoutes,
  withYields,
  type RawLink,
  type RawRoute,
} from './ip.ts';
import { withoutAutomatic } from './automatic-profiles.ts';
import type { InHost } from '../command/host-command.ts';
import { kubeletServers, resolveHosts } from './kubelet.ts';
import { isWithoutIpv6, readIpv6 } from './live-links.ts';
import { withRouting } from './live-routing.ts';
import { NOTHING_KNOWN, type KnownRouting } from '../host/routing.ts';
import type { NetworkManager } from './network-manager.ts';
import { loadedAddresses } from '../host/networkd.ts';
import { readUppers, uppersElsewhere } from './upper-links.ts';
import { until } from '../command/host-command.ts';

/** Limit of the wait for a NIC. OpenStack attaches a port within a second or two. */
const ATTACH_MS = 3_000;
const BOOT_ID = 'proc/sys/kernel/random/boot_id';

/** Whether a folder is the root of a running system. Such a root has a kernel's /proc. */
export function isRunning(root: string): boolean {
  return existsSync(join(root, BOOT_ID));
}

export class LiveMachine implements MachinePort {
  readonly #root: Root;
  readonly #manager: NetworkManager;
  readonly #nodeAddress: string | undefined;

  readonly #inHost: InHost;
  #servers: Promise<string[]> | undefined;
  /** NetworkManager did not answer. */
  #isSilent = false;

  /** @param nodeAddress address by which the cluster knows this node; the NIC with it may have no default route */
  constructor(root: Root, manager: NetworkManager, inHost: InHost, nodeAddress: string | undefined) {
    this.#root = root;
    this.#inHost = inHost;
    this.#manager = manager;
    this.#nodeAddress = nodeAddress;
  }

  async state(known: KnownRouting = NOTHING_KNOWN): Promise<HostState> {
    const [links, routes4, routes6, automatic, managed] = await Promise.all([
      ip<RawLink>('-d', 'addr', 'show'),
      readMainRoutes('-4'),
      readMainRoutes('-6'),
      this.#automatic(),
      this.#managed(),
    ]);
    const { links: own, routes } = withoutAutomatic(links, [routes4, routes6], automatic);
    const connected = readConnected([...routes4, ...routes6]);
    const { links: routed, foreign } = await this.#complete(own, links, connected, managed, known);
    const primary = new Set(routes.filter(({ to }) => to === 'default').map(({ dev }) => dev));
    return {
      osImage: this.#osImage(),
      ...(await this.identity()),
      nodeAddresses: [
        ...(this.#nodeAddress === undefined ? [] : [this.#nodeAddress]),
        ...own.filter(({ name }) => primary.has(name)).flatMap((link) => heldAddresses(link).map(ipOf)),
      ],
      links: routed,
      altnames: readAltnames(links),
      uppers: readUppers(links),
      mtuLimits: readMtuLimits(links),
      withoutIpv6: own.map(({ name }) => name).filter((name) => isWithoutIpv6(this.#root.dir, name)),
      otherAddresses: readOtherAddresses(links),
      connected,
      routes,
      ...(foreign.length > 0 && { foreignRouting: foreign }),
    };
  }

  async uppersElsewhere(): Promise<Upper[]> {
    return uppersElsewhere(this.#root, await ip<RawLink>('link', 'show'));
  }

  async links(known: KnownRouting = NOTHING_KNOWN): Promise<Link[]> {
    // `proto` makes the kernel leave out routes of all other software. `static` is needed where networkd itself makes
    // the connected routes of a NIC with source routing.
    const protocols = known.size === 0 ? ['kernel'] : ['kernel', 'static'];
    const [raw, managed, ...routes] = await Promise.all([
      ip<RawLink>('-d', 'addr', 'show'),
      this.#managed(),
      ...protocols.flatMap((protocol) =>
        ['-4', '-6'].map((family) =>
          ip<RawRoute>(family, 'route', 'show', 'table', 'main', 'proto', protocol),
        ),
      ),
    ]);
    return (await this.#complete(readLinks(raw), raw, readConnected(routes.flat()), managed, known)).links;
  }

  #complete(
    links: readonly Link[],
    raw: readonly RawLink[],
    connected: readonly ConnectedRoute[],
    managed: ReadonlyMap<string, boolean>,
    known: KnownRouting,
  ): ReturnType<typeof withRouting> {
    const complete = links.map((link) => {
      const networkManager = managed.get(link.name);
      const told = networkManager === undefined ? link : { ...link, networkManager };
      return withYields(this.#withIpv6(this.#withLoaded(told, raw)), connected);
    });
    return withRouting(this.#root.dir, complete, known);
  }

  async identity(): Promise<MachineIdentity> {
    const systemUUID = this.#read('sys/class/dmi/id/product_uuid');
    return {
      machineId: this.#read('etc/machine-id'),
      // Reads the host's /proc, because a pod's own /proc may show another view.
      bootId: readFileSync(join(this.#root.dir, BOOT_ID), 'utf8').trim(),
      ...(systemUUID !== '' && { systemUUID }),
    };
  }

  async attached(macs: readonly Mac[]): Promise<void> {
    await until(ATTACH_MS, async () => {
      const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
      return macs.every((mac) => links.some((link) => link.mac === mac));
    });
  }

  /** Asks the kernel for the routes, because rules and tables of other software decide too. */
  async lookUpRoutes({ to, from }: Destinations): Promise<RouteLookup[]> {
    // Names are resolved once, because the routes to the same addresses are compared after a change.
    this.#servers ??= resolveHosts(kubeletServers(this.#root), this.#inHost);
    const targets = [...new Set([...to, ...(await this.#servers)])];
    return lookUpRoutes(
      targets.flatMap((target) => [
        { to: target },
        ...from
          .filter((source) => isSameFamily(source, target))
          .map((source) => ({ to: target, from: source })),
      ]),
    );
  }

  async waysFrom(packets: readonly Packet[]): Promise<RouteLookup[]> {
    return lookUpRoutes(packets);
  }

  /** Names of NICs for which NetworkManager has made a profile by itself. */
  async #automatic(): Promise<ReadonlySet<string>> {
    const profiles = await this.#ask(() => this.#manager.profiles());
    return new Set(profiles.flatMap(({ automatic, device }) => (automatic && device ? [device] : [])));
  }

  /** The links that NetworkManager knows, by name, and whether it manages them. */
  async #managed(): Promise<ReadonlyMap<string, boolean>> {
    const devices = await this.#ask(() => this.#manager.devices());
    return new Map(devices.map(({ name, state }) => [name, state !== 'unmanaged']));
  }

  /** @returns nothing if NetworkManager does not run, because then it changes no link */
  async #ask<T>(question: () => Promise<readonly T[]>): Promise<readonly T[]> {
    if (this.#isSilent || !existsSync(this.#root.resolve('run/NetworkManager'))) return [];
    try {
      return await question();
    } catch {
      // Asks once only, because each question to a hanging NetworkManager takes seconds.
      this.#isSilent = true;
      return [];
    }
  }

  #withLoaded(link: Link, raw: readonly RawLink[]): Link {
    const ifindex = raw.find(({ ifname }) => ifname === link.name)?.ifindex;
    if (ifindex === undefined || indexOfName(link.name) === undefined) return link;
    const loaded = loadedAddresses(this.#root, ifindex);
    return loaded.length === 0 ? link : { ...link, loaded };
  }

  #withIpv6(link: Link): Link {
    const ipv6 = readIpv6(this.#root.dir, link.name);
    return ipv6 === undefined ? link : { ...link, ipv6 };
  }

  #osImage(): string {
    const release = this.#read('etc/os-release') || this.#read('usr/lib/os-release');
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(release)?.[1] ?? 'unknown';
  }

  /** Reads a file, and follows links within the host's root because /etc/os-release is a link. */
  #read(path: string): string {
    return this.#root.readForeign(path)?.content.trim() ?? '';
  }
}
