// A mirror on a real store with nodes and CRs that live in memory, and a clock that stands still until it is moved:
// what a pass decides, without hosts and jobs.
//
//   await using fleet = await Fleet.open(['a', 'b']);
//   fleet.want('cr', { a: 1500, b: 1400 });
//   await fleet.pass();
//   expect(await fleet.mtu('a')).toBe(1500);

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import { Branches, type Branch } from '../../src/history/branch.ts';
import { nodeRef } from '../../src/history/ref.ts';
import { Mirror, type MirrorReport } from '../../src/mirror/mirror.ts';
import type { ConfigObject, InventoryNode } from '../../src/mirror/port.ts';
import { Store } from '../../src/store/store.ts';

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
  #store: Store;
  #mirror: Mirror;

  private constructor(dir: string, inventory: InventoryNode[], store: Store) {
    this.dir = dir;
    this.inventory = inventory;
    this.#store = store;
    this.#mirror = this.#newMirror();
  }

  static async open(nodes: readonly string[]): Promise<Fleet> {
    const dir = await mkdtemp(join(tmpdir(), 'multinic-fleet-'));
    const fleet: { store?: Fleet } = {};
    const clock = (): number => fleet.store?.now ?? START;
    const store = await Store.open(join(dir, 'store.git'), { clock });
    fleet.store = new Fleet(dir, nodes.map(inventoryNode), store);
    return fleet.store;
  }

  get store(): Store {
    return this.#store;
  }

  get mirror(): Mirror {
    return this.#mirror;
  }

  /** A new process on the same store: nothing is remembered. */
  async restart(): Promise<void> {
    await this.#store.close();
    this.#store = await Store.open(join(this.dir, 'store.git'), { clock: () => this.now });
    this.#mirror = this.#newMirror();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store.close();
    await rm(this.dir, { recursive: true, force: true });
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
  pass(doubt?: string): Promise<MirrorReport> {
    return this.#mirror.pass({ configs: [...this.configs.values()], doubt: () => doubt }, this.inventory);
  }

  /** A branch read by somebody who remembers nothing. */
  branch(node: string): Promise<Branch> {
    return new Branches(this.#store.reader).get(node);
  }

  /** Of the node's NIC; null: none. */
  async mtu(node: string): Promise<number | null> {
    return (await this.branch(node)).network[0]?.mtu ?? null;
  }

  /** What a person's git does to a branch: commits that come past the controller, as Alice. */
  async push(node: string, files: Readonly<Record<string, string | null>>, subject: string): Promise<string> {
    const { tip } = await this.branch(node);
    const index = { GIT_INDEX_FILE: join(this.dir, 'index') };
    await this.git(['read-tree', tip.oid], index);
    for (const [path, text] of Object.entries(files)) {
      if (text === null) await this.git(['update-index', '--force-remove', path], index);
      else {
        const blob = await this.git(['hash-object', '-w', '--stdin'], index, text);
        await this.git(['update-index', '--add', '--cacheinfo', `100644,${blob},${path}`], index);
      }
    }
    const tree = await this.git(['write-tree'], index);
    const date = `${Math.floor(this.now / 1000)} +0000`;
    const commit = await this.git(['commit-tree', tree, '-p', tip.oid, '-m', subject], {
      GIT_AUTHOR_DATE: date,
      GIT_COMMITTER_DATE: date,
    });
    await this.git(['update-ref', nodeRef(node), commit, tip.oid]);
    return commit;
  }

  /** git in the store, which must succeed. */
  async git(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    input = '',
  ): Promise<string> {
    const cwd = join(this.dir, 'store.git');
    return (await execa('git', args, { cwd, env: { ...PERSON, ...env }, input })).stdout;
  }

  #newMirror(): Mirror {
    const branches = new Branches(this.#store.reader);
    return new Mirror(this.#store, branches, { now: () => this.now, log: pino({ level: 'silent' }) });
  }
}

export function inventoryNode(name: string): InventoryNode {
  return {
    name,
    systemUUID: `i-${name}`,
    machineID: `machine-${name}`,
    bootID: `boot-${name}`,
    osImage: 'Ubuntu 22.04.4 LTS',
    ready: true,
    paused: false,
    annotations: {},
  };
}

/** The same node always has the same NIC. */
export function entryFor(node: string, mtu: number | null): object {
  const number = [...node].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 65_000, 7);
  const [high, low] = [Math.floor(number / 250), number % 250];
  const macAddress = `02:00:00:00:${high.toString(16).padStart(2, '0')}:${low.toString(16).padStart(2, '0')}`;
  const nic = { macAddress, cidr: `10.${high % 250}.${low}.10/24`, mtu };
  return { attachedNodeId: `i-${node}`, attachedNodeName: node, interfaces: mtu === null ? [] : [nic] };
}
