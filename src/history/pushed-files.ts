// Judges the files of each pushed commit: their paths, modes and contents. node.yaml must stay as it is.

import { setImmediate as turn } from 'node:timers/promises';
import { concerns, InvalidInputError, MultinicError } from '../api/errors.ts';
import type { Reason } from '../api/reasons/reasons.ts';
import { MAX_INTERFACES, type Network } from '../network/interface.ts';
import type { NodeIdentity } from '../network/node.ts';
import type { Renderer } from '../network/renderer.ts';
import { rendererOf } from '../network/renderers.ts';
import { linkLocalProblem, partLinkLocals } from '../network/link-local.ts';
import { findHidden } from '../network/text.ts';
import { MAX_TREE_FILES, NODE_FILE, readTree } from '../network/tree.ts';
import type { Listing, Oid, Reader } from '../store/model/store-port.ts';
import { NODE_TREE, type TreeBounds } from '../store/model/tree-bounds.ts';
import { newestIdentity } from './node-branch.ts';
import { isByController } from './commit-format.ts';

/** Bounds of a pushed tree; git is asked for the size of an object before it unpacks the object. */
export const PUSHED_TREE: TreeBounds = { ...NODE_TREE, sizesFirst: true };
/**
 * Maximum number of characters of a YAML file that a push changes: a hostile file of this size takes some hundredths of a
 * second to read.
 */
export const MAX_CHANGED_FILE = 4096;
/** The same for files that are read line by line. Routes of the largest NIC have a third of this. */
const MAX_CHANGED_LINES = 48 * 1024;

/** The branch that a push builds on. */
export interface PushedOn {
  readonly tip: Oid;
  readonly node: NodeIdentity;
  /** Object id of the node.yaml that the controller wrote. */
  readonly nodeFile?: Oid;
  /** Undefined: the tip's files cannot be read, and the push may mend them. */
  readonly network?: Network;
  readonly listing: Listing;
}

/**
 * Reads the branch below a push, back to the controller's newest commit. A push therefore costs the same after any
 * number of earlier pushes.
 */
export async function readPushedOn(objects: Reader, tip: Oid): Promise<PushedOn> {
  let anchor = await objects.commit(tip);
  for (
    let parent = anchor.parents[0];
    !isByController(anchor) && parent !== undefined;
    parent = anchor.parents[0]
  )
    anchor = await objects.commit(parent);
  const node = await newestIdentity(objects, anchor);
  const nodeFile = (await objects.list(anchor.oid)).get(NODE_FILE)?.oid;
  const branch = { tip, node, ...(nodeFile !== undefined && { nodeFile }) };
  try {
    const [listing, files] = await Promise.all([objects.list(tip), objects.files(tip)]);
    return { ...branch, listing, network: readTree(files).network };
  } catch (error) {
    if (!concerns(error, 'tip')) throw error;
    return { ...branch, listing: new Map() };
  }
}

/** Remedies at the end of refusals. They depend on the origin of the files: a push or a host. */
interface Remedies {
  readonly unmanaged: string;
  readonly tooLarge: string;
}

const OF_PUSHES: Remedies = { unmanaged: 'take it out of the commit', tooLarge: 'shorten its comments' };

/** Judges the trees that a push, or the files of a host, put on a branch, one after the other. */
export class PushedTrees {
  readonly #branch: PushedOn;
  readonly #objects: Reader;
  readonly #renderer: Renderer;
  /** Files that the branch has, or that were judged, as path and object id. */
  readonly #judged: Set<string>;
  readonly #remedies: Remedies;

  constructor(branch: PushedOn, objects: Reader, remedies = OF_PUSHES) {
    this.#remedies = remedies;
    this.#branch = branch;
    this.#objects = objects;
    this.#renderer = rendererOf(branch.node.renderer);
    this.#judged = new Set([...branch.listing].map(([path, { oid }]) => `${path} ${oid}`));
  }

  /** @returns the network that the commit's files describe */
  async check(commit: Oid): Promise<Network> {
    const short = commit.slice(0, 10);
    const listing = await this.#of(short, () => this.#objects.list(commit, '', PUSHED_TREE));
    // Refuses a tree by its paths before any of its files is read.
    this.#checkListing(short, listing);
    const files = await this.#of(short, () => this.#objects.files(commit, '', PUSHED_TREE));
    return this.judge(short, listing, files);
  }

