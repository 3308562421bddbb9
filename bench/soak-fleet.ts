// A controller on a real store and a simulated home, by a clock that the soak moves. Its folder outlives the process.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { apiRoutes } from '../src/controller/api.ts';
import { ControllerContext } from '../src/controller/controller-context.ts';
import { Pass } from '../src/controller/pass.ts';
import { PassTrigger } from '../src/controller/pass-trigger.ts';
import { recordOutcome } from '../src/history/outcome-branch.ts';
import { DEFAULT_POLICY } from '../src/scheduler/schedule.ts';
import { Batch } from '../src/store/model/batch.ts';
import type { ServeOptions, StoreServer } from '../src/store/server/serve.ts';
import { Store } from '../src/store/store.ts';
import { serveStore } from '../test/support/http.ts';
import { SimulatedHome, type HomeShape, type HomeState } from '../test/support/simulated-home.ts';
import { SimulatedRuns } from '../test/support/simulated-runs.ts';

export const BEGAN = Date.UTC(2026, 0, 1);
/** File of the home and the time beside the store. */
const STATE = 'fleet.json';

interface SavedFleet {
  readonly now: number;
  readonly home: HomeState;
}

export class SoakFleet {
  /** Milliseconds since 1970; commits are dated by it. */
  now: number;
  readonly home: SimulatedHome;
  readonly runs: SimulatedRuns;
  readonly #dir: string;
  readonly #store: Store;
  readonly #context: ControllerContext;
  readonly #pass: Pass;

  private constructor(dir: string, store: Store, { now, home }: SavedFleet, jobs?: number) {
    this.#dir = dir;
    this.#store = store;
    this.now = now;
    this.home = new SimulatedHome(home);
    this.runs = new SimulatedRuns({
      now: () => this.now,
      node: (name) => this.home.node(name),
      treeOf: (node) => this.#context.reporter.snapshot?.facts.get(node)?.tipTree,
    });
    this.#context = new ControllerContext({
      store,
      inventory: { list: async () => this.home.inventory, setPaused: async () => undefined },
      sink: this.home.sink,
      passTrigger: new PassTrigger(),
      log: pino({ level: 'silent' }),
      // A slow machine must not change what a pass does.
      sliceMs: Infinity,
      now: () => this.now,
    });
    this.#pass = new Pass({
      context: this.#context,
      source: { list: async () => ({ configs: this.home.configs, doubt: () => undefined }) },
      runner: this.runs,
      policy: { ...DEFAULT_POLICY, ...(jobs !== undefined && { concurrency: jobs }) },
    });
  }

  /** Makes a store with one commit of main, and a commit and an outcome for each node. */
  static async make(dir: string, nodes: number, shape: HomeShape): Promise<void> {
    const saved = { now: BEGAN, home: SimulatedHome.of(nodes, shape) };
    const fleet = await SoakFleet.#open(dir, saved, 0);
    await fleet.pass();
    await fleet.#recordFirstRuns();
    await fleet.close();
  }

  /** A new controller on a fleet, after its first pass. */
  static async resume(dir: string): Promise<SoakFleet> {
    const saved = JSON.parse(await readFile(join(dir, STATE), 'utf8')) as SavedFleet;
    const fleet = await SoakFleet.#open(dir, saved);
    await fleet.pass();
    return fleet;
  }

  static async #open(dir: string, saved: SavedFleet, jobs?: number): Promise<SoakFleet> {
    let now = (): number => saved.now;
    const store = await Store.open(join(dir, 'store.git'), { clock: () => now() });
    const fleet = new SoakFleet(dir, store, saved, jobs);
    now = () => fleet.now;
    return fleet;
  }

  /** Ends the controller, and keeps the folder. */
  async close(): Promise<void> {
    await this.#context.observed.save();
    const saved: SavedFleet = { now: this.now, home: this.home.state };
    await writeFile(join(this.#dir, STATE), JSON.stringify(saved));
    await this.#store.close();
  }

  get store(): Store {
    return this.#store;
  }

  /** @returns the real duration of the pass @throws if the pass cannot reconcile a node */
  async pass(): Promise<number> {
    const began = performance.now();
    const { snapshot } = await this.#pass.run();
    const ms = performance.now() - began;
    const [trouble] = snapshot.report.problems;
    if (trouble !== undefined) throw new Error(`${trouble[0]}: ${trouble[1].message}`);
    return ms;
  }

  /** Serves git and the API. */
  serve(options: Partial<ServeOptions>): Promise<StoreServer> {
    const routes = apiRoutes(this.#context, { generations: async () => new Map() });
    return serveStore(this.#store, { routes, ...options });
  }

  /** Records an applied run of each node in one write. Passes would need a write for each node. */
  async #recordFirstRuns(): Promise<void> {
    const batch = new Batch();
    for (const { name, tip, tipTree } of this.#context.reporter.snapshot!.facts.values()) {
      const job = `multinic-agent-${name}-20260101000000`;
      const outcome = this.runs.applied(this.home.node(name)!, job, tip, tipTree);
      const ended = { node: name, job, stamp: BEGAN / 1000, commit: tip, attempt: 1, outcome };
      await recordOutcome(this.#store.reader, batch, undefined, ended);
    }
    await this.#store.write(batch);
  }
}
