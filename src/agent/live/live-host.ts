// A host that runs: its links by the image's own `ip`, and its network manager by the host's commands, in the host's root.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { checkpoint } from '../../api/checkpoint.ts';
import { MultinicError } from '../../api/errors.ts';
import { indexOfName } from '../../network/interface.ts';
import type { RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import { nextBoot, type NextBoot } from '../foreign/next-boot.ts';
import type { BootNic } from '../foreign/systemd-files.ts';
import { readBoot } from '../foreign/boot-folders.ts';
import { DeadMan } from './dead-man.ts';
import { run, type Command } from './host-command.ts';
import { generate } from '../foreign/generator.ts';
import type {
  Claim,
  Conflict,
  Host,
  HostState,
  Link,
  LinkStep,
  MachineIdentity,
  NamedNic,
  OthersScope,
  Profiles,
  Readiness,
  Rename,
  Way,
} from '../host/host.ts';
import {
  driverOf,
  hasCarrier,
  ip,
  neighbour,
  readinessOf,
  readIpv6,
  readAltnames,
  readLinks,
  readOtherAddresses,
  readUppers,
  readWays,
  refused,
  set,
  setIpv6,
  withAddress,
  withoutAutomatic,
  type RawLink,
  type RawRoute,
} from './ip.ts';
import { kubeletServers } from './kubelet.ts';
import { heldAddresses, ipOf, isSameFamily, nicOf } from '../host/links.ts';
import { readManaged, readNoAutoDefault } from '../files/managed-files.ts';
import { NetworkManager, type Profile } from './network-manager.ts';
import { hasFileFor, isManaged, isSettled, loadedAddresses } from './networkd.ts';
import { noAutoDefaultMac } from '../files/no-auto-default.ts';
import { giveBack, readAddresses, readOthers, renamed } from './foreign-state.ts';
import { answers, type Probe } from '../host/probe.ts';
import { isProfile, profileUuid } from '../plan/profiles.ts';
import { HostRecord } from '../files/host-record.ts';
import type { Root } from '../files/root.ts';
import { execStart, Systemd } from './systemd.ts';
import { until } from './wait.ts';

const NETPLAN_GENERATORS = [
  // Since netplan 1.2 what writes networkd's files; there generate is the generator of units alone.
  'usr/libexec/netplan/configure',
  'usr/lib/netplan/configure',
  'usr/libexec/netplan/generate',
  'usr/lib/netplan/generate',
  'lib/netplan/generate',
];
const RENAME_DEVICE = ['usr/lib/udev/rename_device', 'lib/udev/rename_device'];
const RENAME_MS = 3_000;
const ALTNAME_MS = 1_000;
/** A port that OpenStack attaches is there within a second or two. */
const ATTACH_MS = 3_000;
const CARRIER_MS = 5_000;
const PROBE_MS = 5_000;
const SETTLE_MS = 1_000;
const APPLY_MS = 60_000;
/** `netplan apply` does not wait for networkd, which works for about a second. */
const NETWORKD_MS = 3_000;
const NETWORKD_HEARS_MS = NETWORKD_MS;
const APPLY_LOG = 'run/multinic-apply.log';
const BOOT_ID = 'proc/sys/kernel/random/boot_id';

/** Whether a folder is the root of a system that runs: it has a kernel's /proc in it. */
export function isRunning(root: string): boolean {
  return existsSync(join(root, BOOT_ID));
}

export class LiveHost implements Host {
  readonly #root: Root;
  readonly #nodeAddress: string | undefined;
  readonly #systemd: Systemd;
  readonly #deadMan: DeadMan;
  readonly #manager: NetworkManager;

  /** @param nodeAddress by which the cluster knows this node; its NIC may have no default route */
  constructor(root: Root, nodeAddress?: string) {
    this.#root = root;
    this.#nodeAddress = nodeAddress;
    this.#systemd = new Systemd((command) => this.#inHost(command));
    this.#deadMan = new DeadMan(root, this.#systemd);
    this.#manager = new NetworkManager((command) => this.#inHost(command));
  }

  async state(): Promise<HostState> {
    const [links, routes4, routes6] = await Promise.all([
      ip<RawLink>('-d', 'addr', 'show'),
      ip<RawRoute>('-4', 'route', 'show', 'table', 'main'),
      ip<RawRoute>('-6', 'route', 'show', 'table', 'main'),
    ]);
    const { links: known, routes } = withoutAutomatic(links, [routes4, routes6], await this.#automatic());
    const primary = new Set(routes.filter(({ to }) => to === 'default').map(({ dev }) => dev));
    return {
      osImage: this.#osImage(),
      ...(await this.identity()),
      nodeAddresses: [
        ...(this.#nodeAddress === undefined ? [] : [this.#nodeAddress]),
        ...known.filter(({ name }) => primary.has(name)).flatMap((link) => heldAddresses(link).map(ipOf)),
      ],
      links: known.map((link) => this.#withIpv6(this.#withLoaded(link, links))),
      altnames: readAltnames(links),
      uppers: readUppers(links),
      otherAddresses: readOtherAddresses(links),
      routes,
    };
  }

  async identity(): Promise<MachineIdentity> {
    return {
      machineId: this.#read('etc/machine-id'),
      // Of the host's own /proc: a pod's may be of another view.
      bootId: readFileSync(join(this.#root.dir, BOOT_ID), 'utf8').trim(),
    };
  }

  /** The kernel is asked: rules and tables of others decide too. */
  async ways({ to, from }: Parameters<Host['ways']>[0]): Promise<Way[]> {
    const targets = [...new Set([...to, ...kubeletServers(this.#root)])];
    return readWays(
      targets.flatMap((target) => [
        { to: target },
        ...from
          .filter((source) => isSameFamily(source, target))
          .map((source) => ({ to: target, from: source })),
      ]),
    );
  }

  async validate(kinds: readonly RendererKind[], staging: string): Promise<void> {
    for (const kind of kinds) {
      // What the OS's own generators let pass (facts: a name or MAC twice) is ours to refuse.
      generate(kind, (folder) => this.#stagedFiles(staging, folder));
      if (kind === 'netplan') await this.#netplan(staging);
      if (kind === 'ifcfg' && this.#hasOurs(kind, staging)) await this.#ifcfg();
    }
  }

  async nextBoot(nics: readonly BootNic[], _kind: RendererKind, staging?: string): Promise<NextBoot[]> {
    const { links } = await this.state();
    const real = nics.map((nic) => {
      const name = nicOf(links, nic.mac)?.name;
      const driver = name === undefined ? undefined : driverOf(name);
      return { ...nic, ...(driver !== undefined && { driver }) };
    });
    return nextBoot(real, readBoot(this.#root, staging));
  }

  async change(step: LinkStep): Promise<void> {
    const link = nicOf((await this.state()).links, step.mac);
    if (link === undefined) throw refused(step, 'no such device');
    switch (step.op) {
      case 'rename':
        return this.#rename(step, link);
      case 'ipv6':
        return setIpv6(this.#root.dir, link, step);
      case 'set':
        await set(step, 'link', 'set', link.name, 'mtu', String(step.mtu));
        return set(step, 'link', 'set', link.name, step.up ? 'up' : 'down');
      case 'add': {
        const v4 = !step.address.includes(':');
        const broadcast = v4 && !/\/3[12]$/.test(step.address) ? ['brd', '+'] : [];
        return set(step, 'addr', 'replace', step.address, 'dev', link.name, ...broadcast);
      }
      case 'drop':
        // A link that went down has lost its IPv6 addresses, and a first address takes its subnet's along.
        if (!link.addresses.includes(step.address)) return undefined;
        return set(step, 'addr', 'del', step.address, 'dev', link.name).catch(async (error: unknown) => {
          // networkd takes its own away when a link goes down, and may come first.
          const now = nicOf((await this.state()).links, step.mac);
          if (now?.addresses.includes(step.address) === true) throw error;
        });
    }
  }

  async attached(macs: readonly string[]): Promise<void> {
    await until(ATTACH_MS, async () => {
      const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
      return macs.every((mac) => links.some((link) => link.mac === mac));
    });
  }

  async conflicts(claims: readonly Claim[]): Promise<Conflict[]> {
    const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
    const here = new Set(links.flatMap(heldAddresses).map(ipOf));
    const open = claims.filter(({ address }) => !address.includes(':') && !here.has(ipOf(address)));
    const macs = [...new Set(open.map(({ mac }) => mac))];
    const asked = await Promise.all(
      macs.map(async (mac): Promise<Conflict[]> => {
        const name = nicOf(links, mac)?.name;
        if (name === undefined) return [];
        await run(['ip', 'link', 'set', name, 'up']);
        if (!(await until(CARRIER_MS, () => hasCarrier(name)))) return [];
        return withAddress(mac, name, async () => {
          const conflicts: Conflict[] = [];
          // One after the other: each changes how the NIC asks.
          for (const claim of open.filter((each) => each.mac === mac)) {
            const holder = await neighbour(ipOf(claim.address), name);
            if (holder !== undefined) conflicts.push({ ...claim, holder });
          }
          return conflicts;
        });
      }),
    );
    return asked.flat();
  }

  async readiness(macs: readonly string[]): Promise<Readiness[]> {
    const read = async (): Promise<Readiness[]> => {
      const raw = await ip<RawLink>('-d', 'addr', 'show');
      const links = readLinks(raw);
      return macs.flatMap((mac) => {
        const name = nicOf(links, mac)?.name;
        const found = raw.find(({ ifname }) => ifname === name);
        return found === undefined ? [] : [readinessOf(mac, found)];
      });
    };
    await until(CARRIER_MS, async () =>
      (await read()).every(({ carrier, undecided }) => carrier && undecided.length === 0),
    );
    return read();
  }

  async answers({ mac, from, host, port }: Probe): Promise<boolean> {
    const name = nicOf((await this.state()).links, mac)?.name;
    if (name === undefined) return false;
    return until(PROBE_MS, async () =>
      port === undefined
        ? (await neighbour(host, name)) !== undefined
        : answers({ host, port }, PROBE_MS / 2, from),
    );
  }

  async profiles(macs: readonly string[]): Promise<Profiles> {
    const devices = await this.#manager.devices();
    const known = await this.#manager.profiles();
    const { links } = await this.state();
    return Object.fromEntries(
      macs.flatMap((mac) => {
        const name = nicOf(links, mac)?.name;
        const device = devices.find((each) => each.name === name);
        if (device === undefined || device.state === 'unmanaged') return [];
        const profile = known.find(({ uuid }) => uuid === device.uuid);
        const identity = profile === undefined ? device.uuid : this.#identityOf(profile);
        return [[mac, identity ?? null] as const];
      }),
    );
  }

  async settle(paths: readonly string[], profiles: Profiles): Promise<void> {
    const manager = this.#manager;
    const { links } = await this.state();
    const settled = Object.entries(profiles).flatMap(([mac, wanted]) => {
      const name = nicOf(links, mac)?.name;
      return name === undefined ? [] : [{ mac, name, wanted, quiet: this.#isQuiet(mac) }];
    });
    if (paths.some((path) => noAutoDefaultMac(path) !== undefined)) await manager.reloadSettings();
    for (const { mac, name, wanted, quiet } of settled) {
      if (wanted === null && quiet) await manager.forgetAutomatic(name, mac);
    }
    for (const path of paths.filter(isProfile)) {
      if (this.#root.read(path) === undefined) await manager.forget(`/${path}`);
      else await manager.load(`/${path}`);
    }
    const known = await manager.profiles();
    const find = (which: string | null): Profile | undefined =>
      known.find(({ uuid, file }) => uuid === which || file === which);
    const waiting = new Set<string>();
    for (const { name, wanted } of settled) {
      const profile = find(wanted);
      // An automatic one is gone for good once its NIC was away, or the machine.
      if (profile === undefined) continue;
      await run(['ip', 'link', 'set', name, 'up']);
      // Nothing can be activated without a carrier: with it, NetworkManager takes up what was there by itself.
      if (!isOurs(profile) && !(await until(SETTLE_MS, () => hasCarrier(name)))) waiting.add(name);
      else await manager.activate(profile.uuid, name, isOurs(profile));
    }
    const managed = readManaged(this.#root);
    for (const { mac, name, wanted, quiet } of settled) {
      if (waiting.has(name)) continue;
      const profile = find(wanted);
      // Where a NIC had none for want of a carrier, and still has its file, NetworkManager may take that up by itself.
      const own = new Set(managed.flatMap(({ nic, files }) => (nic?.mac === mac ? [...files.keys()] : [])));
      const isWrong = (active: Profile): boolean =>
        (isOurs(active) && !own.has(active.file.slice(1))) || (quiet && active.automatic);
      await manager.until(name, (active) =>
        profile === undefined ? active === undefined || !isWrong(active) : active?.uuid === profile.uuid,
      );
    }
  }

  isNetworkds(nic: NamedNic): boolean {
    return hasFileFor(this.#root, nic);
  }

  async retaken(renames: readonly Rename[], begun: () => Promise<void>): Promise<void> {
    const raw = await ip<RawLink>('link', 'show');
    const links = renames.flatMap(({ mac, to }) => {
      const index = raw.find(({ ifname, flags = [] }) => ifname === to && flags.includes('UP'))?.ifindex;
      return index === undefined ? [] : [{ index, taken: this.isNetworkds({ mac, name: to }) }];
    });
    // It hears of a name a moment after the kernel, of a carrier up to a second later, and drops at once.
    await until(NETWORKD_HEARS_MS, async () =>
      links.every(({ index, taken }) => isManaged(this.#root, index) === taken),
    );
    await begun();
    await until(NETWORKD_MS, async () =>
      isSettled(
        this.#root,
        links.map(({ index }) => index),
      ),
    );
  }

  async others(macs: readonly string[], scope: OthersScope): Promise<string[]> {
    const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
    const ours = new Set(macs.flatMap((mac) => nicOf(links, mac)?.name ?? []));
    return ours.size === 0 && scope === 'ours' ? [] : readOthers(ours, scope);
  }

  async giveBack(others: readonly string[], then: readonly NamedNic[]): Promise<readonly string[]> {
    if (others.length === 0) return [];
    const raw = await ip<RawLink>('-d', 'addr', 'show');
    const links = readLinks(raw);
    const names = new Map(then.map(({ mac, name }) => [name, nicOf(links, mac)?.name]));
    return giveBack(renamed(others, names, new Set(raw.map(({ ifname }) => ifname))));
  }

  /** In a unit of the host's own: it goes on if this process dies, and its children are the host's. */
  async reload(paths: readonly string[], macs: readonly string[]): Promise<void> {
    const others = await this.others(macs, 'all');
    const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
    const ours = macs.flatMap((mac) => nicOf(links, mac) ?? []);
    const all = [...paths, ...readManaged(this.#root).flatMap(({ files }) => [...files.keys()])];
    if (all.some((path) => rendererOf('netplan').manages(path))) {
      await this.#inUnit('netplan apply');
      await until(NETWORKD_MS, async () => isSettled(this.#root));
    }
    if (all.some(isProfile)) await this.#inUnit('systemctl restart NetworkManager');
    checkpoint('agent.activate.reload');
    await this.giveBack(others, ours);
  }

  async #inUnit(command: string): Promise<void> {
    const unit = `multinic-apply-${randomBytes(4).toString('hex')}.service`;
    const start = await this.#systemd.call(
      'StartTransientUnit',
      'ssa(sv)a(sa(sv))',
      unit,
      'fail',
      '3',
      'Type',
      's',
      'oneshot',
      'RemainAfterExit',
      'b',
      'true',
      ...execStart(`exec ${command} >/${APPLY_LOG} 2>&1`),
      '0',
    );
    let state: string | undefined;
    const ended = await until(APPLY_MS, async () => {
      state = await this.#systemd.state(unit);
      return state === 'active' || state === 'failed';
    });
    await this.#systemd.call('StopUnit', 'ss', unit, 'replace');
    if (state === 'active') return;
    await this.#systemd.call('ResetFailedUnit', 's', unit);
    const why = start.code !== 0 ? start.stderr : ended ? this.#read(APPLY_LOG) : 'no end';
    throw new MultinicError(
      'ApplyFailed',
      `\`${command}\` on the node: ${why.trim()}; look at its journal, then run \`multinic retry\`, or use apply: live`,
    );
  }

  async arm(seconds: number): Promise<void> {
    const { pending } = new HostRecord(this.#root);
    if (pending !== undefined) await this.#deadMan.arm(pending, seconds);
  }

  disarm(): Promise<void> {
    return this.#deadMan.disarm();
  }

  /** Down first: kernels to 6.1 refuse to rename a link that is up. */
  async #rename(step: LinkStep & { op: 'rename' }, link: Link): Promise<void> {
    const addresses = await readAddresses(link.name);
    await set(step, 'link', 'set', link.name, 'down');
    await this.#give(step, link.name);
    // Those who watch links learn of the name after the kernel does; the next command is by name.
    const deadline = performance.now() + RENAME_MS;
    while (!existsSync(`/sys/class/net/${step.to}`) && performance.now() < deadline) await pause(10);
    if (link.up) await set(step, 'link', 'set', step.to, 'up');
    // Going down took them along; those of IPv4 are there still, unless networkd took them.
    for (const command of renamed(addresses, new Map([[link.name, step.to]]), new Set([step.to])))
      await run(['ip', ...command.split(' ')]);
  }

  /**
   * udev (systemd 245 to 253) makes a NIC's old name another name of it with each rename, at its own time; the kernel
   * takes that for taken when the NIC shall have it again, or another of ours.
   */
  async #give({ to, ...step }: LinkStep & { op: 'rename' }, from: string): Promise<void> {
    let last: { readonly code: number; readonly stderr: string } = { code: 1, stderr: '' };
    await until(ALTNAME_MS, async () => {
      await run(['ip', 'link', 'property', 'del', 'dev', to, 'altname', to]);
      last = await run(['ip', 'link', 'set', from, 'name', to]);
      return last.code === 0 || existsSync(`/sys/class/net/${to}`);
    });
    if (last.code !== 0) throw refused({ to, ...step }, last.stderr.trim());
  }

  async #netplan(staging: string): Promise<void> {
    const generator = NETPLAN_GENERATORS.find((path) => existsSync(this.#root.resolve(path)));
    if (generator === undefined) {
      throw new MultinicError(
        'NoNetplan',
        'this node has no netplan: name what it has by the annotation multinic.io/renderer on the Node (ifcfg or keyfile)',
      );
    }
    const inside = `/${relative(this.#root.dir, staging)}`;
    const { code, stderr } = await run(this.#inHost([`/${generator}`, '--root-dir', inside]));
    if (code === 0) return;
    // 1.x warns of the modes of files, also of those that are not the cause.
    const errors = stderr.replaceAll(/^\*\* .*WARNING \*\*.*\n/gm, '').replaceAll(`${inside}/`, '');
    throw new MultinicError(
      'ValidationFailed',
      `netplan refuses the files as they would be: ${errors.trim()}; mend that file, then run \`multinic retry\``,
    );
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

  /** A uuid that no file names is NetworkManager's to choose. */
  #identityOf(profile: Profile): string {
    const content = isOurs(profile) ? this.#root.read(profile.file.slice(1))?.content : undefined;
    return content !== undefined && profileUuid(content) === undefined ? profile.file : profile.uuid;
  }

  #isQuiet(mac: string): boolean {
    return readNoAutoDefault(this.#root).includes(mac);
  }

  /** Names of NICs that NetworkManager has given a profile of its own. */
  async #automatic(): Promise<ReadonlySet<string>> {
    if (!existsSync(this.#root.resolve('run/NetworkManager'))) return new Set();
    try {
      const profiles = await this.#manager.profiles();
      return new Set(profiles.flatMap(({ automatic, device }) => (automatic && device ? [device] : [])));
    } catch {
      // It does not run: nothing of its making is in the kernel that it would take back.
      return new Set();
    }
  }

  /**
   * What our ifcfg files need of a host: NetworkManager's plugin for them, and at boot the udev helper that names NICs by
   * them.
   */
  async #ifcfg(): Promise<void> {
    if (!(await this.#manager.readsIfcfg())) {
      throw new MultinicError(
        'NoIfcfgPlugin',
        'NetworkManager on this node reads no ifcfg files (its plugin ifcfg-rh is not loaded); write keyfile in the annotation multinic.io/renderer on the Node, then run `multinic retry`',
      );
    }
    if (!RENAME_DEVICE.some((path) => existsSync(this.#root.resolve(path)))) {
      throw new MultinicError(
        'NoRenameDevice',
        'this node has no /usr/lib/udev/rename_device, so nothing names NICs by ifcfg files when it boots; install it (package initscripts, or initscripts-rename-device), or write keyfile in the annotation multinic.io/renderer on the Node, then run `multinic retry`',
      );
    }
  }

  #hasOurs(kind: RendererKind, staging: string): boolean {
    const { directories, manages } = rendererOf(kind);
    return directories.some((folder) =>
      [...this.#stagedFiles(staging, folder).keys()].some((name) => manages(`${folder}/${name}`)),
    );
  }

  #inHost(command: Command): Command {
    return this.#root.dir === '/' ? command : ['chroot', this.#root.dir, ...command];
  }

  #stagedFiles(staging: string, folder: string): Map<string, string> {
    const inside = `${relative(this.#root.dir, staging)}/${folder}`;
    return new Map(
      this.#root.list(inside).flatMap((name) => {
        const file = this.#root.readForeign(`${inside}/${name}`);
        return file === undefined ? [] : [[name, file.content] as const];
      }),
    );
  }

  #osImage(): string {
    const release = this.#read('etc/os-release') || this.#read('usr/lib/os-release');
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(release)?.[1] ?? 'unknown';
  }

  /** Links of the host are followed within it: /etc/os-release is one. */
  #read(path: string): string {
    return this.#root.readForeign(path)?.content.trim() ?? '';
  }
}

function isOurs({ file }: Profile): boolean {
  return isProfile(file.replace(/^\//, ''));
}
