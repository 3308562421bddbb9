// Commits to each node's branch what one commit of main wants.

import { ANNOTATIONS, readAnnotation } from '../api/annotations.ts';
import { MultinicError } from '../api/errors.ts';
import { baseAt, type Branch, type Branches } from '../history/node-branch.ts';
import { formatConfigRef, oidTrailer, trailer, TRAILER } from '../history/commit-format.ts';
import { nodeOfRef } from '../history/refs.ts';
import { satisfies } from '../network/interface.ts';
import type { ConfigRef, NodeIdentity } from '../network/node.ts';
import { nodeIdKey } from '../network/text.ts';
import type { Commit, Oid } from '../store/model/store-port.ts';
import { isRef, MAX_REF_PART } from '../store/model/ref-names.ts';
import { retryOnLostRace } from '../store/race.ts';
import type { Store } from '../store/store.ts';
import { Retirement } from './retirement.ts';
import {
  BranchWriter,
  type Change,
  type Lead,
  type MirrorEvent,
  type Step,
  type Written,
} from './branch-writer.ts';
import { InventoryIndex, resolveClaims, type Claim, type Claims } from './claim.ts';
import type { Entry } from './node-entry.ts';
import { GUARD_WINDOW_S, stoppedRemovals, type GuardPolicy, type GuardView, type Removal } from './guard.ts';
import { autoRoutingOf, type RoutingSettings } from './node-routing.ts';
import { identityOf, sameIdentity } from './node-identity.ts';
import type { MainState } from './main-branch.ts';
import type { InventoryNode } from './home-port.ts';
import { nodeRef, NODES } from '../network/node-ref.ts';

export interface BranchesResult {
  readonly main: MainState;
  readonly claims: Claims;
  readonly branches: ReadonlyMap<string, Branch>;
  /** Errors of branches that could not be read or mirrored, by node name. */
  readonly problems: ReadonlyMap<string, MultinicError>;
  /** Nodes that would lose all interfaces, and keep them until a person confirms. */
  readonly stopped: ReadonlySet<string>;
  readonly events: readonly MirrorEvent[];
  /** Number of departed nodes that passes leave out. */
  readonly retired: number;
}

export interface BranchMirrorOptions {
  readonly guard: GuardPolicy;
  readonly stateAt: (commit: Oid) => Promise<MainState>;
  readonly retirement: Retirement;
  readonly routing: RoutingSettings;
}

/** All inputs of a node's decision, apart from the order of main. */
interface Seen {
  readonly listed: InventoryNode | undefined;
  readonly branch: Branch | undefined;
  readonly entry: Entry | undefined;
}

/** State of one pass over the branches. */
interface Pass {
  readonly step: Step;
  readonly branches: Map<string, Branch>;
  readonly claims: Claims;
  readonly stopped: ReadonlySet<string>;
  readonly problems: Map<string, MultinicError>;
}

const READ_AT_ONCE = 256;

export class BranchMirror {
  readonly #store: Store;
  readonly #branches: Branches;
  readonly #writer: BranchWriter;
  readonly #options: BranchMirrorOptions;
  /** Input of each node's newest decision to commit nothing. The same input gives the same decision. */
  readonly #upToDate = new Map<string, Seen>();

  constructor(store: Store, branches: Branches, options: BranchMirrorOptions) {
    this.#store = store;
    this.#branches = branches;
    this.#options = options;
    this.#writer = new BranchWriter(store, branches);
  }

