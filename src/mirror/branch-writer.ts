// Writes planned changes on the branches of nodes. A change that cannot be written fails for its node alone.

import { checkpoint } from '../api/checkpoint.ts';
import { concerns, hasCode, MultinicError } from '../api/errors.ts';
import { birth, headOf, identity, move, spec, type Cause, type Head } from '../history/branch-commits.ts';
import { describeChange, formatConfigRef, trailer, TRAILER } from '../history/commit-format.ts';
import type { Branch, Branches } from '../history/node-branch.ts';
import { nodeOfRef } from '../history/refs.ts';
import type { AutoRouting } from '../network/auto-routing.ts';
import type { WantedInterface } from '../network/interface.ts';
import type { ConfigRef, NodeIdentity } from '../network/node.ts';
import { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Commit, Mark, Oid, Person } from '../store/model/store-port.ts';
import type { Store } from '../store/store.ts';
import type { InventoryNode } from './home-port.ts';
import { causeOf, type MainConfig, type MainState } from './main-branch.ts';
import { describeIdentity, sameIdentity } from './node-identity.ts';

export interface MirrorEvent {
  readonly type: 'Committed' | 'HoldEnded';
  readonly node: string;
  readonly config: ConfigRef;
  readonly message: string;
}

/** One commit of main that is being mirrored, with the state of main there and the inventory. */
export interface Step {
  readonly commit: Commit;
  readonly main: MainState;
  readonly inventory: readonly InventoryNode[];
  /** Position of each commit of main that is still to be mirrored. */
  readonly order: ReadonlyMap<Oid, number>;
  /**
   * The commit after `commit`, which is written in the same batch as the branches. Absent: `commit` itself is mirrored.
   */
  readonly lead?: Lead;
}

/** A commit of main that is written in one batch with the branches' commits that name it. */
export interface Lead {
  /** The batch, which already has the commit of main and its move. */
  readonly batch: Batch;
  readonly commit: Mark;
  readonly author: Person;
}

/** The commits to write on a node's branch. */
export interface Change {
  readonly name: string;
  readonly branch?: Branch;
  readonly node: NodeIdentity;
  /** Absent if only the identity changes. */
  readonly wanted?: readonly WantedInterface[];
  readonly config?: MainConfig;
  readonly auto?: AutoRouting;
}

/** The outcome of writing changes. */
export interface Written {
  readonly events: MirrorEvent[];
  /** Nodes whose branch another process moved meanwhile. Their changes are decided again. */
  readonly rejected: Set<string>;
  /** Failures of single nodes. */
  readonly problems: Map<string, MultinicError>;
}

/** Number of single nodes' failures in one pass above which the store itself counts as the cause. */
const MAX_FAILURES = 10;

export class BranchWriter {
  readonly #store: Store;
  readonly #branches: Branches;

  constructor(store: Store, branches: Branches) {
    this.#store = store;
    this.#branches = branches;
  }

  /**
   * Writes changes in one batch. A batch that fails is divided until the failure is that of one node.
   * @param branches gets the branches as they are afterwards
   * @throws errors that concern the whole store
   */
  async write(step: Step, changes: readonly Change[], branches: Map<string, Branch>): Promise<Written> {
    const written: Written = { events: [], rejected: new Set(), problems: new Map() };
    await this.#divide(step, changes, branches, written);
    return written;
  }

  /**
   * Writes the commit of main and the changes that it asks for in one batch: all of them, or none.
   * @returns the ID of main's commit
   * @throws MultinicError as `Store.write`
   */
  async writeWithMain(
    step: Step & { readonly lead: Lead },
    changes: readonly Change[],
    branches: Map<string, Branch>,
  ): Promise<Written & { readonly main: Oid }> {
    const written: Written = { events: [], rejected: new Set(), problems: new Map() };
    const plan = new Batches(step, written);
    const oids = await this.#store.write(plan.of(changes));
    checkpoint('mirror.main');
    checkpoint('mirror.branches');
    await this.#remember(plan, oids, branches);
    return { ...written, main: oids[step.lead.commit.mark - 1]! };
  }

