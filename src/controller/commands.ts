// Commands that people give to the controller. Each decides on the present tips and writes one batch.

import { MultinicError } from '../api/errors.ts';
import type { Branch, Branches } from '../history/node-branch.ts';
import { edit, headOf, move, rerender, rollback, type Cause, type Head } from '../history/branch-commits.ts';
import { acceptDrift, newestDrift } from '../history/drifts.ts';
import { describeChange, formatConfigRef, trailer, TRAILER, kindOf } from '../history/commit-format.ts';
import { recordRequest, type Request } from '../history/outcome-branch.ts';
import { MAIN, nodeOfRef, outcomeRef } from '../history/refs.ts';
import { rollbackTarget, type RollbackTarget } from '../history/rollback.ts';
import { changedNodes } from '../mirror/main-branch.ts';
import type { Mirror } from '../mirror/mirror.ts';
import type { Network } from '../network/interface.ts';
import type { RendererKind } from '../network/node.ts';
import { nodeIdKey } from '../network/text.ts';
import { Batch } from '../store/model/batch.ts';
import type { Commit, Mark, Oid, Person } from '../store/model/store-port.ts';
import { retryOnLostRace } from '../store/race.ts';
import type { Store } from '../store/store.ts';
import { describePausedByConfig, isPaused } from './facts.ts';
import { moveMany, type Build, type ManyMoved, type Moved } from './many-branches.ts';
import { previewMany, previewOf, previewOfEach, type Preview } from './change-preview.ts';
import type { ObservedHosts } from './observed-hosts.ts';
import type { PausableInventory, Requester } from './sink-port.ts';
import type { WaitingRemovals } from './reporter.ts';
import { NODES } from '../network/node-ref.ts';

/** Number of commits of a branch that `rollback --change` searches for the change, to name the nodes that moved on. */
const CHANGE_LOOK_BACK = 100;

export interface CommandsOptions {
  readonly store: Store;
  readonly branches: Branches;
  readonly mirror: Mirror;
  readonly inventory: PausableInventory;
  readonly reporter: {
    readonly waitingRemovals: WaitingRemovals | undefined;
    /** Nodes that the newest pass found failed. */
    readonly failedNodes: readonly string[];
    /** Nodes whose repair waits for a confirmation; undefined: repairs are not stopped. */
    readonly waitingRepairs: readonly string[] | undefined;
    /** Nodes that wait because a change was stopped. */
    waitingFor(change: Oid): readonly string[];
  };
  readonly observed: Pick<ObservedHosts, 'ask'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Result of a pause or a resume. A node without a branch has no commit. */
export interface ManyPaused {
  readonly moved: readonly (Pick<Moved, 'node'> & Partial<Moved>)[];
  /** Nodes that stay paused, because their CR pauses them. */
  readonly skipped: ManyMoved['skipped'];
}

/** Result of a confirmation. */
export interface Confirmed {
  /** The confirmed node, commit of main, or `repairs`. */
  readonly confirmed: string;
  readonly commit: Oid;
  /** Nodes whose removals were confirmed. */
  readonly nodes?: readonly string[];
}

export class Commands {
  readonly #store: Store;
  readonly #branches: Branches;
  readonly #mirror: Mirror;
  readonly #inventory: PausableInventory;
  readonly #reporter: CommandsOptions['reporter'];
  readonly #observed: CommandsOptions['observed'];
  readonly #now: () => number;

  constructor({ store, branches, mirror, inventory, reporter, observed, now }: CommandsOptions) {
    this.#observed = observed;
    this.#now = now;
    this.#store = store;
    this.#branches = branches;
    this.#mirror = mirror;
    this.#inventory = inventory;
    this.#reporter = reporter;
  }

  /**
   * Commits the last different network, or that of a commit of the branch. The rollback holds until the CR changes.
   * @param mayRemoveAll whether the node may lose all its interfaces
   * @throws MultinicError `TakesAllInterfaces`
   */
  async rollback(
    node: string,
    to: string | undefined,
    by: Requester,
    { mayRemoveAll = false, dryRun = false } = {},
  ): Promise<Moved | Preview> {
    return retryOnLostRace(async () => {
      const branch = await this.#branches.get(node);
      const batch = new Batch();
      const target = await rollbackTarget(
        this.#store.reader,
        branch,
        to === undefined ? undefined : await this.#resolve(to),
      );
      const head = this.#rollTo(batch, branch, target, by, mayRemoveAll || dryRun);
      return dryRun ? previewOf(branch, head) : this.#land(batch, branch, head);
    });
  }

