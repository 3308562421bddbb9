// The network managers of the running host: NetworkManager, systemd-networkd, netplan.
import type { Root } from '../files/root.ts';
import { isFileOf, readManaged, readNoAutoDefault } from '../files/managed-files.ts';
import { noAutoDefaultMac } from '../files/no-auto-default.ts';
import { isManagerMetric } from '../files/route-metric.ts';
import { rendererOf } from '../../network/renderers.ts';
import { entriesByMac, type Mac } from '../../network/mac.ts';
import type { ManagerPort } from '../host/host.ts';
import { nicOf } from '../host/links.ts';
import type { Link, NamedNic, Profiles, Rename } from '../host/machine.ts';
import { isProfile, profileUuid } from '../plan/profiles.ts';
import { run, until } from '../command/host-command.ts';
import { hasCarrier, ip, readLinks, type RawLink } from './ip.ts';
import type { NetworkManager, Profile } from './network-manager.ts';
import { hasFileFor, isConfigured, isManaged, NETWORKD_MS } from '../host/networkd.ts';
import type { Systemd } from '../command/systemd.ts';

const CARRIER_OF_PROFILE_MS = 1_000;

/** A NIC and its wanted profile. */
interface Wanted {
  readonly mac: Mac;
  readonly name: string;
  /** null: none of our profiles. */
  readonly profile: string | null;
  /** True: NetworkManager must not make an automatic profile for this NIC. */
  readonly noAutomatic: boolean;
}

export class LiveManagers implements ManagerPort {
  readonly #root: Root;
  readonly #manager: NetworkManager;
  readonly #systemd: Systemd;

  constructor(root: Root, manager: NetworkManager, systemd: Systemd) {
    this.#root = root;
    this.#manager = manager;
    this.#systemd = systemd;
  }

  async profiles(macs: readonly Mac[]): Promise<Profiles> {
    const devices = await this.#manager.devices();
    const known = await this.#manager.profiles();
    const links = await readNow();
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

  async applyProfiles(paths: readonly string[], profiles: Profiles): Promise<void> {
    const wanted = this.#wanted(profiles, await readNow());
    await this.#readFiles(paths, wanted);
    await this.#take(wanted);
    const known = await this.#manager.profiles();
    const waiting = await this.#activate(wanted, known);
    await this.#expect(
      wanted.filter((nic) => !waiting.includes(nic)),
      known,
    );
  }