  /**
   * Decides on one node's change and writes it, in one turn: no other write of this process comes between.
   * @returns whether the branch was moved by another process meanwhile
   */
  async writeInTurn(
    step: Step,
    name: string,
    branches: Map<string, Branch>,
    decide: () => Promise<Change | undefined>,
  ): Promise<Written> {
    const written: Written = { events: [], rejected: new Set(), problems: new Map() };
    const plan = new Batches(step, written);
    try {
      const oids = await this.#store.transact(async () => {
        branches.delete(name);
        const branch = await this.#branches.read(name);
        if (branch !== undefined) branches.set(name, branch);
        const change = await decide();
        return plan.of(change === undefined ? [] : [change]);
      });
      await this.#remember(plan, oids, branches);
    } catch (error) {
      if (concerns(error, 'store')) throw error;
      if (hasCode(error, 'LostRace')) written.rejected.add(name);
      else written.problems.set(name, asProblem(error));
    }
    return written;
  }

  async #divide(
    step: Step,
    changes: readonly Change[],
    branches: Map<string, Branch>,
    written: Written,
  ): Promise<void> {
    if (changes.length === 0) return;
    try {
      return await this.#writeAll(step, changes, branches, written);
    } catch (error) {
      if (concerns(error, 'store')) throw error;
      const rejected = rejectedNodes(error);
      if (rejected.size > 0) {
        for (const name of rejected) written.rejected.add(name);
        const rest = changes.filter(({ name }) => !rejected.has(name));
        return this.#divide(step, rest, branches, written);
      }
      const [only, ...others] = changes;
      if (only !== undefined && others.length === 0) {
        if (written.problems.size >= MAX_FAILURES) throw error;
        written.problems.set(only.name, asProblem(error));
        return undefined;
      }
    }
    const middle = Math.ceil(changes.length / 2);
    await this.#divide(step, changes.slice(0, middle), branches, written);
    return this.#divide(step, changes.slice(middle), branches, written);
  }

  async #writeAll(
    step: Step,
    changes: readonly Change[],
    branches: Map<string, Branch>,
    written: Written,
  ): Promise<void> {
    const plan = new Batches(step, written);
    const { oids, rejected } = await this.#store.writeEach(plan.of(changes));
    checkpoint('mirror.branches');
    for (const ref of rejected) plan.drop(nodeOfRef(ref)!);
    await this.#remember(plan, oids, branches);
  }

  /** Remembers the written branches, so that nobody has to read them back. */
  async #remember(plan: Batches, oids: readonly Oid[], branches: Map<string, Branch>): Promise<void> {
    const heads = [...plan.heads];
    const tips = await this.#store.reader.commits(
      heads.map(([, head]) => oids[(head.parent as Mark).mark - 1]!),
    );
    for (const [index, [name, head]] of heads.entries()) {
      const branch = branchAfter(name, head, tips[index]!, branches.get(name));
      this.#branches.remember(branch);
      branches.set(name, branch);
    }
    plan.keepEvents();
  }
}

/** A batch under construction, with each branch's new head and the events to report. */
class Batches {
  readonly heads = new Map<string, Head>();
  readonly #step: Step;
  readonly #written: Written;
  readonly #events: MirrorEvent[] = [];

  constructor(step: Step, written: Written) {
    this.#step = step;
    this.#written = written;
  }

  of(changes: readonly Change[]): Batch {
    const batch = this.#step.lead?.batch ?? new Batch();
    for (const change of changes) {
      try {
        const events: MirrorEvent[] = [];
        const head = batch.whole(() => addChange(batch, change, this.#step, events));
        this.heads.set(change.name, head);
        this.#events.push(...events);
      } catch (error) {
        this.#written.problems.set(change.name, asProblem(error));
      }
    }
    return batch;
  }

  /** Removes a node whose branch did not move from the batch's result. */
  drop(name: string): void {
    this.heads.delete(name);
    this.#written.rejected.add(name);
  }

  keepEvents(): void {
    this.#written.events.push(...this.#events.filter(({ node }) => this.heads.has(node)));
  }
}

function rejectedNodes(error: unknown): Set<string> {
  if (!hasCode(error, 'LostRace')) return new Set();
  const { refs } = error.data as { refs?: readonly string[] };
  return new Set((refs ?? []).flatMap((ref) => nodeOfRef(ref) ?? []));
}

function asProblem(error: unknown): MultinicError {
  if (error instanceof MultinicError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new MultinicError('NodeTrouble', `${message}: see the controller's log`, { cause: error });
}

function addChange(batch: Batch, change: Change, step: Step, events: MirrorEvent[]): Head {
  const cause = causeFor(change, step);
  const { branch } = change;
  let head = branch === undefined ? birth(batch, change.node, cause) : headOf(branch);
  if (branch !== undefined && !sameIdentity(change.node, branch.node)) {
    const what = describeIdentity(branch.node, change.node);
    head = identity(batch, head, change.node, head.network, what, { ...cause, author: CONTROLLER });
  }
  if (change.wanted !== undefined && (change.wanted.length > 0 || branch !== undefined)) {
    const before = head;
    head = spec(batch, head, change.wanted, cause, change.auto);
    events.push({
      type: before.hold === undefined ? 'Committed' : 'HoldEnded',
      node: change.name,
      config: change.node.source,
      message: describeChange(before.network, head.network),
    });
  }
  move(batch, change.name, head, branch?.tip.oid ?? null);
  return head;
}

/** Cause of a spec commit: its author is the newest field manager; its trailers name the CR and the commit of main. */
function causeFor(change: Change, step: Step): Cause {
  const trailers =
    change.config === undefined
      ? [[TRAILER.config, formatConfigRef(change.node.source)] as const]
      : causeOf(change.config);
  if (step.lead !== undefined) {
    const { author, commit } = step.lead;
    return { author, trailers: [...trailers, [TRAILER.mainCommit, commit]], notBefore: commit };
  }
  const { name, email } = step.commit.author;
  return {
    author: step.order.has(step.commit.oid) ? { name, email } : CONTROLLER,
    trailers: [...trailers, [TRAILER.mainCommit, step.commit.oid]],
    // The guard counts an hour by the times of main, also when the clock was ahead and came back.
    notBefore: step.commit.committer.time,
  };
}

function branchAfter(name: string, head: Head, tip: Commit, before: Branch | undefined): Branch {
  const isSpec = trailer(tip, TRAILER.change) === 'spec';
  return {
    name,
    tip,
    node: head.node,
    network: head.network,
    base: isSpec ? { commit: tip, network: head.network } : (before?.base ?? { network: [] }),
    anchor: tip,
    tree: head.tree,
    ...(head.hold && { hold: head.hold }),
  };
}
