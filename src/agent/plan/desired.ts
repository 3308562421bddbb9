import { ZERO_OID, type Oid } from '../../api/oid.ts';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { InvalidInputError, MultinicError, type Problem } from '../../api/errors.ts';
import type { Network } from '../../network/interface.ts';
import { linkLocalProblem, partLinkLocals } from '../../network/link-local.ts';
import { entriesByMac } from '../../network/mac.ts';
import type { NodeIdentity } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import { managedFiles, readTree } from '../../network/tree.ts';
import type { Applied } from '../files/host-record.ts';
import type { ManagedNic } from '../files/managed-files.ts';
import { ipOf } from '../host/links.ts';
import type { Desired } from './plan.ts';

/** A branch as it was checked out, before any check. */
export interface Checkout {
  /** The branch's newest commit. */
  readonly tip: Oid;
  /** Path to git's mode and the content of every entry of its tree. */
  readonly entries: ReadonlyMap<string, { readonly mode: string; readonly content: string }>;
}

const MAX_ENTRIES = 256;

/**
 * Reads a node's tree. Checks it again even if the store has checked it, because this host applies the tree.
 * @throws InvalidInputError `InvalidTree`
 */
export function readDesired(
  commit: Oid,
  node: string,
  { entries }: Checkout,
): { desired: Desired; node: NodeIdentity } {
  const problems = [...entries].flatMap(([path, entry]) => judgeEntry(path, entry.mode));
  if (entries.size > MAX_ENTRIES)
    problems.push(problem('', `has ${entries.size} files, more than ${MAX_ENTRIES}; revert the commit`));
  if (problems.length > 0)
    throw new InvalidInputError('InvalidTree', `commit ${commit.slice(0, 10)}`, problems);
  const files = new Map([...entries].map(([path, { content }]) => [path, content]));
  const tree = readTree(files);
  if (tree.node.name !== node) {
    throw new InvalidInputError('InvalidTree', `commit ${commit.slice(0, 10)}`, [
      problem('node.yaml', `is that of ${tree.node.name}, not of ${node}; revert the commit`),
    ]);
  }
  return {
    node: tree.node,
    desired: { commit, kind: tree.node.renderer, network: tree.network, files: managedFiles(files) },
  };
}

/**
 * Reads a node's branch that a person has checked out, or is about to commit.
 * @throws InvalidInputError `InvalidTree`; MultinicError `InvalidTree` for a folder that cannot be read
 */
export function readTreeFolder(dir: string): { desired: Desired; node: NodeIdentity } {
  const entries = new Map(
    filesBelow(dir).map((path) => [path, { mode: '100644', content: readFileSync(join(dir, path), 'utf8') }]),
  );
  const { node } = readTree(new Map([...entries].map(([path, { content }]) => [path, content])));
  return readDesired(NOTHING.commit, node.name, { tip: NOTHING.commit, entries });
}

/** Files below a folder, without git's own. */
function filesBelow(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
      .filter((path) => !path.startsWith('.git'));
  } catch (error) {
    throw new MultinicError(
      'InvalidTree',
      `--tree ${dir}: ${(error as Error).message}; name a folder with a node's branch checked out`,
    );
  }
}

/**
 * Refuses a link-local address that the agent has not given this host before.
 * @returns interfaces whose link-local address the host has from an earlier version
 * @throws InvalidInputError `InvalidTree`
 */
export function expectNoNewLinkLocal(
  { commit, kind, network }: Desired,
  applied: Applied | undefined,
  managed: readonly ManagedNic[],
): Network {
  const given = [
    ...entriesByMac(applied?.nics ?? {}).flatMap(([mac, { address }]) =>
      address === undefined ? [] : [{ mac, address: ipOf(address) }],
    ),
    ...managed.flatMap(({ nic }) => nic ?? []),
  ];
  const { stored, added } = partLinkLocals(network, given);
  const problems = added.flatMap((nic) => {
    const [path = ''] = rendererOf(kind).render(nic).keys();
    return linkLocalProblem(nic, path) ?? [];
  });
  if (problems.length > 0)
    throw new InvalidInputError('InvalidTree', `commit ${commit.slice(0, 10)}`, problems);
  return stored;
}

/** The commit's state without some of its NICs, which are treated as if the commit did not have them. */
export function without(desired: Desired, macs: readonly string[]): Desired {
  const left = desired.network.filter(({ mac }) => macs.includes(mac));
  if (left.length === 0) return desired;
  const renderer = rendererOf(desired.kind);
  const paths = new Set(left.flatMap((nic) => [...renderer.render(nic).keys()]));
  return {
    ...desired,
    network: desired.network.filter((nic) => !left.includes(nic)),
    files: new Map([...desired.files].filter(([path]) => !paths.has(path))),
  };
}

/** The tree without interfaces, which a cleanup applies. It is no commit. */
export const NOTHING: Desired = {
  commit: ZERO_OID,
  kind: 'netplan',
  network: [],
  files: new Map(),
};

function judgeEntry(path: string, mode: string): Problem[] {
  if (mode === '120000') return [problem(path, 'is a link; commit a plain file')];
  if (mode !== '100644') return [problem(path, `has mode ${mode}; commit it with mode 100644`)];
  return [];
}

function problem(path: string, message: string): Problem {
  return { path, code: 'InvalidTree', message };
}
