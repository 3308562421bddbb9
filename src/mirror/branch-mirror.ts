// Commits to each node's branch what one commit of main wants.

import { ANNOTATIONS, readAnnotation } from '../api/annotations.ts';
import { checkpoint } from '../api/checkpoint.ts';
import { MultinicError } from '../api/errors.ts';
import { baseAt, type Branch, type Branches } from '../history/node-branch.ts';
import { birth, headOf, identity, move, spec, type Cause, type Head } from '../history/branch-commits.ts';
import { describeChange, formatConfigRef, trailer, TRAILER } from '../history/commit-words.ts';
import { nodeOfRef, NODES } from '../history/refs.ts';
import { satisfies, type WantedInterface } from '../network/interface.ts';
import type { ConfigRef, NodeIdentity } from '../network/node.ts';
import { nodeIdKey } from '../network/text.ts';
import { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Commit, Mark, Oid } from '../store/model/store-port.ts';
import type { Store } from '../store/store.ts';
import { InventoryIndex, resolveClaims, type Claim, type Claims } from './claim.ts';
import type { Entry } from './node-entry.ts';
import { GUARD_WINDOW_S, stoppedRemovals, type GuardPolicy, type GuardView, type Removal } from './guard.ts';
import { describeIdentity, identityOf, sameIdentity } from './node-identity.ts';
import { causeOf, type MainConfig, type MainState } from './main-branch.ts';
import type { InventoryNode } from './home-port.ts';

export interface MirrorEvent {
  readonly type: 'Committed' | 'HoldEnded';
  readonly node: string;
  readonly config: ConfigRef;
  readonly message: string;
}

export interface BranchesResult {
  readonly main: MainState;
  readonly claims: Claims;
  readonly branches: ReadonlyMap<string, Branch>;
  /** Errors of branches that could not be read or mirrored, by node name. */
  readonly problems: ReadonlyMap<string, MultinicError>;
  /** Nodes that would lose all interfaces, and keep them until a person confirms. */
  readonly stopped: ReadonlySet<string>;
  readonly events: readonly MirrorEvent[];
}

/** One commit of main that is being mirrored, with the state of main there and the inventory. */
export interface Step {
  readonly commit: Commit;
  readonly main: MainState;
  readonly inventory: readonly InventoryNode[];
  /** Position of each commit of main that is still to be mirrored. */
  readonly order: ReadonlyMap<Oid, number>;
}

export interface BranchMirrorOptions {
  readonly guard: GuardPolicy;
  readonly stateAt: (commit: Oid) => Promise<MainState>;
}

/** The commits to write on a node's branch. */
interface Change {
  readonly name: string;
  readonly branch?: Branch;
  readonly node: NodeIdentity;
  /** Absent if only the identity changes. */
  readonly wanted?: readonly WantedInterface[];
  readonly config?: MainConfig;
}

/** Everything that a node's decision depends on, apart from the order of main. */
interface Seen {
  readonly listed: InventoryNode | undefined;
  readonly branch: Branch | undefined;
  readonly entry: Entry | undefined;
}

const READ_AT_ONCE = 256;

export class BranchMirror {
  readonly #store: Store;
  readonly #branches: Branches;
  readonly #options: BranchMirrorOptions;
  /** Input of each node's newest decision to commit nothing. The same input gives the same decision. */
  readonly #upToDate = new Map<string, Seen>();

  constructor(store: Store, branches: Branches, options: BranchMirrorOptions) {
    this.#store = store;
    this.#branches = branches;
    this.#options = options;
  }

