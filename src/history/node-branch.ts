// Reads a node's branch: its network, its base, whether it is held. Everything is derived from commits alone, so what
// is known about a commit stays true and is remembered by its ID.

import { concerns, MultinicError } from '../api/errors.ts';
import { sameNetwork, type Network } from '../network/interface.ts';
import { parseNode, type NodeIdentity } from '../network/node.ts';
import { managedFiles, NODE_FILE, readTree, treeId } from '../network/tree.ts';
import type { Commit, Oid, Reader } from '../store/model/store-port.ts';
import { isByController, kindOf } from './commit-format.ts';
import { noSuchNode } from './no-such-node.ts';
import { findHold, isHeld, type Hold } from './hold.ts';
import { nodeRef } from '../network/node-ref.ts';

/** The branch's newest `spec` commit by the controller. A branch without one wants no interfaces. */
export interface Base {
  /** Undefined: no spec commit yet. */
  readonly commit?: Commit;
  readonly network: Network;
}

export interface Branch {
  readonly name: string;
  readonly tip: Commit;
  readonly node: NodeIdentity;
  /** The network of the tip's files; if the tip is invalid, the base's. */
  readonly network: Network;
  readonly base: Base;
  /** The newest commit by the controller, whose node.yaml is valid for the branch. */
  readonly anchor: Commit;
  readonly hold?: Hold;
  /** git tree id of the tip's managed files. */
  readonly tree: Oid;
  /** The reason why the tip must not be applied; `release` mends it. */
  readonly invalid?: MultinicError;
}

/** Reads branches, remembering each node's newest reading. */
export class Branches {
  readonly #reader: Reader;
  readonly #known = new Map<string, Branch>();

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** The node's branch; undefined: the branch does not exist yet. */
  async read(name: string): Promise<Branch | undefined> {
    const tip = await this.#reader.ref(nodeRef(name));
    return tip === undefined ? undefined : this.at(name, tip);
  }

  /** @throws MultinicError `NoSuchNode` */
  async get(name: string): Promise<Branch> {
    const branch = await this.read(name);
    if (branch === undefined) throw noSuchNode(name);
    return branch;
  }

  /** The remembered reading of the branch, if it was read at this tip. */
  known(name: string, tip: Oid): Branch | undefined {
    const known = this.#known.get(name);
    return known?.tip.oid === tip ? known : undefined;
  }

  /** Remembers a branch that was just written, so that no pass has to read it back. */
  remember(branch: Branch): void {
    this.#known.set(branch.name, branch);
  }

