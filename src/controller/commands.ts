// Commands that people give to the controller. Each decides on the present tips and writes one batch.

import { MultinicError } from '../api/errors.ts';
import { kindOf, type Branch, type Branches } from '../history/node-branch.ts';
import { headOf, move, rerender, rollback, type Cause, type Head } from '../history/branch-commits.ts';
import { trailer, TRAILER } from '../history/commit-words.ts';
import { recordRequest, type Request } from '../history/outcome-branch.ts';
import { MAIN, nodeOfRef, NODES, outcomeRef } from '../history/refs.ts';
import { rollbackTarget } from '../history/rollback.ts';
import type { Mirror } from '../mirror/mirror.ts';
import type { RendererKind } from '../network/node.ts';
import { Batch } from '../store/model/batch.ts';
import type { Commit, Oid, Person } from '../store/model/store-port.ts';
import { decideAnew } from '../store/race.ts';
import type { Store } from '../store/store.ts';
import type { PausableInventory, Requester } from './sink-port.ts';
import type { WaitingRemovals } from './telling.ts';

/** A node's new tip. */
export interface Moved {
  readonly node: string;
  readonly commit: Oid;
}

/** Result of a command for several nodes: each node moved, or was skipped for a reason. */
export interface ManyMoved {
  readonly moved: readonly Moved[];
  readonly skipped: readonly { readonly node: string; readonly reason: string }[];
}

/** Commits of a branch among which `rollback --change` looks for the change, to name the nodes that moved on. */
const CHANGE_LOOK_BACK = 100;

export interface CommandsOptions {
  readonly store: Store;
  readonly branches: Branches;
  readonly mirror: Mirror;
  readonly inventory: PausableInventory;
  readonly telling: {
    readonly waitingRemovals: WaitingRemovals | undefined;
    /** Nodes that the newest pass found failed. */
    readonly failedNodes: readonly string[];
  };
}

export class Commands {
  readonly #store: Store;
  readonly #branches: Branches;
  readonly #mirror: Mirror;
  readonly #inventory: PausableInventory;
  readonly #telling: CommandsOptions['telling'];

  constructor({ store, branches, mirror, inventory, telling }: CommandsOptions) {
    this.#store = store;
    this.#branches = branches;
    this.#mirror = mirror;
    this.#inventory = inventory;
    this.#telling = telling;
  }