  /** @throws MultinicError `NothingToRollBack`, `TakesAllInterfaces` */
  #rollTo(
    batch: Batch,
    branch: Branch,
    { network, commit }: RollbackTarget,
    by: Requester,
    mayRemoveAll: boolean,
  ): Head {
    const head = rollback(batch, headOf(branch), network, commit, causeOf(by));
    const node = branch.name;
    if (!mayRemoveAll && network.length === 0 && branch.network.length > 0)
      throw takesAll(branch, network, commit);
    if (head.tree !== branch.tree) return head;
    throw new MultinicError(
      'NothingToRollBack',
      `node/${node} has the network of ${commit.slice(0, 10)} already: multinic log ${node} lists others`,
      { data: { node, commit } },
    );
  }

  /** Rolls back all nodes that a commit of main touched. Nodes that moved on since are listed and left as they are. */
  async rollbackChange(
    change: string,
    by: Requester,
    { mayRemoveAll = false, dryRun = false } = {},
  ): Promise<ManyMoved | Preview> {
    const { reader } = this.#store;
    const main = await this.#resolve(change);
    const named = await changedNodes(reader, await reader.commit(main));
    const touched = new Map<Branch, Oid | undefined>();
    for (const branch of await this.#all()) {
      if (!isOf(branch.base.commit, main) && !named.has(nodeIdKey(branch.node.nodeId))) continue;
      const first = await this.#firstOf(branch, main);
      if (first !== undefined) touched.set(branch, first.parents[0]);
    }
    if (touched.size === 0) {
      throw new MultinicError(
        'NothingToRollBack',
        `${change} changed no node: git log main lists the changes`,
        { data: { change } },
      );
    }
    const decide = async (branch: Branch): Promise<Build> => {
      if (!isOf(branch.base.commit, main) || branch.hold !== undefined || branch.invalid !== undefined)
        throw movedOn(branch);
      const target = await rollbackTarget(reader, branch, touched.get(branch), { onBranch: true });
      return (batch) => this.#rollTo(batch, branch, target, by, mayRemoveAll || dryRun);
    };
    if (dryRun) return previewMany([...touched.keys()], decide);
    return moveMany(this.#store, [...touched.keys()], decide, async (node) => {
      throw movedOn(await this.#branches.get(node));
    });
  }

  /**
   * Keeps what somebody changed in the files of a host: commits it on the branch, as an edit by the person.
   * @param shown the drift that the person has seen
   * @throws MultinicError `NothingToAccept`, `DriftOutdated`, `TakesAllInterfaces`, and as a push is refused
   */
  async accept(
    node: string,
    shown: string | undefined,
    by: Requester,
    { mayRemoveAll = false, dryRun = false } = {},
  ): Promise<Moved | Preview> {
    return retryOnLostRace(async () => {
      const { reader } = this.#store;
      const branch = await this.#branches.get(node);
      const tip = await reader.ref(outcomeRef(node));
      const drift = tip === undefined ? undefined : await newestDrift(reader, tip);
      const accepted = await acceptDrift(reader, branch, drift, shown);
      const batch = new Batch();
      const head = edit(batch, headOf(branch), accepted, drift!.oid, causeOf(by));
      if (dryRun) return previewOf(branch, head);
      if (!mayRemoveAll && head.network.length === 0 && branch.network.length > 0)
        throw takesAll(branch, head.network, tip!);
      return this.#land(batch, branch, head);
    });
  }