  async run(step: Step): Promise<BranchesResult> {
    const problems = new Map<string, MultinicError>();
    const branches = await this.#read(problems);
    const claims = resolveClaims(step.main, step.inventory, branches);
    const changes = this.#plan(step, branches, claims, problems);
    const stopped = await this.#guard(step, changes, branches);
    const events = await this.#write(
      step,
      changes.flatMap((change) => allowed(change, stopped)),
      branches,
    );
    return { main: step.main, claims, branches, problems, stopped, events };
  }

  async #read(problems: Map<string, MultinicError>): Promise<Map<string, Branch>> {
    const branches = new Map<string, Branch>();
    const unread: [name: string, tip: Oid][] = [];
    for (const [ref, tip] of await this.#store.refs.below(NODES)) {
      const name = nodeOfRef(ref)!;
      const known = this.#branches.known(name, tip);
      if (known === undefined) unread.push([name, tip]);
      else branches.set(name, known);
    }
    const read = async ([name, tip]: [string, Oid]): Promise<void> => {
      try {
        branches.set(name, await this.#branches.at(name, tip));
      } catch (error) {
        if (!(error instanceof MultinicError)) throw error;
        problems.set(name, error);
      }
    };
    // The reads of one slice go to git together. One slice of all nodes would hold every file of the fleet in memory.
    for (let start = 0; start < unread.length; start += READ_AT_ONCE) {
      await Promise.all(unread.slice(start, start + READ_AT_ONCE).map(read));
    }
    return branches;
  }

  /** Compares what each node should have with its base; a bad entry changes nothing on its node. */
  #plan(
    step: Step,
    branches: ReadonlyMap<string, Branch>,
    claims: Claims,
    problems: Map<string, MultinicError>,
  ): Change[] {
    const inventory = InventoryIndex.of(step.inventory).nodes;
    const changes: Change[] = [];
    for (const name of new Set([...claims.byNode.keys(), ...branches.keys()])) {
      if (problems.has(name) || claims.unclear.has(name)) continue;
      const claim = claims.byNode.get(name);
      const seen = { listed: inventory.get(name), branch: branches.get(name), entry: claim?.entry };
      if (this.#isSettled(name, seen) || (seen.branch !== undefined && isLater(step, seen.branch))) continue;
      try {
        const change = planChange(name, seen.listed, seen.branch, claim);
        if (change === undefined) this.#upToDate.set(name, seen);
        else changes.push(change);
      } catch (error) {
        if (!(error instanceof MultinicError)) throw error;
        problems.set(name, error);
      }
    }
    return changes.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #isSettled(name: string, { listed, branch, entry }: Seen): boolean {
    const settled = this.#upToDate.get(name);
    return (
      settled?.listed === listed &&
      settled?.branch === branch &&
      settled?.entry === entry &&
      settled !== undefined
    );
  }

  /** The nodes whose removal waits for a person's confirmation. */
  async #guard(
    step: Step,
    changes: readonly Change[],
    branches: ReadonlyMap<string, Branch>,
  ): Promise<Set<string>> {
    const removed = changes.filter(
      (change) => change.wanted?.length === 0 && (change.branch?.base.network.length ?? 0) > 0,
    );
    if (removed.length === 0) return new Set();
    const before = await this.#stateBefore(step);
    const confirmed = await this.#confirmed(step, before);
    const waiting = waitingRemovals(step, before, branches);
    const removals: Removal[] = removed.map((change) => ({
      node: change.name,
      confirmed: confirmed(change),
      waiting: waiting(change),
    }));
    if (removals.every((removal) => removal.confirmed)) return new Set();
    return stoppedRemovals(removals, await this.#hourBefore(step.commit, branches), this.#options.guard);
  }

  async #stateBefore({ commit }: Step): Promise<MainState | undefined> {
    const parent = commit.parents[0];
    return parent === undefined ? undefined : this.#options.stateAt(parent);
  }

  /** Tells whether a removal is confirmed: by a commit on main, or by the annotation that the CR had when last seen. */
  async #confirmed(step: Step, before: MainState | undefined): Promise<(change: Change) => boolean> {
    const meant = await this.#confirmedStates(step);
    return (change) => {
      const source = formatConfigRef(change.node.source);
      const lastSeen = step.main.configs.get(source) ?? before?.configs.get(source);
      if (readAnnotation(lastSeen?.annotations, ANNOTATIONS.confirmCleanup)) return true;
      return meant.length > 0 && meant.every((state) => wantsNothing(state, change.node));
    };
  }

  /** States of main from the confirmed commit on. An interface that came back in between is not confirmed. */
  async #confirmedStates(step: Step): Promise<MainState[]> {
    const target = trailer(step.commit, TRAILER.confirms);
    if (target === undefined || trailer(step.commit, TRAILER.means) === 'change') return [];
    const since = await this.#store.reader.log(step.commit.oid, { firstParent: true, until: target });
    return Promise.all([target, ...since.map(({ oid }) => oid)].map((oid) => this.#options.stateAt(oid)));
  }

  /** The hour before a commit of main, by the commit's time: after a restart the commit gets the same judgement. */
  async #hourBefore(main: Commit, branches: ReadonlyMap<string, Branch>): Promise<GuardView> {
    const begin = main.committer.time - GUARD_WINDOW_S;
    let cleanedLately = 0;
    let configuredBefore = 0;
    for (const branch of branches.values()) {
      const { commit, network } = branch.base;
      if (commit === undefined) continue;
      const had = (await baseAt(this.#store.reader, branch, begin)).length > 0;
      if (had) configuredBefore++;
      if (
        network.length === 0 &&
        commit.committer.time > begin &&
        (await removedSomething(this.#store, commit))
      )
        cleanedLately++;
    }
    return { cleanedLately, configuredBefore };
  }

  async #write(
    step: Step,
    changes: readonly Change[],
    branches: Map<string, Branch>,
  ): Promise<MirrorEvent[]> {
    if (changes.length === 0) return [];
    const batch = new Batch();
    const heads = new Map<string, Head>();
    const events: MirrorEvent[] = [];
    for (const change of changes) heads.set(change.name, addChange(batch, change, step, events));
    const written = await this.#store.write(batch);
    checkpoint('mirror.branches');
    const tips = await this.#store.reader.commits(
      [...heads.values()].map((head) => written[(head.parent as Mark).mark - 1]!),
    );
    for (const [index, [name, head]] of [...heads].entries()) {
      const branch = branchAfter(name, head, tips[index]!, branches.get(name));
      this.#branches.remember(branch);
      branches.set(name, branch);
    }
    return events;
  }
}

/** A stopped removal: the node keeps its interfaces, and a changed identity is committed all the same. */
function allowed(change: Change, stopped: ReadonlySet<string>): Change[] {
  if (!stopped.has(change.name)) return [change];
  const { wanted: _, ...rest } = change;
  return change.branch !== undefined && sameIdentity(change.node, change.branch.node) ? [] : [rest];
}

/**
 * True for removals that have to wait: an earlier commit of main asked for them and was stopped, or no CR asks for them
 * and only a changed inventory causes them, which may be a mistake.
 */
function waitingRemovals(
  step: Step,
  before: MainState | undefined,
  branches: ReadonlyMap<string, Branch>,
): (change: Change) => boolean {
  if (before === undefined || !step.order.has(step.commit.oid)) return () => true;
  const { byNode, unclear } = resolveClaims(before, step.inventory, branches);
  return ({ name }) => {
    const claim = byNode.get(name);
    return !unclear.has(name) && (claim === undefined || claim.entry.wanted?.length === 0);
  };
}

function planChange(
  name: string,
  listed: InventoryNode | undefined,
  branch: Branch | undefined,
  claim: Claim | undefined,
): Change | undefined {
  const wanted = claim === undefined ? [] : claim.entry.wanted;
  if (branch === undefined) {
    if (listed === undefined || claim === undefined || wanted === undefined) return undefined;
    return { name, node: identityOf(listed, claimOf(claim), undefined), wanted, config: claim.config };
  }
  const node = listed === undefined ? branch.node : identityOf(listed, claim && claimOf(claim), branch.node);
  const differs = wanted !== undefined && !satisfies(branch.base.network, wanted);
  if (!differs && (branch.invalid !== undefined || sameIdentity(node, branch.node))) return undefined;
  return { name, branch, node, ...(differs && { wanted }), ...(claim && { config: claim.config }) };
}

/** Whether the branch already reflects a later commit of main: after a crash the mirror repeats earlier commits. */
function isLater(step: Step, branch: Branch): boolean {
  const here = step.order.get(step.commit.oid);
  return [branch.base.commit, branch.anchor].some((commit) => {
    const seen = commit && trailer(commit, TRAILER.mainCommit);
    const there = seen === undefined ? undefined : step.order.get(seen);
    return here !== undefined && there !== undefined && there >= here;
  });
}

function claimOf(claim: Claim): { nodeId: string; source: ConfigRef } {
  return { nodeId: claim.entry.nodeId!, source: claim.config.ref };
}

/** Whether main says that the node has no interfaces; a bad entry says nothing. */
function wantsNothing(main: MainState, node: NodeIdentity): boolean {
  const config = main.configs.get(formatConfigRef(node.source));
  const id = nodeIdKey(node.nodeId);
  for (const { nodeId, wanted } of config?.entries.values() ?? []) {
    if (nodeId !== undefined && nodeIdKey(nodeId) === id) return wanted?.length === 0;
  }
  return true;
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
    head = spec(batch, head, change.wanted, cause);
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
  const { name, email } = step.commit.author;
  return {
    author: step.order.has(step.commit.oid) ? { name, email } : CONTROLLER,
    trailers: [...trailers, [TRAILER.mainCommit, step.commit.oid]],
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

async function removedSomething(store: Store, commit: Commit): Promise<boolean> {
  const parent = commit.parents[0];
  if (parent === undefined) return false;
  try {
    const files = await store.reader.list(parent);
    return files.size > 1;
  } catch (error) {
    if (error instanceof MultinicError && error.code === 'TreeTooLarge') return true;
    throw error;
  }
}
