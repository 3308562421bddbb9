// A mirror on a real store, with nodes and CRs in memory, and a clock that the test moves. It shows the decisions of a
// pass without hosts and jobs.
//
//   await using fleet = await Fleet.open(['a', 'b']);
//   fleet.want('cr', { a: 1500, b: 1400 });
//   await fleet.pass();
//   expect(await fleet.mtu('a')).toBe(1500);

import type { Oid } from '../../src/api/oid.ts';
import { oid } from './oid.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import { Commands } from '../../src/controller/commands.ts';
import { Branches, type Branch } from '../../src/history/node-branch.ts';
import { NodeBranchPolicy } from '../../src/history/policy.ts';
import { MAIN } from '../../src/history/refs.ts';
import { DEFAULT_GUARD, type GuardPolicy } from '../../src/mirror/guard.ts';
import { Mirror, type MirrorReport } from '../../src/mirror/mirror.ts';
import type { ConfigObject, InventoryNode } from '../../src/mirror/home-port.ts';
import { LOCK_FILE } from '../../src/store/git/store-lock.ts';
import type { Reader } from '../../src/store/model/store-port.ts';
import { openReader } from '../../src/store/reader.ts';
import { Store } from '../../src/store/store.ts';
import { nodeRef } from '../../src/network/node-ref.ts';

const PERSON = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Alice',
  GIT_AUTHOR_EMAIL: 'alice@example.org',
  GIT_COMMITTER_NAME: 'Alice',
  GIT_COMMITTER_EMAIL: 'alice@example.org',
};

const START = Date.UTC(2026, 0, 1);
export const HOUR_MS = 3_600_000;

/** MTU of a node's only NIC; null: it has none; undefined: it has no entry. */
export type Wish = number | null | undefined;

export class Fleet implements AsyncDisposable {
  readonly dir: string;
  readonly inventory: InventoryNode[];
  readonly configs = new Map<string, ConfigObject>();
  /** Milliseconds since 1970. */
  now = START;
  /** Maximum length of a pass in milliseconds, from the next start on. */
  sliceMs = Infinity;
  /** A reader of the store, independent of the writer. */
  readonly reader: Reader;
  readonly #guard: GuardPolicy;
  #running: Running | undefined;

  private constructor(dir: string, inventory: InventoryNode[], guard: GuardPolicy) {
    this.dir = dir;
    this.inventory = inventory;
    this.reader = openReader(join(dir, 'store.git'));
    this.#guard = guard;
  }

  static async open(nodes: readonly string[], guard = DEFAULT_GUARD): Promise<Fleet> {
    const dir = await mkdtemp(join(tmpdir(), 'multinic-fleet-'));
    const fleet = new Fleet(dir, nodes.map(inventoryNode), guard);
    await fleet.start();
    return fleet;
  }

  get commands(): Commands {
    return this.#running!.commands;
  }