  /** Forgets the readings of all nodes but these. */
  keep(nodes: { has(node: string): boolean }): void {
    for (const name of this.#known.keys()) if (!nodes.has(name)) this.#known.delete(name);
  }

  /** The branch as it was when `tip` was its tip. */
  async at(name: string, tip: Oid): Promise<Branch> {
    const known = this.#known.get(name);
    if (known?.tip.oid === tip) return known;
    // The reading of an invalid tip does not say what held before that tip, so the walk starts without it.
    const start = known?.invalid === undefined ? known : undefined;
    const branch = await readBranch(this.#reader, name, tip, start);
    this.#known.set(name, branch);
    return branch;
  }
}

/**
 * Reads a branch at a tip by walking first parents down to the base.
 * @param known an earlier reading of the same branch, which ends the walk where it meets it
 */
export async function readBranch(reader: Reader, name: string, tip: Oid, known?: Branch): Promise<Branch> {
  const walked: Commit[] = [];
  for (let next: Oid | undefined = tip; next !== undefined && next !== known?.tip.oid;) {
    const commit: Commit = await reader.commit(next);
    walked.push(commit);
    next = kindOf(commit) === 'spec' ? undefined : commit.parents[0];
  }
  const last = walked.at(-1)!;
  const specCommit = kindOf(last) === 'spec' ? last : undefined;
  const base =
    specCommit === undefined
      ? known !== undefined && last.parents[0] === known.tip.oid
        ? known.base
        : { network: [] }
      : specCommit === walked[0]
        ? undefined
        : await baseOf(reader, specCommit);
  const anchor = walked.find(isByController) ?? known?.anchor;
  if (anchor === undefined) {
    throw new MultinicError(
      'InvalidTip',
      `node/${name} has no commit of the controller: it is not a branch that we know`,
      {
        data: { node: name, tip },
      },
    );
  }
  const earlier = base === known?.base ? known : undefined;
  return interpret(reader, { name, tip: walked[0]!, anchor }, base, walked, earlier);
}

/** The base, or the error of a base that cannot be read: then only the CR can say what the node should have. */
type ReadBase = Base & { readonly unreadable?: MultinicError };

async function baseOf(reader: Reader, commit: Commit): Promise<ReadBase> {
  try {
    return { commit, network: await networkAt(reader, commit.oid) };
  } catch (error) {
    if (!concerns(error, 'tip')) throw error;
    return { commit, network: [], unreadable: error };
  }
}

/** @param known undefined: the tip itself is the base */
async function interpret(
  reader: Reader,
  found: Pick<Branch, 'name' | 'tip' | 'anchor'>,
  known: ReadBase | undefined,
  walked: readonly Commit[],
  earlier: Branch | undefined,
): Promise<Branch> {
  const { tip, anchor } = found;
  try {
    if (known?.unreadable !== undefined) throw known.unreadable;
    const files = await reader.files(tip.oid);
    const { node, network } = readTree(files);
    if (tip !== anchor) {
      await refuseOddModes(reader, tip);
      await refuseNewIdentity(reader, anchor, files.get(NODE_FILE));
    }
    const base = known ?? { commit: tip, network };
    const branch = { ...found, base, node, network, tree: treeId(managedFiles(files)) };
    if (!isHeld(network, base.network)) return branch;
    const isBase = async (commit: Commit): Promise<boolean> =>
      commit.oid === base.commit?.oid || (await equalsBase(reader, commit, base));
    return { ...branch, hold: await findHold([tip, ...walked.slice(1)], isBase, earlier?.hold) };
  } catch (error) {
    if (!concerns(error, 'tip')) throw error;
    const base = known ?? { commit: tip, network: [] };
    const node = await newestIdentity(reader, anchor);
    return { ...found, base, node, network: base.network, tree: tip.tree, invalid: error };
  }
}

/** The node's identity from the newest commit of the controller whose node.yaml can be read. */
export async function newestIdentity(reader: Reader, anchor: Commit): Promise<NodeIdentity> {
  for (let commit = anchor; ;) {
    try {
      if (isByController(commit)) return parseNode(await fileAt(reader, commit.oid, NODE_FILE));
    } catch (error) {
      if (!concerns(error, 'tip')) throw error;
    }
    const parent = commit.parents[0];
    if (parent === undefined) {
      throw new MultinicError(
        'InvalidTip',
        `no commit of the branch says who the node is, down to ${commit.oid}: restore a backup`,
        { data: { commit: commit.oid } },
      );
    }
    commit = await reader.commit(parent);
  }
}

/** Refuses links and executables: git reads them like files, and on a host they would be something else. */
async function refuseOddModes(reader: Reader, tip: Commit): Promise<void> {
  for (const [path, { mode }] of await reader.list(tip.oid)) {
    if (mode === '100644') continue;
    throw new MultinicError(
      'InvalidTip',
      `${path} has mode ${mode}: make it a plain file (100644), or release the node`,
      { data: { tip: tip.oid, path, mode } },
    );
  }
}

/** Refuses a tip that changes node.yaml. Only the controller may, and such a tip came past the push policy. */
async function refuseNewIdentity(reader: Reader, anchor: Commit, text: string | undefined): Promise<void> {
  if ((await fileAt(reader, anchor.oid, NODE_FILE)) === text) return;
  throw new MultinicError(
    'InvalidTip',
    `${NODE_FILE} was changed by a push: restore it, or release the node`,
    { data: { anchor: anchor.oid } },
  );
}

async function equalsBase(reader: Reader, commit: Commit, base: Base): Promise<boolean> {
  try {
    return sameNetwork(await networkAt(reader, commit.oid), base.network);
  } catch {
    return false;
  }
}

/** The network of the branch's base at an earlier time (seconds since 1970). */
export async function baseAt(reader: Reader, branch: Branch, time: number): Promise<Network> {
  let commit = branch.base.commit;
  if (commit === undefined) return [];
  if (commit.committer.time <= time) return branch.base.network;
  while (kindOf(commit) !== 'spec' || commit.committer.time > time) {
    const parent: Oid | undefined = commit.parents[0];
    if (parent === undefined) return [];
    commit = await reader.commit(parent);
  }
  return networkAt(reader, commit.oid);
}

/** The network that a commit's files describe. @throws InvalidInputError when they don't parse. */
export async function networkAt(reader: Reader, commit: Oid): Promise<Network> {
  return readTree(await reader.files(commit)).network;
}

async function fileAt(reader: Reader, commit: Oid, path: string): Promise<string> {
  const entry = (await reader.list(commit)).get(path);
  if (entry === undefined)
    throw new MultinicError('NotFound', `${path} is missing in ${commit}`, { data: { commit, path } });
  return reader.blob(entry.oid);
}