  hasNetworkdFile(nic: NamedNic): boolean {
    return hasFileFor(this.#root, nic);
  }

  async networkdNotices(renames: readonly Rename[]): Promise<readonly number[]> {
    const raw = await ip<RawLink>('link', 'show');
    const links = renames.flatMap(({ mac, to }) => {
      const index = raw.find(({ ifname, flags = [] }) => ifname === to && flags.includes('UP'))?.ifindex;
      return index === undefined ? [] : [{ index, taken: this.hasNetworkdFile({ mac, name: to }) }];
    });
    // networkd learns a new name a moment after the kernel, and a carrier up to a second after it.
    await until(NETWORKD_MS, async () =>
      links.every(({ index, taken }) => isManaged(this.#root, index) === taken),
    );
    return links.map(({ index }) => index);
  }

  async awaitNetworkd(indexes?: readonly number[]): Promise<void> {
    await until(NETWORKD_MS, async () => isConfigured(this.#root, indexes));
  }

  async reload(paths: readonly string[]): Promise<void> {
    const all = [...paths, ...readManaged(this.#root).flatMap(({ files }) => [...files.keys()])];
    if (all.some((path) => isFileOf(rendererOf('netplan'), path))) {
      await this.#systemd.runUnit('netplan apply');
      await this.awaitNetworkd();
    }
    if (all.some(isProfile)) await this.#systemd.runUnit('systemctl restart NetworkManager');
  }

  /** The NICs that are on the machine, each with its wanted profile. */
  #wanted(profiles: Profiles, links: readonly Link[]): Wanted[] {
    const withoutAutomatic = readNoAutoDefault(this.#root);
    return entriesByMac(profiles).flatMap(([mac, profile]) => {
      const name = nicOf(links, mac)?.name;
      return name === undefined ? [] : [{ mac, name, profile, noAutomatic: withoutAutomatic.includes(mac) }];
    });
  }

  /** Makes NetworkManager read the files that were written, and forget the files that were removed. */
  async #readFiles(paths: readonly string[], wanted: readonly Wanted[]): Promise<void> {
    if (paths.some((path) => noAutoDefaultMac(path) !== undefined || isManagerMetric(path)))
      await this.#manager.reloadSettings();
    for (const { mac, name, profile, noAutomatic } of wanted) {
      if (profile === null && noAutomatic) await this.#manager.forgetAutomatic(name, mac);
    }
    for (const path of paths.filter(isProfile)) {
      if (this.#root.read(path) === undefined) await this.#manager.forget(`/${path}`);
      else await this.#manager.load(`/${path}`);
    }
  }

  /**
   * Makes NetworkManager manage NICs that netplan's files had, once it knows their profiles: it would otherwise make an
   * automatic profile, and ask for DHCP.
   */
  async #take(wanted: readonly Wanted[]): Promise<void> {
    const devices = await this.#manager.devices();
    for (const { name, profile } of wanted) {
      const isLeft = devices.some((each) => each.name === name && each.state === 'unmanaged');
      if (profile !== null && isLeft) await this.#manager.manage(name, true);
    }
  }

  /**
   * Activates the profile of each NIC. Skips a profile that is gone, as an automatic profile is once its NIC or the
   * machine was away.
   * @returns the NICs that have no carrier: NetworkManager activates their profile by itself once they have one
   */
  async #activate(wanted: readonly Wanted[], known: readonly Profile[]): Promise<Wanted[]> {
    const waiting: Wanted[] = [];
    for (const nic of wanted) {
      const profile = findProfile(known, nic);
      if (profile === undefined) continue;
      await run(['ip', 'link', 'set', nic.name, 'up']);
      // The activation of one of our profiles waits for a carrier itself. Any other profile cannot be activated without
      // one.
      const isReady = isOurs(profile) || (await until(CARRIER_OF_PROFILE_MS, () => hasCarrier(nic.name)));
      if (isReady) await this.#manager.activate(profile.uuid, nic.name, isOurs(profile));
      else waiting.push(nic);
    }
    return waiting;
  }

  /**
   * Waits until each NIC has its wanted profile. A NIC without a wanted profile may have any profile that is not wrong
   * for it.
   */
  async #expect(wanted: readonly Wanted[], known: readonly Profile[]): Promise<void> {
    const managed = readManaged(this.#root);
    for (const nic of wanted) {
      const profile = findProfile(known, nic);
      // The NIC's own files are never wrong: NetworkManager may activate one by itself if the NIC had no profile
      // because it had no carrier.
      const own = new Set(
        managed.flatMap((each) => (each.nic?.mac === nic.mac ? [...each.files.keys()] : [])),
      );
      const isWrong = (active: Profile): boolean =>
        (isOurs(active) && !own.has(active.file.slice(1))) || (nic.noAutomatic && active.automatic);
      await this.#manager.until(nic.name, (active) =>
        profile === undefined ? active === undefined || !isWrong(active) : active?.uuid === profile.uuid,
      );
    }
  }

  /** The profile's uuid, or its file if the file has no uuid. NetworkManager chooses the uuid of such a file. */
  #identityOf(profile: Profile): string {
    const content = isOurs(profile) ? this.#root.read(profile.file.slice(1))?.content : undefined;
    return content !== undefined && profileUuid(content) === undefined ? profile.file : profile.uuid;
  }
}

async function readNow(): Promise<Link[]> {
  return readLinks(await ip<RawLink>('-d', 'addr', 'show'));
}

function findProfile(known: readonly Profile[], { profile }: Wanted): Profile | undefined {
  return known.find(({ uuid, file }) => uuid === profile || file === profile);
}

function isOurs({ file }: Profile): boolean {
  return isProfile(file.replace(/^\//, ''));
}