  /** Begins like a new process on the same store, with an empty memory. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async start(): Promise<void> {
    this.#running = await startMirror(
      join(this.dir, 'store.git'),
      () => this.now,
      this.#guard,
      this.inventory,
      this.sliceMs,
    );
  }

  async stop(): Promise<void> {
    await this.#running?.store.close();
    this.#running = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.reader.close();
    await rm(this.dir, { recursive: true, force: true });
  }

  /**
   * Runs a pass in another process that is killed by SIGKILL, at a checkpoint or after some milliseconds. No writer is
   * left afterwards, so call `start` before the next pass.
   * @returns whether the process was killed; a pass that does not reach the checkpoint ends by itself
   */
  async crash(at: { readonly checkpoint: string } | { readonly afterMs: number }): Promise<boolean> {
    await this.stop();
    const order: PassOrder = {
      store: join(this.dir, 'store.git'),
      now: this.now,
      guard: this.#guard,
      configs: [...this.configs.values()],
      inventory: this.inventory,
    };
    const file = join(this.dir, 'pass.json');
    await writeFile(file, JSON.stringify(order));
    const child = spawn(process.execPath, [join(import.meta.dirname, 'fleet-pass.ts'), file], {
      env: { ...process.env, ...('checkpoint' in at && { MULTINIC_KILL_AT: at.checkpoint }) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const timer = 'afterMs' in at ? setTimeout(() => child.kill('SIGKILL'), at.afterMs) : undefined;
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    clearTimeout(timer);
    if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the pass failed: ${code ?? signal}`);
    return signal === 'SIGKILL';
  }

  /** Waits for git processes that a killed pass left behind. */
  async quiet(): Promise<void> {
    await execa('flock', ['--exclusive', '--wait', '30', join(this.dir, 'store.git', LOCK_FILE), 'true']);
  }

  /**
   * Continues from a commit of another fleet's main, in one pass.
   * @param configs of the other fleet at that commit
   */
  async takeMain(
    other: Fleet,
    main: string,
    configs: ReadonlyMap<string, ConfigObject> = other.configs,
  ): Promise<void> {
    await this.stop();
    await this.git(['fetch', '-q', join(other.dir, 'store.git'), main]);
    await this.git(['update-ref', MAIN, main]);
    this.configs.clear();
    for (const [name, config] of configs) this.configs.set(name, config);
    this.inventory.splice(0, Infinity, ...other.inventory);
    this.now = other.now;
    await this.start();
    const report = await this.pass();
    if (report.main.commit !== main) throw new Error('the pass added to the main that it was given');
  }

  /** Writes a CR with one NIC a node. */
  want(name: string, wishes: Readonly<Record<string, Wish>>, annotations: Record<string, string> = {}): void {
    const entries = Object.entries(wishes).flatMap(([node, mtu]) =>
      mtu === undefined ? [] : [entryFor(node, mtu)],
    );
    this.write(name, { nodeConfigs: entries }, annotations);
  }

  write(name: string, spec: object, annotations: Record<string, string> = {}): void {
    const before = this.configs.get(name);
    this.configs.set(name, {
      ref: { group: 'multinic.io', namespace: 'test', name },
      uid: before?.uid ?? `uid-of-${name}`,
      generation: (before?.generation ?? 0) + 1,
      annotations,
      spec,
      writer: { name: 'VIOLA', email: 'viola@example.org' },
    });
  }

  /** @param doubt why CRs that are not listed may still exist */
  async pass(doubt?: string): Promise<MirrorReport> {
    const running = this.#running!;
    const report = await running.mirror.pass({ configs: [...this.configs.values()], doubt: () => doubt }, [
      ...this.inventory,
    ]);
    running.seen = report.main.commit;
    return report;
  }

  /** The status as a person saw it when main was at this commit. */
  lookedAt(main: Oid): void {
    this.#running!.seen = main;
  }

  /** Reads a branch without remembered state. */
  branch(node: string): Promise<Branch> {
    return new Branches(this.reader).get(node);
  }

  /** The MTU of the node's NIC; null: the node has no NIC. */
  async mtu(node: string): Promise<number | null> {
    return (await this.branch(node)).network[0]?.mtu ?? null;
  }

  /** Pushes to a branch as Alice. @throws the refusal of the push policy */
  async push(node: string, files: Readonly<Record<string, string | null>>, message: string): Promise<Oid> {
    return this.pushTree(node, await this.tree(node, files), message);
  }

  /** The tip's tree with other files; null removes a file. */
  async tree(node: string, files: Readonly<Record<string, string | null>>, mode = '100644'): Promise<string> {
    const { tip } = await this.branch(node);
    const index = { GIT_INDEX_FILE: join(this.dir, 'index') };
    await this.git(['read-tree', tip.oid], index);
    for (const [path, text] of Object.entries(files)) {
      if (text === null)
        await this.git(['update-index', '--index-info'], index, `0 ${oid('0'.repeat(40))}\t${path}\n`);
      else {
        const blob = await this.git(['hash-object', '-w', '--stdin'], index, text);
        await this.git(['update-index', '--add', '--cacheinfo', `${mode},${blob},${path}`], index);
      }
    }
    return this.git(['write-tree'], index);
  }

  /** As `push`, of a whole tree. @param options.past writes to the store's folder, where no policy judges */
  async pushTree(node: string, tree: string, message: string, { past = false } = {}): Promise<Oid> {
    const { tip } = await this.branch(node);
    const date = `${Math.floor(this.now / 1000)} +0000`;
    const commit = oid(
      await this.git(['commit-tree', tree, '-p', tip.oid, '-m', message], {
        GIT_AUTHOR_DATE: date,
        GIT_COMMITTER_DATE: date,
      }),
    );
    const principal = { name: 'alice', role: 'write' } as const;
    const push = { principal, ref: nodeRef(node), old: tip.oid, new: commit };
    if (!past) await new NodeBranchPolicy(() => this.now).check(push, this.reader);
    await this.git(['update-ref', push.ref, commit, tip.oid]);
    await this.#running?.store.syncRefs([push.ref]);
    return commit;
  }

  /** Runs git in the store. @throws if git fails */
  async git(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    input = '',
  ): Promise<string> {
    const cwd = join(this.dir, 'store.git');
    return (await execa('git', args, { cwd, env: { ...PERSON, ...env }, input })).stdout;
  }
}

interface Running {
  readonly store: Store;
  readonly mirror: Mirror;
  readonly commands: Commands;
  /** Commit of main that the newest pass saw. */
  seen?: Oid;
}

/** Input of a process that makes one pass. */
export interface PassOrder {
  readonly store: string;
  readonly now: number;
  readonly guard: GuardPolicy;
  readonly configs: readonly ConfigObject[];
  readonly inventory: readonly InventoryNode[];
}

export async function startMirror(
  dir: string,
  now: () => number,
  guard: GuardPolicy,
  inventory: readonly InventoryNode[],
  sliceMs = Infinity,
): Promise<Running> {
  const store = await Store.open(dir, { clock: now });
  const branches = new Branches(store.reader);
  const mirror = new Mirror(store, branches, {
    guard,
    log: pino({ level: 'silent' }),
    sliceMs,
    now,
  });
  const nodes = { list: async () => inventory, setPaused: async () => undefined };
  // Without a controller no status says which removals wait, so each one may be confirmed.
  const reporter = {
    failedNodes: [],
    waitingRepairs: undefined,
    waitingFor: () => [],
    get waitingRemovals() {
      const main = running.seen;
      return main === undefined ? undefined : { main, nodes: new Set(inventory.map(({ name }) => name)) };
    },
  };
  const commands = new Commands({
    store,
    branches,
    mirror,
    inventory: nodes,
    reporter,
    observed: { ask: async () => undefined },
    now: Date.now,
  });
  const running: Running = { store, mirror, commands };
  return running;
}

export function inventoryNode(name: string): InventoryNode {
  return {
    name,
    systemUUID: `i-${name}`,
    machineId: `machine-${name}`,
    bootID: `boot-${name}`,
    osImage: 'Ubuntu 22.04.4 LTS',
    ready: true,
    paused: false,
    annotations: {},
  };
}

/** The NIC of a node, always the same. */
export function entryFor(node: string, mtu: number | null): object {
  const number = [...node].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 62_000, 7);
  const [high, low] = [Math.floor(number / 250), number % 250];
  const macAddress = `02:00:00:00:${high.toString(16).padStart(2, '0')}:${low.toString(16).padStart(2, '0')}`;
  const nic = { macAddress, cidr: `10.${high % 250}.${low}.10/24`, mtu };
  return { attachedNodeId: `i-${node}`, attachedNodeName: node, interfaces: mtu === null ? [] : [nic] };
}