  /** Commits the last different network, or that of a commit of the branch. The rollback holds until the CR changes. */
  async rollback(node: string, to: Oid | undefined, by: Requester): Promise<Moved> {
    return decideAnew(async () => {
      const branch = await this.#branches.get(node);
      const batch = new Batch();
      const target = await rollbackTarget(this.#store.reader, branch, to && (await this.#resolve(to)));
      const head = rollback(batch, headOf(branch), target.network, target.commit, causeOf(by));
      if (head.tree !== branch.tree) return this.#land(batch, branch, head);
      throw new MultinicError(
        'NothingToRollBack',
        `node/${node} has the network of ${target.commit.slice(0, 10)} already: multinic log ${node} lists others`,
        { data: { node, commit: target.commit } },
      );
    });
  }

  /** Rolls back all nodes that a commit of main touched; those that moved on since are left alone and listed. */
  async rollbackChange(change: Oid, by: Requester): Promise<ManyMoved> {
    const main = await this.#resolve(change);
    const moved: Moved[] = [];
    const skipped: { node: string; reason: string }[] = [];
    for (const branch of await this.#all()) {
      const touched = await this.#touchedBy(branch, main);
      if (touched === undefined) continue;
      const newest = branch.base.commit && trailer(branch.base.commit, TRAILER.mainCommit);
      if (newest !== main || branch.hold !== undefined || branch.invalid !== undefined) {
        skipped.push({
          node: branch.name,
          reason: `moved on since: node/${branch.name} is at ${branch.tip.oid.slice(0, 10)}`,
        });
        continue;
      }
      try {
        moved.push(await this.rollback(branch.name, touched.parents[0], by));
      } catch (error) {
        if (!(error instanceof MultinicError)) throw error;
        skipped.push({ node: branch.name, reason: error.message });
      }
    }
    if (moved.length + skipped.length === 0) {
      throw new MultinicError(
        'NothingToRollBack',
        `${change} changed no node: git log main lists the changes`,
        { data: { change } },
      );
    }
    return { moved, skipped };
  }

  /** Ends a node's hold: the CR decides again. */
  async release(node: string, by: Requester): Promise<Moved> {
    return { node, commit: await this.#mirror.release(node, causeOf(by), await this.#inventory.list()) };
  }

  /** Requests a run now, or a run that takes a host over from another store. */
  async request(node: string, request: Request, by: Requester): Promise<Moved> {
    return decideAnew(async () => {
      await this.#branches.get(node);
      const batch = new Batch();
      const tip = await this.#store.reader.ref(outcomeRef(node));
      recordRequest(batch, tip, { node, request, by: authorOf(by), principal: by.principal });
      const oids = await this.#store.write(batch);
      return { node, commit: oids.at(-1)! };
    });
  }

  /** Requests a run for each failed node, in one batch. */
  async retryFailed(by: Requester): Promise<ManyMoved> {
    const nodes = this.#telling.failedNodes;
    if (nodes.length === 0) {
      throw new MultinicError('NothingToRetry', 'no node has failed: see multinic status');
    }
    return decideAnew(async () => {
      const batch = new Batch();
      for (const node of nodes) {
        const tip = await this.#store.reader.ref(outcomeRef(node));
        recordRequest(batch, tip, { node, request: 'retry', by: authorOf(by), principal: by.principal });
      }
      await this.#store.write(batch);
      const moved = nodes.map(async (node) => {
        const commit = await this.#store.reader.ref(outcomeRef(node));
        return { node, commit: commit! };
      });
      return { moved: await Promise.all(moved), skipped: [] };
    });
  }

  /** Renders nodes with today's renderer, or with another kind; nodes whose files would not change are skipped. */
  async rerender(
    nodes: readonly string[],
    kind: RendererKind | undefined,
    by: Requester,
  ): Promise<ManyMoved> {
    const names = nodes.length > 0 ? new Set(nodes) : (await this.#all()).map(({ name }) => name);
    const moved: Moved[] = [];
    const skipped: { node: string; reason: string }[] = [];
    // Check all names first: a typing error must not be found after half of the nodes.
    for (const name of names) await this.#branches.get(name);
    for (const name of names) {
      await decideAnew(async () => {
        const branch = await this.#branches.get(name);
        const batch = new Batch();
        const head = rerender(
          batch,
          headOf(branch),
          { ...branch.node, renderer: kind ?? branch.node.renderer },
          causeOf(by),
        );
        if (branch.invalid !== undefined)
          skipped.push({ node: name, reason: `its tip is invalid: multinic release ${name}` });
        else if (head.tree === branch.tree && head.node.renderer === branch.node.renderer)
          skipped.push({ node: name, reason: 'up to date' });
        else moved.push(await this.#land(batch, branch, head));
      });
    }
    return { moved, skipped };
  }

  /**
   * Confirms a node's takeover (a node name), a change that was stopped because nodes failed (a commit of main), or all
   * waiting removals (nothing). Only removals that the newest pass saw are confirmed, because the person has not seen
   * later ones.
   */
  async confirm(
    target: string | undefined,
    by: Requester,
  ): Promise<{ readonly confirmed: string; readonly commit: Oid; readonly nodes?: readonly string[] }> {
    if (target !== undefined && (await this.#branches.read(target)) !== undefined) {
      return { confirmed: target, commit: (await this.request(target, 'confirm', by)).commit };
    }
    const wanted = target && (await this.#resolve(target));
    const waiting = wanted === undefined ? this.#telling.waitingRemovals : undefined;
    const meant = wanted ?? waiting?.main;
    const nodes = waiting && [...waiting.nodes].sort();
    if (meant === undefined || nodes?.length === 0) {
      throw new MultinicError(
        'NothingToConfirm',
        'no removal waits for a confirmation: name a node or a commit of main to confirm something else',
      );
    }
    return decideAnew(async () => {
      const tip = await this.#store.reader.ref(MAIN);
      if (!(await this.#store.reader.isAncestor(meant, tip!))) {
        throw new MultinicError(
          'NotInBranch',
          `${target} is neither a node nor a commit of main: see multinic status`,
          { data: { target } },
        );
      }
      const batch = new Batch();
      const mark = batch.commit({
        parents: [tip!],
        files: new Map(),
        author: authorOf(by),
        ...(nodes !== undefined && { body: nodes.join('\n') }),
        subject: `confirm ${wanted === undefined ? 'removals at' : 'change'} ${meant.slice(0, 10)}`,
        trailers: [
          [TRAILER.confirms, meant],
          [TRAILER.means, wanted === undefined ? 'removals' : 'change'],
          [TRAILER.by, by.principal],
        ],
      });
      batch.move(MAIN, mark, tip!);
      const [commit] = await this.#store.write(batch);
      return { confirmed: meant, commit: commit!, ...(nodes !== undefined && { nodes }) };
    });
  }

  /** Pauses or resumes a node: the mirror goes on committing, no Job applies. */
  async setPaused(node: string, paused: boolean): Promise<void> {
    await this.#inventory.setPaused(node, paused);
  }

  async #land(batch: Batch, branch: Branch, head: Head): Promise<Moved> {
    move(batch, branch.name, head, branch.tip.oid);
    const oids = await this.#store.write(batch);
    return { node: branch.name, commit: oids.at(-1)! };
  }

  async #all(): Promise<Branch[]> {
    const tips = await this.#store.refs.below(NODES);
    return Promise.all([...tips].map(([ref, tip]) => this.#branches.at(nodeOfRef(ref)!, tip)));
  }

  /** The branch's first spec commit from that commit of main; releases have the same trailer, later. */
  async #touchedBy(branch: Branch, main: Oid): Promise<Commit | undefined> {
    const commits = await this.#store.reader.log(branch.tip.oid, {
      firstParent: true,
      limit: CHANGE_LOOK_BACK,
    });
    return commits.findLast(
      (commit) => kindOf(commit) === 'spec' && trailer(commit, TRAILER.mainCommit) === main,
    );
  }

  /** Resolves a commit ID, whole or its first digits. */
  async #resolve(text: string): Promise<Oid> {
    return this.#store.reader.resolve(text);
  }
}

function causeOf(by: Requester): Cause {
  return { author: authorOf(by), trailers: [[TRAILER.by, by.principal]] };
}

function authorOf({ name, email }: Requester): Person {
  return { name, email };
}
