// The mirror turns CRs into commits: on main, one commit for each generation seen; then on the nodes' branches, for each
// commit of main in order. It compares the CR with a branch's base and never with the tip, so a revert holds.

import type { Logger } from 'pino';
import { checkpoint } from '../api/checkpoint.ts';
import { DEFAULTS } from '../api/defaults.ts';
import { concerns, MultinicError, type Problem } from '../api/errors.ts';
import type { Branch, Branches } from '../history/node-branch.ts';
import { headOf, move, spec, type Cause, type Head } from '../history/branch-commits.ts';
import { formatConfigRef, TRAILER } from '../history/commit-format.ts';
import { MAIN, MIRRORED } from '../history/refs.ts';
import { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { AutoRouting } from '../network/auto-routing.ts';
import { satisfies, wantedOf } from '../network/interface.ts';
import type { Mark, Oid, Person } from '../store/model/store-port.ts';
import { retryOnLostRace } from '../store/race.ts';
import type { Store } from '../store/store.ts';
import { BranchMirror, type BranchesResult } from './branch-mirror.ts';
import type { MirrorEvent } from './branch-writer.ts';
import { InventoryIndex, resolveClaims } from './claim.ts';
import { autoRoutingOf, DEFAULT_ROUTING, routingWarnings, type RoutingSettings } from './node-routing.ts';
import { Retirement } from './retirement.ts';
import { configSteps } from './config-steps.ts';
import { Judge, type Judgement, type ValidConfig } from './judge.ts';
import { DEFAULT_GUARD, type GuardPolicy } from './guard.ts';
import {
  commitConfig,
  commitsSince,
  readMain,
  sameConfig,
  type MainConfig,
  type MainState,
} from './main-branch.ts';
import type { ConfigList, InventoryNode } from './home-port.ts';

/** Findings and commits of one pass; the status of every CR is made from them. */
export interface MirrorReport extends BranchesResult {
  /** CRs that are invalid as a whole, and warnings of the others, by `group/namespace/name`. */
  readonly invalid: ReadonlyMap<string, readonly Problem[]>;
  readonly warnings: ReadonlyMap<string, readonly Problem[]>;
  /** Inputs that the home could not read. */
  readonly unreadable: readonly Problem[];
  /** CRs of main that the home does not list and may still have, each with the reason for the doubt. */
  readonly doubts: ReadonlyMap<string, string>;
  /** CRs that this pass had no time for, by `group/namespace/name`: the next pass goes on with them. */
  readonly behind: ReadonlySet<string>;
}

/** A change of main. */
interface ConfigChange {
  readonly key: string;
  readonly before: MainConfig | undefined;
  /** undefined: the CR is gone. */
  readonly after: MainConfig | undefined;
  readonly writer?: Person;
}

/** Number of CRs whose commits are written in one batch. */
const CONFIGS_AT_ONCE = 50;
/** Length of a pass. Outcomes are recorded and Jobs start between two passes. */
const SLICE_MS = 5_000;

/** The time that a pass has. */
class Slice {
  readonly #end: number;

  constructor(ms: number) {
    this.#end = performance.now() + ms;
  }

  get over(): boolean {
    return performance.now() >= this.#end;
  }
}

export interface MirrorOptions {
  readonly guard?: GuardPolicy;
  /** Milliseconds after which a pass leaves the rest to the next pass. */
  readonly sliceMs?: number;
  readonly log: Logger;
  /** Milliseconds after which a departed node is left out of passes. */
  readonly retireAfterMs?: number;
  readonly routing?: RoutingSettings;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** The newest commit of main that all branches reflect. */
interface Cursor {
  /** The commit that `refs/meta/mirrored` names. */
  readonly stored: Oid | undefined;
  /** The commit that this process has reached. */
  readonly reached: Oid | undefined;
}

/** Trailers of a commit that its release writes anew. */
const OF_A_RELEASE: ReadonlySet<string> = new Set([TRAILER.change, TRAILER.endsHold, TRAILER.by]);

export class Mirror {
  readonly #store: Store;
  readonly #branches: Branches;
  readonly #log: Logger;
  readonly #sliceMs: number;
  readonly #routing: RoutingSettings;
  readonly #judge = new Judge();
  readonly #branchMirror: BranchMirror;
  readonly #retirement: Retirement;
  #cursor: Cursor | undefined;
  #main: MainState | undefined;
  /** Events of commits that no report has yet. They outlive a pass that loses a race after these commits. */
  readonly #events: MirrorEvent[] = [];
  /** States of the commits of main that this process made and has not mirrored yet. */
  readonly #states = new Map<Oid, MainState>();

  constructor(store: Store, branches: Branches, options: MirrorOptions) {
    this.#store = store;
    this.#branches = branches;
    this.#log = options.log;
    this.#routing = options.routing ?? DEFAULT_ROUTING;
    this.#sliceMs = options.sliceMs ?? SLICE_MS;
    this.#retirement = new Retirement({
      afterMs: options.retireAfterMs ?? DEFAULTS.retireAfter * 3_600_000,
      now: options.now ?? Date.now,
    });
    this.#branchMirror = new BranchMirror(store, branches, {
      guard: options.guard ?? DEFAULT_GUARD,
      stateAt: (commit) => this.#stateAt(commit),
      retirement: this.#retirement,
      routing: this.#routing,
    });
  }

  /** State of main at its tip. */
  async main(): Promise<MainState> {
    const tip = await this.#store.refs.at(MAIN);
    if (tip === undefined)
      throw new MultinicError(
        'NotFound',
        'the store has no main: it was not made by multinic; restore a backup',
      );
    if (this.#main?.commit !== tip) this.#main = await readMain(this.#store.reader, tip, this.#main);
    return this.#main;
  }

  /** Commits the home's CRs to main and to all branches. Idempotent; the process may die at any instant. */
  async pass(list: ConfigList, inventory: readonly InventoryNode[]): Promise<MirrorReport> {
    return retryOnLostRace(async () => {
      try {
        return await this.#pass(list, inventory);
      } catch (error) {
        // The refs show how far the lost attempt came.
        this.#cursor = undefined;
        throw error;
      }
    });
  }

  async #pass(list: ConfigList, inventory: readonly InventoryNode[]): Promise<MirrorReport> {
    this.#cursor ??= await this.#readCursor();
    const judged = this.#judge.judge(list, await this.main());
    const slice = new Slice(this.#sliceMs);
    const main = await this.main();
    const { changes, doubts } = this.#changes(list, judged.valid, main);
    let result = await this.#writeTogether(changes, inventory, this.#cursor);
    if (result === undefined) {
      await this.#commitConfigs(changes, slice);
      result = await this.#mirrorCommits(inventory, this.#cursor, slice);
    }
    return {
      ...result,
      behind: behind(list, judged, result.main, doubts),
      invalid: judged.invalid,
      warnings: warningsOf(
        judged,
        routingWarnings(result.claims, InventoryIndex.of(inventory).nodes, this.#routing),
      ),
      unreadable: list.problems ?? [],
      doubts,
    };
  }

  /** Whether passes leave the node out, because it departed and wants nothing. */
  isRetired(name: string, tip: Oid): boolean {
    return this.#retirement.has(name, tip);
  }

  async #readCursor(): Promise<Cursor> {
    const stored = await this.#store.reader.ref(MIRRORED);
    return { stored, reached: stored };
  }

  /**
   * Ends a hold at a person's request, by a spec commit with the base's network.
   * @throws MultinicError `NoSuchNode`, `NotHeld`
   */
  async release(name: string, by: Cause, inventory: readonly InventoryNode[]): Promise<Oid> {
    return retryOnLostRace(async () => {
      const { batch, branch, head } = await this.releaseOf(name, by, inventory);
      move(batch, name, head, branch.tip.oid);
      const oids = await this.#store.write(batch);
      return oids.at(-1)!;
    });
  }

  /** The commit that would end a node's hold, which is not written. @throws MultinicError `NotHeld` */
  async releaseOf(
    name: string,
    by: Cause,
    inventory: readonly InventoryNode[],
  ): Promise<{ readonly batch: Batch; readonly branch: Branch; readonly head: Head }> {
    const branch = await this.#branches.get(name);
    if (branch.hold === undefined && branch.invalid === undefined) {
      throw new MultinicError(
        'NotHeld',
        `${name} is not held: its branch has what its MultiNicBizConfig wants`,
        { data: { node: name } },
      );
    }
    const asked = resolveClaims(await this.main(), inventory, new Map([[name, branch]])).byNode.get(name)
      ?.entry.wanted;
    // Takes the CR's names if the CR still wants the base. All other changes of the CR wait for the next pass, which
    // guards removals.
    const wanted =
      asked !== undefined && (isBroken(branch) || satisfies(branch.base.network, asked))
        ? asked
        : branch.base.network.map(wantedOf);
    const trailers = branch.base.commit?.trailers.filter(([key]) => !OF_A_RELEASE.has(key)) ?? [];
    const batch = new Batch();
    const auto = await this.autoRouting(branch, inventory);
    const cause = { author: by.author, trailers: [...trailers, ...by.trailers] };
    return { batch, branch, head: spec(batch, headOf(branch), wanted, cause, auto) };
  }

  /** Whether the node has automatic source routing now, with the node's addresses. */
  async autoRouting(
    { name, node }: Pick<Branch, 'name' | 'node'>,
    inventory: readonly InventoryNode[],
  ): Promise<AutoRouting> {
    const config = (await this.main()).configs.get(formatConfigRef(node.source));
    return autoRoutingOf(InventoryIndex.of(inventory).nodes.get(name), config?.annotations, this.#routing);
  }

  /** The CRs that are new, changed or gone, and the CRs that may be gone, each with the reason for the doubt. */
  #changes(
    list: ConfigList,
    valid: ReadonlyMap<string, ValidConfig>,
    main: MainState,
  ): { readonly changes: ConfigChange[]; readonly doubts: Map<string, string> } {
    const changes = this.#changesOf(main, valid);
    const listed = new Set(list.configs.map((object) => formatConfigRef(object.ref)));
    const doubts = new Map<string, string>();
    for (const [key, before] of main.configs) {
      if (listed.has(key)) continue;
      const doubt = list.doubt(before.ref);
      if (doubt === undefined) changes.push({ key, before, after: undefined });
      else doubts.set(key, doubt);
    }
    return { changes, doubts };
  }

  /**
   * Writes the change of one CR and the commits of its nodes in one batch. A kill may leave any part of the refs moved:
   * a branch whose commit of main is not on main already has what the CR wants, so the next pass commits main alone.
   * @returns undefined: the parts have to be written one after the other
   */
  async #writeTogether(
    changes: readonly ConfigChange[],
    inventory: readonly InventoryNode[],
    cursor: Cursor,
  ): Promise<BranchesResult | undefined> {
    const main = await this.main();
    const [change, ...others] = changes;
    if (change === undefined || others.length > 0 || cursor.reached !== main.commit) return undefined;
    const batch = new Batch();
    const author = change.writer ?? CONTROLLER;
    const mark = commitConfig(batch, main.commit, change.before, change.after, author);
    batch.move(MAIN, mark, main.commit);
    const passed = moveCursor(batch, cursor, main.commit);
    const step = {
      commit: await this.#store.reader.commit(main.commit),
      main: { commit: main.commit, configs: configsAfter(main, change) },
      inventory,
      order: new Map(),
      lead: { batch, commit: mark, author },
    };
    const written = await this.#branchMirror.runWithMain(step).catch((error: unknown) => {
      if (concerns(error, 'store')) throw error;
      // A single node may have failed, or a race was lost. Writing main and the branches one by one leaves only that
      // node out.
      this.#log.info({ err: error, config: change.key }, 'main and the branches are written one by one');
      return undefined;
    });
    if (written === undefined) return undefined;
    this.#committed(change, written.commit);
    this.#states.clear();
    this.#cursor = { stored: passed ? main.commit : cursor.stored, reached: written.commit };
    this.#events.push(...written.result.events);
    return { ...written.result, main: await this.main(), events: this.#events.splice(0) };
  }

  /** One commit on main for each CR that is new, changed, or gone; several in one batch. */
  async #commitConfigs(changes: readonly ConfigChange[], slice: Slice): Promise<void> {
    // At least one batch is written, so every pass comes nearer to the end.
    for (let start = 0; start < changes.length && (start === 0 || !slice.over); start += CONFIGS_AT_ONCE)
      await this.#writeConfigs(changes.slice(start, start + CONFIGS_AT_ONCE));
  }

  #changesOf(main: MainState, valid: ReadonlyMap<string, ValidConfig>): ConfigChange[] {
    const configs = new Map(main.configs);
    const same = new Map(main.configs);
    const changes: ConfigChange[] = [];
    for (const { key, object, config } of configSteps(valid, main)) {
      const before = configs.get(key);
      if (!sameConfig(before, config)) changes.push({ key, before, after: config, writer: object.writer });
      // Keep the CR as judged in its present order, because a problem names the place of its entry.
      else if (before === main.configs.get(key)) same.set(key, config);
      configs.set(key, config);
    }
    this.#main = { ...main, configs: same };
    return changes;
  }

  async #writeConfigs(changes: readonly ConfigChange[]): Promise<void> {
    const main = await this.main();
    const batch = new Batch();
    let tip: Oid | Mark = main.commit;
    for (const { before, after, writer } of changes) tip = commitConfig(batch, tip, before, after, writer);
    batch.move(MAIN, tip, main.commit);
    const passed = this.#cursor !== undefined && moveCursor(batch, this.#cursor, main.commit);
    const commits = await this.#store.write(batch);
    if (passed) this.#cursor = { stored: main.commit, reached: main.commit };
    for (const [index, change] of changes.entries()) this.#committed(change, commits[index]!);
    checkpoint('mirror.main');
  }

  #committed(change: ConfigChange, commit: Oid): void {
    const { key, after } = change;
    this.#main = { commit, configs: configsAfter(this.#main!, change) };
    this.#states.set(commit, this.#main);
    this.#log.info(
      { config: key, commit, generation: after?.generation },
      after === undefined ? 'CR was deleted' : 'CR committed',
    );
  }

  /**
   * Mirrors the commits of main that the branches do not reflect yet, one after the other, until the slice is over. At
   * least one is mirrored, so every pass comes nearer to the end.
   */
  async #mirrorCommits(
    inventory: readonly InventoryNode[],
    cursor: Cursor,
    slice: Slice,
  ): Promise<BranchesResult> {
    const tip = await this.main();
    const pending = await commitsSince(this.#store.reader, tip.commit, cursor.reached);
    const order = new Map(pending.map((commit, index) => [commit.oid, index]));
    const steps = pending.length > 0 ? pending : [await this.#store.reader.commit(tip.commit)];
    let result: BranchesResult | undefined;
    let done = 0;
    for (const commit of steps) {
      if (result !== undefined && slice.over) break;
      const main = await this.#stateAt(commit.oid);
      result = await this.#branchMirror.run({ commit, main, inventory, order });
      this.#events.push(...result.events);
      // Keep the newest earlier state, because the guard of the next commit asks for it.
      if (done > 0) this.#states.delete(steps[done - 1]!.oid);
      done += 1;
    }
    if (done === steps.length) this.#states.clear();
    this.#cursor = await this.#advance(cursor, result!.main.commit, Math.min(done, pending.length));
    return { ...result!, events: this.#events.splice(0) };
  }

  /**
   * Moves the cursor after the branches, never in one batch with them. A cursor that is one commit behind costs a
   * restart nothing, so the last step waits for main's next commit.
   */
  async #advance({ stored }: Cursor, reached: Oid, passed: number): Promise<Cursor> {
    if (passed <= 1) return { stored, reached };
    const batch = new Batch();
    batch.move(MIRRORED, reached, stored ?? null);
    await this.#store.write(batch);
    return { stored: reached, reached };
  }

  async #stateAt(commit: Oid): Promise<MainState> {
    const tip = await this.main();
    if (commit === tip.commit) return tip;
    return this.#states.get(commit) ?? readMain(this.#store.reader, commit, tip);
  }
}