  /** Asks for observations, which begin as soon as there is room for them. @param nodes empty: all nodes */
  async observe(nodes: readonly string[]): Promise<{ readonly nodes: readonly string[] }> {
    const named = [...new Set(nodes)];
    const branches =
      named.length > 0 ? await Promise.all(named.map((name) => this.#branches.get(name))) : await this.#all();
    const names = branches.map(({ name }) => name);
    await this.#observed.ask(names, this.#now());
    return { nodes: names };
  }

  /** Ends a node's hold: the CR decides again. */
  async release(node: string, by: Requester, { dryRun = false } = {}): Promise<Moved | Preview> {
    const inventory = await this.#inventory.list();
    if (!dryRun) return { node, commit: await this.#mirror.release(node, causeOf(by), inventory) };
    const { branch, head } = await this.#mirror.releaseOf(node, causeOf(by), inventory);
    return previewOf(branch, head);
  }

  /** Records a request: for a run now, or for a run that takes a host over from another store. */
  async request(node: string, request: Request, by: Requester): Promise<Moved> {
    await this.#branches.get(node);
    const [moved] = await this.#requestEach([node], request, by);
    return moved!;
  }

  /** Records the same request for each node, in one batch. */
  async #requestEach(nodes: readonly string[], request: Request, by: Requester): Promise<readonly Moved[]> {
    if (nodes.length === 0) return [];
    return retryOnLostRace(async () => {
      const batch = new Batch();
      const marks = new Map<string, Mark>();
      for (const node of nodes) {
        const tip = await this.#store.reader.ref(outcomeRef(node));
        const wanted = { node, request, by: authorOf(by), principal: by.principal };
        marks.set(node, recordRequest(batch, tip, wanted));
      }
      const oids = await this.#store.write(batch);
      return [...marks].map(([node, { mark }]) => ({ node, commit: oids[mark - 1]! }));
    });
  }

  /** Requests a run now. */
  async retry(node: string, by: Requester, { dryRun = false } = {}): Promise<Moved | Preview> {
    if (!dryRun) return this.request(node, 'retry', by);
    await this.#branches.get(node);
    return previewOfEach([node], 'gets another run');
  }

  /** Requests a run for each failed node, in one batch. */
  async retryFailed(by: Requester, { dryRun = false } = {}): Promise<ManyMoved | Preview> {
    const nodes = this.#reporter.failedNodes;
    if (nodes.length === 0) {
      throw new MultinicError('NothingToRetry', 'no node has failed: see multinic status');
    }
    if (dryRun) return previewOfEach(nodes, 'gets another run');
    return { moved: await this.#requestEach(nodes, 'retry', by), skipped: [] };
  }

  /**
   * Renders nodes again, with today's renderer or with another kind. Nodes whose files would not change are skipped.
   */
  async rerender(
    nodes: readonly string[],
    kind: RendererKind | undefined,
    by: Requester,
    { dryRun = false } = {},
  ): Promise<ManyMoved | Preview> {
    const named = [...new Set(nodes)];
    // Read all branches first: a mistyped name must be found before half of the nodes are rendered.
    const branches =
      named.length > 0 ? await Promise.all(named.map((name) => this.#branches.get(name))) : await this.#all();
    const inventory = await this.#inventory.list();
    const build = async (branch: Branch): Promise<Build> => {
      const auto = await this.#mirror.autoRouting(branch, inventory);
      return (batch) => {
        if (branch.invalid !== undefined)
          throw new MultinicError('InvalidTip', `its tip is invalid: multinic release ${branch.name}`);
        const node = { ...branch.node, renderer: kind ?? branch.node.renderer };
        const head = rerender(batch, headOf(branch), node, causeOf(by), auto);
        if (head.tree !== branch.tree || head.node.renderer !== branch.node.renderer) return head;
        throw new MultinicError('UpToDate', 'up to date');
      };
    };
    if (dryRun) return previewMany(branches, build);
    return moveMany(this.#store, branches, build, (name) =>
      retryOnLostRace(async () => {
        const branch = await this.#branches.get(name);
        const batch = new Batch();
        return this.#land(batch, branch, (await build(branch))(batch));
      }),
    );
  }

  /**
   * Confirms a node's takeover (a node name), a change that was stopped because nodes failed (a commit of main), that
   * repairs go on (`repairs`), or all waiting removals (nothing). Only removals that the newest pass saw are confirmed, because the person has not seen
   * later ones.
   */
  async confirm(
    target: string | undefined,
    by: Requester,
    { dryRun = false } = {},
  ): Promise<Confirmed | Preview> {
    if (target !== undefined && (await this.#branches.read(target)) !== undefined) {
      if (dryRun) return previewOfEach([target], 'is taken over as its host is now');
      return { confirmed: target, commit: (await this.request(target, 'confirm', by)).commit };
    }
    if (target === 'repairs') return this.#confirmRepairs(by, dryRun);
    const wanted = target === undefined ? undefined : await this.#resolve(target);
    const waiting = wanted === undefined ? this.#reporter.waitingRemovals : undefined;
    const confirmed = wanted ?? waiting?.main;
    const nodes = waiting && [...waiting.nodes].sort();
    if (confirmed === undefined || nodes?.length === 0) {
      throw new MultinicError(
        'NothingToConfirm',
        'no removal waits for a confirmation: name a node or a commit of main to confirm something else',
      );
    }
    return retryOnLostRace(async () => {
      const tip = await this.#store.reader.ref(MAIN);
      if (!(await this.#store.reader.isAncestor(confirmed, tip!))) {
        throw new MultinicError(
          'NotInBranch',
          `${target} is neither a node nor a commit of main: see multinic status`,
          { data: { target } },
        );
      }
      if (dryRun && wanted !== undefined)
        return previewOfEach(this.#reporter.waitingFor(wanted), 'gets the change');
      if (dryRun) return previewOfEach(nodes ?? [], 'loses all its interfaces');
      const batch = new Batch();
      const mark = batch.commit({
        parents: [tip!],
        files: new Map(),
        author: authorOf(by),
        ...(nodes !== undefined && { body: nodes.join('\n') }),
        subject: `confirm ${wanted === undefined ? 'removals at' : 'change'} ${confirmed.slice(0, 10)}`,
        trailers: [
          [TRAILER.confirms, confirmed],
          [TRAILER.means, wanted === undefined ? 'removals' : 'change'],
          [TRAILER.by, by.principal],
        ],
      });
      batch.move(MAIN, mark, tip!);
      const [commit] = await this.#store.write(batch);
      return { confirmed, commit: commit!, ...(nodes !== undefined && { nodes }) };
    });
  }

  /** @throws MultinicError `NothingToConfirm` */
  async #confirmRepairs(by: Requester, dryRun: boolean): Promise<Confirmed | Preview> {
    const nodes = this.#reporter.waitingRepairs;
    if (nodes === undefined)
      throw new MultinicError(
        'NothingToConfirm',
        'repairs are not stopped: multinic drift lists what differs',
      );
    if (dryRun) return previewOfEach(nodes, 'is repaired');
    return retryOnLostRace(async () => {
      const tip = await this.#store.reader.ref(MAIN);
      const batch = new Batch();
      const mark = batch.commit({
        parents: [tip!],
        files: new Map(),
        author: authorOf(by),
        subject: 'confirm repairs',
        trailers: [
          [TRAILER.confirms, tip!],
          [TRAILER.means, 'repairs'],
          [TRAILER.by, by.principal],
        ],
      });
      batch.move(MAIN, mark, tip!);
      const [commit] = await this.#store.write(batch);
      return { confirmed: 'repairs', commit: commit! };
    });
  }

  /**
   * Pauses or resumes a node, and records the person. The mirror goes on committing for a paused node, but no Job runs.
   * @returns undefined: the node has no branch that could have the record
   */
  async setPaused(
    node: string,
    paused: boolean,
    by: Requester,
    { dryRun = false } = {},
  ): Promise<Moved | Preview | undefined> {
    const branch = await this.#branches.read(node);
    const byConfig = branch && (await this.#pausedByConfig([branch])).get(node);
    if (!paused && byConfig !== undefined)
      throw new MultinicError('PausedByConfig', `${node} ${byConfig}`, { data: { node } });
    if (dryRun) {
      await this.#expectListed(node);
      return previewOfEach([node], effectOf(paused));
    }
    await this.#inventory.setPaused([node], paused);
    if (branch === undefined) return undefined;
    return this.request(node, paused ? 'pause' : 'resume', by);
  }

  /** Pauses or resumes all nodes that there are now, and records the person. A node that joins later is not paused. */
  async setAllPaused(paused: boolean, by: Requester, { dryRun = false } = {}): Promise<ManyPaused | Preview> {
    const listed = await this.#inventory.list();
    const nodes = listed.filter((each) => each.paused !== paused).map(({ name }) => name);
    const read = await Promise.all(listed.map(({ name }) => this.#branches.read(name)));
    const branches = read.filter((branch) => branch !== undefined);
    const byConfig = paused ? new Map<string, string>() : await this.#pausedByConfig(branches);
    const skipped = [...byConfig].map(([node, reason]) => ({ node, reason }));
    if (dryRun) return { ...previewOfEach(nodes, effectOf(paused)), skipped };
    if (nodes.length > 0) await this.#inventory.setPaused(nodes, paused);
    const known = new Set(branches.map(({ name }) => name));
    const recorded = nodes.filter((node) => known.has(node));
    const commits = await this.#requestEach(recorded, paused ? 'pause' : 'resume', by);
    const unrecorded = nodes.filter((node) => !known.has(node)).map((node) => ({ node }));
    return { moved: [...commits, ...unrecorded], skipped };
  }

  /** Reasons of the nodes that their CR pauses, by name. */
  async #pausedByConfig(branches: readonly Branch[]): Promise<ReadonlyMap<string, string>> {
    const { configs } = await this.#mirror.main();
    const paused = branches.filter(({ node: { source } }) =>
      isPaused(configs.get(formatConfigRef(source))?.annotations),
    );
    return new Map(paused.map(({ name, node: { source } }) => [name, describePausedByConfig(source)]));
  }

  /** @throws MultinicError `NoSuchNode` */
  async #expectListed(node: string): Promise<void> {
    const listed = await this.#inventory.list();
    if (listed.some(({ name }) => name === node)) return;
    throw new MultinicError('NoSuchNode', `there is no node ${node}: multinic status lists them all`, {
      data: { node },
    });
  }

  async #land(batch: Batch, branch: Branch, head: Head): Promise<Moved> {
    move(batch, branch.name, head, branch.tip.oid);
    const oids = await this.#store.write(batch);
    return { node: branch.name, commit: oids.at(-1)! };
  }

  /** All branches but those of retired nodes. */
  async #all(): Promise<Branch[]> {
    const tips = [...(await this.#store.refs.below(NODES))].map(
      ([ref, tip]) => [nodeOfRef(ref)!, tip] as const,
    );
    const present = tips.filter(([name, tip]) => !this.#mirror.isRetired(name, tip));
    return Promise.all(present.map(([name, tip]) => this.#branches.at(name, tip)));
  }

  /** The branch's first spec commit from a commit of main. Releases have the same trailer and come later. */
  async #firstOf(branch: Branch, main: Oid): Promise<Commit | undefined> {
    let first: Commit | undefined;
    let next: Oid | undefined = isOf(branch.base.commit, main) ? branch.base.commit?.oid : branch.tip.oid;
    for (let walked = 0; next !== undefined && walked < CHANGE_LOOK_BACK; walked += 1) {
      const commit: Commit = await this.#store.reader.commit(next);
      if (isOf(commit, main)) first = commit;
      // The mirror takes commits of main in order, so the spec commits of one commit of main follow one another. A spec
      // commit of another commit of main ends the search.
      else if (first !== undefined && kindOf(commit) === 'spec') return first;
      next = commit.parents[0];
    }
    return first;
  }

  /** Resolves a commit ID, whole or its first digits. */
  async #resolve(text: string): Promise<Oid> {
    return this.#store.reader.resolve(text);
  }
}

function effectOf(paused: boolean): string {
  return paused ? 'is paused: commits go on, no run starts' : 'is resumed: runs start again';
}

/** Whether a commit of a branch comes from that commit of main. */
function isOf(commit: Commit | undefined, main: Oid): boolean {
  return commit !== undefined && kindOf(commit) === 'spec' && trailer(commit, TRAILER.mainCommit) === main;
}

function takesAll({ name, network }: Branch, left: Network, commit: Oid): MultinicError {
  return new MultinicError(
    'TakesAllInterfaces',
    `${name} would lose all its interfaces (${describeChange(network, left)}): add --yes if that is meant`,
    { data: { node: name, commit } },
  );
}

function movedOn({ name, tip }: Branch): MultinicError {
  return new MultinicError('NothingToRollBack', `moved on since: node/${name} is at ${tip.oid.slice(0, 10)}`);
}

function causeOf(by: Requester): Cause {
  return { author: authorOf(by), trailers: [[TRAILER.by, by.principal]] };
}

function authorOf({ name, email }: Requester): Person {
  return { name, email };
}
