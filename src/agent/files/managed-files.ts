import { isDeepStrictEqual } from 'node:util';
import { cidrsOf, type Interface } from '../../network/interface.ts';
import { InvalidInputError } from '../../api/errors.ts';
import type { Renderer } from '../../network/renderer.ts';
import { RENDERER_KINDS, rendererOf } from '../../network/renderers.ts';
import type { Mac } from '../../network/mac.ts';
import { CARRIER_WAIT_PATH } from './carrier-wait.ts';
import { NO_AUTO_DEFAULT_FOLDER, noAutoDefaultMac } from './no-auto-default.ts';
import { dropInFolders, isMetricFile, metricPaths } from './route-metric.ts';
import { Root } from './root.ts';

export const RECORD = 'var/lib/multinic/record.json';
export const LOCK = 'var/lib/multinic/lock';
export const STAGING = 'var/lib/multinic/staging';
/** The script by which a host restores itself, and the file with the name of the unit that starts it. */
export const RESTORE_SCRIPT = 'var/lib/multinic/restore.sh';
export const RESTORE_UNIT = 'var/lib/multinic/restore.unit';
const OWN: ReadonlySet<string> = new Set([RECORD, RESTORE_SCRIPT, RESTORE_UNIT]);

/** All renderers: a node that changed its renderer still has the files of the old one. */
export const RENDERERS: readonly Renderer[] = RENDERER_KINDS.map(rendererOf);
export const CONFIG_FOLDERS: readonly string[] = [
  ...RENDERERS.flatMap((renderer) => renderer.directories),
  NO_AUTO_DEFAULT_FOLDER,
];

/** The files on the host that one NIC has at managed paths (a keyfile NIC has two). */
export interface ManagedNic {
  readonly renderer: Renderer;
  /** The name that the paths carry, `multinic1`. */
  readonly name: string;
  /** Path to content. */
  readonly files: ReadonlyMap<string, string>;
  /** Files that NetworkManager ignores because users other than root may read them. */
  readonly ignored: ReadonlySet<string>;
  /** The interface that the files describe; undefined: they do not parse as ours. */
  readonly nic: Interface | undefined;
}

/** A host's file system in which only managed files and the agent's own folder may be changed. */
export function openRoot(dir: string): Root {
  return new Root(
    dir,
    (path) =>
      OWN.has(path) ||
      path === CARRIER_WAIT_PATH ||
      noAutoDefaultMac(path) !== undefined ||
      isMetricFile(path) ||
      RENDERERS.some((renderer) => renderer.manages(path)),
  );
}

/** MACs of NICs for which NetworkManager must not make an automatic profile. */
export function readNoAutoDefault(root: Root): Mac[] {
  return root
    .list(NO_AUTO_DEFAULT_FOLDER)
    .flatMap((name) => noAutoDefaultMac(`${NO_AUTO_DEFAULT_FOLDER}/${name}`) ?? []);
}

/** Files that set the metric of our connected routes: path to content. */
export function readMetricFiles(root: Root): ReadonlyMap<string, string> {
  return new Map(
    metricPaths(root).flatMap((path) => {
      const file = root.read(path);
      return file === undefined ? [] : [[path, file.content] as const];
    }),
  );
}

/** Reads the managed files of the host, of every renderer, grouped by NIC. */
export function readManaged(root: Root): ManagedNic[] {
  const groups = RENDERERS.flatMap((renderer) => {
    const byName = new Map<string, Map<string, string>>();
    const ignored = new Set<string>();
    for (const path of managedPaths(root, renderer)) {
      const file = root.read(path);
      const name = nameIn(path);
      if (file === undefined) continue;
      const files = byName.get(name) ?? new Map<string, string>();
      byName.set(name, files.set(path, file.content));
      if (renderer.kind === 'keyfile' && (file.mode & ~renderer.hostMode(path)) !== 0) ignored.add(path);
    }
    return [...byName].map(([name, files]) => ({ renderer, name, files, ignored }));
  });
  return withoutShared(groups).map((group) => ({ ...group, nic: parseOne(group.renderer, group.files) }));
}

/** Whether only this renderer writes a path. All renderers write the file with settings of the kernel. */
export function isFileOf({ manages }: Pick<Renderer, 'manages'>, path: string): boolean {
  return manages(path) && !isShared(path);
}

function isShared(path: string): boolean {
  return RENDERERS.every((renderer) => renderer.manages(path));
}

/**
 * Assigns a file with settings of the kernel, which all renderers write under one path, to the renderer that has other
 * files of the NIC. Settings without any other file are an orphan of the first renderer.
 */
function withoutShared<T extends Omit<ManagedNic, 'nic'>>(groups: readonly T[]): T[] {
  const [whole, shared] = [false, true].map((is) =>
    groups.filter(({ files }) => [...files.keys()].every(isShared) === is),
  ) as [T[], T[]];
  const names = new Set(whole.map(({ name }) => name));
  return [...whole, ...shared.filter(({ name, renderer }) => !names.has(name) && renderer === RENDERERS[0])];
}

/** The interfaces that the managed files of the host describe. */
export function managedNics(root: Root): Interface[] {
  return readManaged(root).flatMap(({ nic }) => nic ?? []);
}

/** The one interface that these files describe; undefined: they are not ours, or not complete. */
export function parseOne(renderer: Renderer, files: ReadonlyMap<string, string>): Interface | undefined {
  try {
    const [nic, ...more] = renderer.parse(files, { lenient: true });
    return more.length === 0 ? nic : undefined;
  } catch (error) {
    if (error instanceof InvalidInputError) return undefined;
    throw error;
  }
}

/**
 * Whether two interfaces configure a machine the same way. Values that a file holds as comments, such as the port, do
 * not count.
 */
export function meansTheSame(a: Interface, b: Interface): boolean {
  return (
    a.name === b.name &&
    a.mac === b.mac &&
    a.mtu === b.mtu &&
    a.netplanId === b.netplanId &&
    a.sourceRouting === b.sourceRouting &&
    cidrsOf(a).join() === cidrsOf(b).join() &&
    isDeepStrictEqual(a.routes, b.routes) &&
    (a.sourceRouting !== true || (a.gateway === b.gateway && a.gateway6 === b.gateway6))
  );
}

function managedPaths(root: Root, renderer: Renderer): string[] {
  const folders = [...renderer.directories, ...(renderer.kind === 'netplan' ? dropInFolders(root) : [])];
  return folders.flatMap((folder) =>
    root
      .list(folder)
      .map((name) => `${folder}/${name}`)
      .filter((path) => renderer.manages(path)),
  );
}

/** The managed name in a path; every managed path has the name of its NIC. */
export function nameIn(path: string): string {
  return /multinic\d+/.exec(path.slice(path.lastIndexOf('/')))?.[0] ?? path;
}