  /**
   * Judges files that are read already.
   * @param short the commit that brings the files, as refusals name it
   * @returns the network that the files describe
   */
  async judge(short: string, listing: Listing, files: ReadonlyMap<string, string>): Promise<Network> {
    this.#checkListing(short, listing);
    await this.#checkFiles(short, listing, files);
    const network = this.#read(short, () => readTree(files).network);
    this.#refuseLinkLocals(short, network);
    return network;
  }

  /** Compares with the branch before the push, because an earlier version may have stored a link-local address. */
  #refuseLinkLocals(short: string, network: Network): void {
    const { added } = partLinkLocals(network, this.#branch.network ?? []);
    const problems = added.flatMap((nic) => {
      const [path = ''] = this.#renderer.render(nic).keys();
      return linkLocalProblem(nic, path) ?? [];
    });
    if (problems.length > 0)
      throw new InvalidInputError('InvalidTree', `${short} can't be applied`, problems);
  }

  #checkListing(short: string, listing: Listing): void {
    for (const [path, { mode }] of listing) {
      if (path !== NODE_FILE && !this.#renderer.manages(path)) {
        throw refused(
          'UnmanagedPath',
          `${short}: ${path} is not a file that ${this.#renderer.kind} nodes have from us: ${this.#remedies.unmanaged}`,
        );
      }
      if (mode !== '100644')
        throw refused(
          'FileMode',
          `${short}: ${path} has mode ${mode}: only plain files (100644) are allowed, no links and no executables`,
        );
    }
    if (listing.size > MAX_TREE_FILES)
      throw refused(
        'TooManyInterfaces',
        `${short} has ${listing.size} files: a node may have ${MAX_INTERFACES} interfaces, remove some`,
      );
    if (listing.get(NODE_FILE)?.oid !== this.#branch.nodeFile)
      throw refused(
        'NodeFileChanged',
        `${short}: ${NODE_FILE} says who the node is and is the controller's: git checkout ${this.#branch.tip.slice(0, 10)} -- ${NODE_FILE}`,
      );
  }

  /**
   * Checks one file in each turn of the event loop, up to the first bad one, because a hostile YAML file takes long to
   * read.
   */
  async #checkFiles(short: string, listing: Listing, files: ReadonlyMap<string, string>): Promise<void> {
    for (const [path, text] of files) {
      const key = `${path} ${listing.get(path)?.oid}`;
      if (path === NODE_FILE || this.#judged.has(key)) continue;
      const limit = isYaml(path) ? MAX_CHANGED_FILE : MAX_CHANGED_LINES;
      if (text.length > limit)
        throw refused(
          'FileTooLarge',
          `${short}: ${path} has ${text.length} characters, at most ${limit} are taken: ${this.#remedies.tooLarge}`,
        );
      // A hidden character is refused before anything is parsed.
      if (isYaml(path) && this.#renderer.manages(path) && findHidden(text) === undefined)
        this.#read(short, () => void this.#renderer.parse(filesOfNic(path, files)));
      this.#judged.add(key);
      await turn();
    }
  }

  #read<T>(short: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      throw new InvalidInputError('InvalidTree', `${short} can't be applied`, error.problems);
    }
  }

  /** Adds the commit's short ID to the error about its objects. */
  async #of<T>(short: string, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof MultinicError)) throw error;
      throw new MultinicError(error.code, `${short}: ${error.message}`, { cause: error, data: error.data });
    }
  }
}

function isYaml(path: string): boolean {
  return path.endsWith('.yaml');
}

/** The files of the NIC that a managed path belongs to. */
function filesOfNic(path: string, files: ReadonlyMap<string, string>): Map<string, string> {
  const name = nicOf(path);
  return new Map([...files].filter(([each]) => each !== NODE_FILE && nicOf(each) === name));
}

function nicOf(path: string): string | undefined {
  return /multinic[0-9]+/.exec(path.slice(path.lastIndexOf('/')))?.[0];
}

function refused(code: Reason, message: string): MultinicError {
  return new MultinicError(code, message);
}
