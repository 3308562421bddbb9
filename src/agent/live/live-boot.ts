// The next boot of the running host: its own generators judge staged files, and its folders tell which file wins.
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { MultinicError } from '../../api/errors.ts';
import { byNetworkManager, type RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import { readBoot } from '../foreign/boot-folders.ts';
import { generate } from '../foreign/generator.ts';
import { nextBoot, type NextBoot } from '../foreign/next-boot.ts';
import type { BootNic } from '../foreign/systemd-files.ts';
import { isFileOf } from '../files/managed-files.ts';
import type { Root } from '../files/root.ts';
import type { BootPort, BootRouting } from '../host/host.ts';
import { nicOf } from '../host/links.ts';
import { run, type InHost } from '../command/host-command.ts';
import { driverOf, ip, readLinks, type RawLink } from './ip.ts';
import type { NetworkManager } from './network-manager.ts';
import type { Systemd } from '../command/systemd.ts';

const NETPLAN_GENERATORS = [
  // Since netplan 1.2 `configure` writes the files of networkd, and `generate` only units.
  'usr/libexec/netplan/configure',
  'usr/lib/netplan/configure',
  'usr/libexec/netplan/generate',
  'usr/lib/netplan/generate',
  'lib/netplan/generate',
];
const NETWORKD_YIELDS = 250;
/**
 * systemd 245 has `SuppressPrefixLength=`. An older networkd ignores the key, and its rule sends all packets to the
 * main table.
 */
const NETWORKD_ROUTES = 245;
const RENAME_DEVICE = ['usr/lib/udev/rename_device', 'lib/udev/rename_device'];

export class LiveBoot implements BootPort {
  readonly #root: Root;
  readonly #inHost: InHost;
  readonly #manager: NetworkManager;
  readonly #systemd: Systemd;

  constructor(root: Root, inHost: InHost, manager: NetworkManager, systemd: Systemd) {
    this.#root = root;
    this.#inHost = inHost;
    this.#manager = manager;
    this.#systemd = systemd;
  }

  /**
   * False for networkd before 250: of two settings of one address it takes the first, and netplan's comes first,
   * without a metric.
   */
  async canYield(kind: RendererKind): Promise<boolean> {
    return byNetworkManager(kind) || (await this.#systemd.version()) >= NETWORKD_YIELDS;
  }

  async routing(kind: RendererKind): Promise<BootRouting> {
    if (byNetworkManager(kind)) return 'beside';
    const version = await this.#systemd.version();
    if (version < NETWORKD_ROUTES) return 'none';
    return version < NETWORKD_YIELDS ? 'apart' : 'beside';
  }

  async validate(kinds: readonly RendererKind[], staging: string): Promise<void> {
    for (const kind of kinds) {
      // Our own check comes first: the OS's generators accept a name or a MAC twice.
      generate(kind, (folder) => this.#stagedFiles(staging, folder), 'claims');
      if (kind === 'netplan') await this.#generateNetplan(staging);
      if (kind === 'ifcfg' && this.#hasManagedFiles(kind, staging)) await this.#expectIfcfg();
    }
  }

  async nextBoot(nics: readonly BootNic[], _kind: RendererKind, staging?: string): Promise<NextBoot[]> {
    const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
    const real = nics.map((nic) => {
      const name = nicOf(links, nic.mac)?.name;
      const driver = name === undefined ? undefined : driverOf(name);
      return { ...nic, ...(driver !== undefined && { driver }) };
    });
    return nextBoot(real, readBoot(this.#root, staging));
  }

  async #generateNetplan(staging: string): Promise<void> {
    const generator = NETPLAN_GENERATORS.find((path) => existsSync(this.#root.resolve(path)));
    if (generator === undefined) {
      throw new MultinicError(
        'NoNetplan',
        'this node has no netplan; write the renderer that it has (ifcfg or keyfile) in the annotation multinic.io/renderer on the Node',
      );
    }
    const inside = `/${relative(this.#root.dir, staging)}`;
    const { code, stderr } = await run(this.#inHost([`/${generator}`, '--root-dir', inside]));
    if (code === 0) return;
    // Removes warnings of netplan 1.x about the modes of files, because these files are not the cause.
    const errors = stderr.replaceAll(/^\*\* .*WARNING \*\*.*\n/gm, '').replaceAll(`${inside}/`, '');
    throw new MultinicError(
      'ValidationFailed',
      `netplan refuses the new files: ${errors.trim()}; mend that file, then run \`multinic retry\``,
    );
  }

  /**
   * Checks that the host reads ifcfg files: NetworkManager needs its plugin for them, and udev the helper that names
   * NICs by them at boot.
   */
  async #expectIfcfg(): Promise<void> {
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

  #hasManagedFiles(kind: RendererKind, staging: string): boolean {
    const renderer = rendererOf(kind);
    return renderer.directories.some((folder) =>
      [...this.#stagedFiles(staging, folder).keys()].some((name) => isFileOf(renderer, `${folder}/${name}`)),
    );
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
}