/** The CRs of main after a change. */
function configsAfter({ configs }: MainState, { key, after }: ConfigChange): Map<string, MainConfig> {
  const changed = new Map(configs);
  if (after === undefined) changed.delete(key);
  else changed.set(key, after);
  return changed;
}

/** Moves the stored cursor to main's tip, if the branches reflect this tip already. @returns whether it moves */
function moveCursor(batch: Batch, { stored, reached }: Cursor, tip: Oid): boolean {
  if (reached !== tip || stored === tip) return false;
  batch.move(MIRRORED, tip, stored ?? null);
  return true;
}

/** The base cannot be read, so only the CR can say what the node should have. */
function isBroken({ invalid, base, tip }: Branch): boolean {
  return invalid !== undefined && base.commit?.oid === tip.oid;
}

/** CRs that the branches do not reflect as the home lists them. */
function behind(
  list: ConfigList,
  { valid }: Judgement,
  main: MainState,
  doubts: ReadonlyMap<string, string>,
): Set<string> {
  const late = [...valid].filter(([key, { config }]) => !sameConfig(main.configs.get(key), config));
  const listed = new Set(list.configs.map(({ ref }) => formatConfigRef(ref)));
  const going = [...main.configs.keys()].filter((key) => !listed.has(key) && !doubts.has(key));
  return new Set([...late.map(([key]) => key), ...going]);
}

function warningsOf(
  { valid }: Judgement,
  routing: ReadonlyMap<string, readonly Problem[]>,
): Map<string, readonly Problem[]> {
  const all = [...valid].map(
    ([key, { warnings }]) => [key, [...warnings, ...(routing.get(key) ?? [])]] as const,
  );
  return new Map(all.filter(([, warnings]) => warnings.length > 0));
}
