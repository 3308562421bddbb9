// A recorded host that has the first of two commits of a real store, and runs that bring it to the second.

import { deepEqual, equal } from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { Network } from '../../src/network/interface.ts';
import {
  fileIdentities,
  Folder,
  hostFiles,
  machine,
  makeRoot,
  nic,
  runAgent,
  TestStore,
  type AgentEnd,
  type AgentRun,
} from './agent.ts';

/** A URL where nothing listens. */
export const NOWHERE = 'http://127.0.0.1:9';
export const OLD: Network = [nic(0), nic(1), nic(2)];
/** A new MTU, a removal, a new address, a new NIC. */
export const NEW: Network = [nic(0, { mtu: 1400 }), nic(2, { address: '192.168.102.11' }), nic(3)];

/** Rules, tables and settings of three NICs, one of them with a gateway. */
export const ROUTED: Network = [
  nic(0, { sourceRouting: true }),
  nic(1, { sourceRouting: true, gateway: '192.168.101.1' }),
  nic(2, { sourceRouting: true }),
];
/** A gateway and a route come, a gateway and an address go, routing as a whole goes and comes. */
export const ROUTED_OTHERWISE: Network = [
  nic(0, {
    sourceRouting: true,
    gateway: '192.168.100.1',
    routes: [{ to: '10.20.0.0/16', via: '192.168.100.1' }],
  }),
  nic(1, { sourceRouting: true, address: '192.168.101.11' }),
  nic(2),
  nic(3, { sourceRouting: true }),
];

export class HostOfTwoCommits {
  readonly folder: Folder;
  readonly store: TestStore;
  readonly first: string;
  readonly second: string;
  /** Root of the host. */
  root: string;
  readonly #applied: string;
  #count = 0;

  private constructor(
    parts: Pick<HostOfTwoCommits, 'folder' | 'store' | 'first' | 'second'>,
    applied: string,
  ) {
    this.folder = parts.folder;
    this.store = parts.store;
    this.first = parts.first;
    this.second = parts.second;
    this.root = applied;
    this.#applied = applied;
  }

  static async open(before: Network = OLD, after: Network = NEW): Promise<HostOfTwoCommits> {
    const folder = new Folder();
    const store = await TestStore.open(folder.path);
    const first = await store.commit('netplan', before);
    const applied = makeRoot(join(folder.path, 'applied'), machine(4));
    const job = { dir: folder.path, root: applied, url: store.server.url, commit: first };
    await runAgent({ ...job, expectedRecord: null });
    const second = await store.commit('netplan', after);
    return new HostOfTwoCommits({ folder, store, first, second }, applied);
  }

  /** Makes a host that has the first commit. @returns its root, which `root` names from now on */
  renew(): string {
    this.root = this.#copy();
    return this.root;
  }

  #copy(): string {
    this.#count += 1;
    const path = join(this.folder.path, `root-${this.#count}`);
    cpSync(this.#applied, path, { recursive: true, preserveTimestamps: true });
    return path;
  }

  run(options: Partial<AgentRun> = {}): Promise<AgentEnd> {
    const { folder, store, root, first } = this;
    const job = { dir: folder.path, root, url: store.server.url, commit: first };
    return runAgent({ ...job, expectedRecord: null, ...options });
  }

  /** Runs the second commit on a host that has the first one. */
  advance(options: Partial<AgentRun> = {}): Promise<AgentEnd> {
    return this.run({ commit: this.second, expectedRecord: this.first, ...options });
  }

  /** Files and machine after a run that nothing interrupted, on another host. */
  async finalState(): Promise<Record<string, string>> {
    const root = this.#copy();
    equal((await this.advance({ root })).outcome?.result, 'Applied');
    return hostFiles(root);
  }

  /** Kills a run at an instant, and checks that the run died exactly there. */
  async killAt(instant: string): Promise<void> {
    const { signal, outcome } = await this.advance({ killAt: `agent.${instant}` });
    if (signal !== 'SIGKILL' || outcome !== undefined)
      throw new Error(`the run did not come to agent.${instant}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    this.folder[Symbol.dispose]();
  }

  /** The next run ends with the commit on the host, and the one after that finds nothing to do. */
  async settles(fresh: Record<string, string>): Promise<void> {
    equal((await this.advance()).outcome?.result, 'Applied');
    deepEqual(hostFiles(this.root), fresh);
    const before = fileIdentities(this.root);
    deepEqual((await this.advance({ expectedRecord: this.second })).outcome?.written, []);
    deepEqual(fileIdentities(this.root), before);
  }
}