  async run(step: Step): Promise<BranchesResult> {
    const problems = new Map<string, MultinicError>();
    const { branches, retired } = await this.#read(step, problems);
    const claims = resolveClaims(step.main, step.inventory, branches);
    const changes = this.#plan(step, branches, claims, problems);
    const stopped = await this.#guard(step, changes, branches);
    const written = await this.#writer.write(
      step,
      changes.flatMap((change) => allowed(change, stopped)),
      branches,
    );
    for (const name of written.rejected) {
      const again = await this.#writeAgain(name, { step, branches, claims, stopped, problems });
      written.events.push(...again.events);
      for (const [node, problem] of again.problems) problems.set(node, problem);
    }
    for (const [node, problem] of written.problems) problems.set(node, problem);
    this.#options.retirement.note(step.inventory, claims, branches);
    return { main: step.main, claims, branches, problems, stopped, events: written.events, retired };
  }

  /**
   * Mirrors a commit of main and writes it in the same batch, so that a change costs one write.
   * @returns undefined: nothing was written, because a node would lose all its interfaces; the guard needs main's
   * commit to be written first
   * @throws MultinicError as `Store.write`
   */
  async runWithMain(
    step: Step & { readonly lead: Lead },
  ): Promise<{ readonly commit: Oid; readonly result: BranchesResult } | undefined> {
    const problems = new Map<string, MultinicError>();
    const { branches, retired } = await this.#read(step, problems);
    const claims = resolveClaims(step.main, step.inventory, branches);
    const changes = this.#plan(step, branches, claims, problems);
    if (changes.some(isRemoval)) return undefined;
    const written = await this.#writer.writeWithMain(step, changes, branches);
    for (const [node, problem] of written.problems) problems.set(node, problem);
    this.#options.retirement.note(step.inventory, claims, branches);
    const main = { commit: written.main, configs: step.main.configs };
    const { events } = written;
    return {
      commit: written.main,
      result: { main, claims, branches, problems, stopped: new Set(), events, retired },
    };
  }

  /**
   * Decides anew on a node whose branch moved while the others were written.
   * @throws MultinicError `LostRace` when other processes move it again and again
   */
  async #writeAgain(name: string, { step, branches, claims, stopped, problems }: Pass): Promise<Written> {
    const decide = async (): Promise<Change | undefined> => {
      const one = new Map([...branches].filter(([node]) => node === name));
      const only = { ...claims, byNode: new Map([...claims.byNode].filter(([node]) => node === name)) };
      return this.#plan(step, one, only, problems).flatMap((change) => allowed(change, stopped))[0];
    };
    return retryOnLostRace(async () => {
      const written = await this.#writer.writeInTurn(step, name, branches, decide);
      if (!written.rejected.has(name)) return written;
      throw new MultinicError('LostRace', `node/${name} moved again and again; the next pass decides anew`);
    });
  }

  /** Reads all branches but those of retired nodes. */
  async #read(
    { inventory }: Step,
    problems: Map<string, MultinicError>,
  ): Promise<{ readonly branches: Map<string, Branch>; readonly retired: number }> {
    const branches = new Map<string, Branch>();
    const unread: [name: string, tip: Oid][] = [];
    const { nodes } = InventoryIndex.of(inventory);
    let retired = 0;
    for (const [ref, tip] of await this.#store.refs.below(NODES)) {
      const name = nodeOfRef(ref)!;
      if (!nodes.has(name) && this.#options.retirement.has(name, tip)) {
        retired += 1;
        continue;
      }
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
    this.#forgetRetired({ has: (name) => branches.has(name) || problems.has(name) });
    return { branches, retired };
  }

  /** Forgets what is remembered of retired nodes, because an autoscaler makes new ones for ever. */
  #forgetRetired(nodes: { has(node: string): boolean }): void {
    this.#branches.keep(nodes);
    for (const [name, { branch }] of this.#upToDate)
      if (branch !== undefined && !nodes.has(name)) this.#upToDate.delete(name);
  }

  /** Compares each node's entry with its base. A bad entry changes nothing on its node. */
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
        const change = this.#planOne(name, seen, claim);
        if (change === undefined) this.#upToDate.set(name, seen);
        else changes.push(change);
      } catch (error) {
        if (!(error instanceof MultinicError)) throw error;
        problems.set(name, error);
      }
    }
    return changes.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #planOne(name: string, { listed, branch }: Seen, claim: Claim | undefined): Change | undefined {
    const change = planChange(name, listed, branch, claim);
    const auto = autoRoutingOf(listed, claim?.config.annotations, this.#options.routing);
    return change && { ...change, auto };
  }

  #isSettled(name: string, { listed, branch, entry }: Seen): boolean {
    const known = this.#upToDate.get(name);
    return (
      known?.listed === listed && known?.branch === branch && known?.entry === entry && known !== undefined
    );
  }

  /** The nodes whose removal waits for a person's confirmation. */
  async #guard(
    step: Step,
    changes: readonly Change[],
    branches: ReadonlyMap<string, Branch>,
  ): Promise<Set<string>> {
    const removed = changes.filter(isRemoval);
    if (removed.length === 0) return new Set();
    const before = await this.#stateBefore(step);
    const confirmed = await this.#confirmed(step, before, removed);
    if (confirmed.size === removed.length) return new Set();
    const waiting = waitingRemovals(step, before, branches, removed);
    const removals = removed.map(({ name }): Removal => ({
      node: name,
      confirmed: confirmed.has(name),
      waiting: waiting.has(name),
    }));
    return stoppedRemovals(removals, await this.#hourBefore(step.commit, branches), this.#options.guard);
  }

  async #stateBefore({ commit }: Step): Promise<MainState | undefined> {
    const parent = commit.parents[0];
    return parent === undefined ? undefined : this.#options.stateAt(parent);
  }

  /** Nodes with a confirmed removal: by a commit on main, or by the annotation that the CR had when last seen. */
  async #confirmed(
    step: Step,
    before: MainState | undefined,
    removed: readonly Change[],
  ): Promise<Set<string>> {
    const states = await this.#confirmedStates(step);
    const confirmed = removed.filter(({ node }) => {
      const source = formatConfigRef(node.source);
      const lastSeen = step.main.configs.get(source) ?? before?.configs.get(source);
      if (readAnnotation(lastSeen?.annotations, ANNOTATIONS.confirmCleanup)) return true;
      return states.length > 0 && states.every((state) => wantsNothing(state, node));
    });
    return new Set(confirmed.map(({ name }) => name));
  }

  /**
   * States of main from the confirmed commit on, because an interface that came back after that commit is not
   * confirmed.
   */
  async #confirmedStates(step: Step): Promise<MainState[]> {
    const target = oidTrailer(step.commit, TRAILER.confirms);
    if (target === undefined || trailer(step.commit, TRAILER.means) === 'change') return [];
    const since = await this.#store.reader.log(step.commit.oid, { firstParent: true, until: target });
    return Promise.all([target, ...since.map(({ oid }) => oid)].map((oid) => this.#options.stateAt(oid)));
  }

  /**
   * Counts the nodes of the hour before a commit of main, by the commit's time, so that the commit gets the same
   * judgement after a restart.
   */
  async #hourBefore(main: Commit, branches: ReadonlyMap<string, Branch>): Promise<GuardView> {
    const begin = main.committer.time - GUARD_WINDOW_S;
    let cleanedLately = 0;
    let configuredBefore = 0;
    for (const branch of branches.values()) {
      const { commit, network } = branch.base;
      if (commit === undefined) continue;
      const had = (await baseAt(this.#store.reader, branch, begin)).length > 0;
      if (had) configuredBefore++;
      if (isRolledBack(branch, begin)) cleanedLately++;
      else if (
        network.length === 0 &&
        commit.committer.time > begin &&
        (await removedSomething(this.#store, commit))
      )
        cleanedLately++;
    }
    return { cleanedLately, configuredBefore };
  }
}

/** Whether a change takes all interfaces away that a CR gave the node. */
function isRemoval({ wanted, branch }: Change): boolean {
  return wanted?.length === 0 && (branch?.base.network.length ?? 0) > 0;
}

/** Whether a rollback or an edit took the node's last interface away after `since`. */
function isRolledBack({ network, base, hold }: Branch, since: number): boolean {
  return network.length === 0 && base.network.length > 0 && hold !== undefined && hold.since > since;
}

/** A stopped removal: the node keeps its interfaces, and a changed identity is committed all the same. */
function allowed(change: Change, stopped: ReadonlySet<string>): Change[] {
  if (!stopped.has(change.name)) return [change];
  const { wanted: _, ...rest } = change;
  return change.branch !== undefined && sameIdentity(change.node, change.branch.node) ? [] : [rest];
}

/**
 * Nodes whose removal has to wait: an earlier commit of main asked for it and was stopped, or no CR asks for it and only a
 * changed inventory causes it, which may be a mistake.
 */
function waitingRemovals(
  step: Step,
  before: MainState | undefined,
  branches: ReadonlyMap<string, Branch>,
  removed: readonly Change[],
): Set<string> {
  const names = removed.map(({ name }) => name);
  if (before === undefined || !step.order.has(step.commit.oid)) return new Set(names);
  const { byNode, unclear } = resolveClaims(before, step.inventory, branches);
  const wantedNothing = (name: string): boolean => {
    const claim = byNode.get(name);
    return claim === undefined || claim.entry.wanted?.length === 0;
  };
  return new Set(names.filter((name) => !unclear.has(name) && wantedNothing(name)));
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
    if (!isRef(nodeRef(name))) throw nameTooLong(name);
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
    const seen = commit && oidTrailer(commit, TRAILER.mainCommit);
    const there = seen === undefined ? undefined : step.order.get(seen);
    return here !== undefined && there !== undefined && there >= here;
  });
}

function nameTooLong(name: string): MultinicError {
  return new MultinicError(
    'NodeNameTooLong',
    `node ${name} has a name of ${name.length} characters, of which a branch can have ${MAX_REF_PART}: let the node join under a shorter name`,
    { data: { node: name } },
  );
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
