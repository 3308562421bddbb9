// Random histories of a small fleet on a real store, beside a model of one page. The two are independent: the model
// takes main's commits and the pushes in their order, and says each node's base and tip.

import type { Oid } from '../../src/api/oid.ts';
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import * as fc from 'fast-check';
import { execa } from 'execa';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { MultinicError } from '../../src/api/errors.ts';
import type { Requester } from '../../src/controller/sink-port.ts';
import { trailer } from '../../src/history/commit-format.ts';
import { MAIN } from '../../src/history/refs.ts';
import type { Network } from '../../src/network/interface.ts';
import type { Commit } from '../../src/store/model/store-port.ts';
import { entryFor, Fleet } from './fleet.ts';
import { nodeRef } from '../../src/network/node-ref.ts';

const NODES = ['a', 'b', 'c', 'd'] as const;
const CONFIGS = ['one', 'two'] as const;
const BY: Requester = { name: 'Bob', email: 'bob@example.org', principal: 'operator' };
/** Many nodes lose and get their NICs here, so the guard is off; it has tests of its own. */
const NO_GUARD = { fraction: 1, minimum: 1000 };
const CHECKPOINTS = [
  'mirror.main',
  'mirror.main#2',
  'mirror.branches',
  'store.takeover',
  ...['import', 'imported', 'transaction', 'moved', 'durable'].flatMap((at) => [
    `store.${at}`,
    `store.${at}#2`,
    `store.${at}#3`,
  ]),
];

/** MTU of the node's NIC; null: none. */
type Net = number | null;
/** `bad`: an invalid entry. */
type Wish = Net | 'bad';

interface Edit {
  readonly op: 'edit';
  readonly config: string;
  /** Wanted MTU by node; undefined: the CR has no entry. */
  readonly wishes: Readonly<Record<string, Wish | undefined>>;
}

export type Step =
  | Edit
  | { readonly op: 'invalid' | 'remove'; readonly config: string }
  | { readonly op: 'push'; readonly node: string; readonly mtu: number }
  | { readonly op: 'revert'; readonly node: string; readonly back: number }
  | { readonly op: 'rollback' | 'release' | 'rerender' | 'rebuild'; readonly node: string }
  | { readonly op: 'restart' }
  | {
      readonly op: 'crash';
      /** Edits, and the instant at which the pass over them is killed: a checkpoint, or milliseconds. */
      readonly rounds: readonly { readonly edits: readonly Edit[]; readonly at: string | number }[];
      /** The branch before a person mends it. */
      readonly push?: { readonly node: string; readonly mtu: number };
    };

const node = fc.constantFrom(...NODES);
const mtu = fc.constantFrom(1400, 1450, 1500);
const net = fc.oneof({ weight: 4, arbitrary: mtu }, fc.constant(null));
const wish = fc.oneof({ weight: 8, arbitrary: net }, fc.constant('bad' as const), fc.constant(undefined));
const own = { one: ['a', 'b'], two: ['c', 'd'] } as const;
const edit = fc.constantFrom(...CONFIGS).chain((config) =>
  fc.record({
    op: fc.constant('edit' as const),
    config: fc.constant(config),
    wishes: fc.record({ [own[config][0]]: wish, [own[config][1]]: wish }),
  }),
);
const at = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom('mirror.main', 'mirror.branches', 'mirror.branches#2', 'store.moved#3'),
  },
  { weight: 3, arbitrary: fc.constantFrom(...CHECKPOINTS) },
  { weight: 2, arbitrary: fc.integer({ min: 150, max: 700 }) },
);
const crash = fc.record(
  {
    op: fc.constant('crash' as const),
    rounds: fc.array(fc.record({ edits: fc.array(edit, { maxLength: 2 }), at }), {
      minLength: 1,
      maxLength: 3,
    }),
    push: fc.record({ node, mtu }),
  },
  { requiredKeys: ['op', 'rounds'] },
);

/** Random histories of a number of steps. */
export function lives(length: number): fc.Arbitrary<Step[]> {
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: edit },
    { weight: 6, arbitrary: fc.record({ op: fc.constant('push' as const), node, mtu }) },
    {
      weight: 4,
      arbitrary: fc.record({ op: fc.constant('revert' as const), node, back: fc.nat({ max: 5 }) }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constantFrom('rollback' as const, 'rollback', 'release', 'rerender', 'rebuild'),
        node,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        op: fc.constantFrom('invalid' as const, 'remove'),
        config: fc.constantFrom(...CONFIGS),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ op: 'restart' as const }) },
    { weight: 4, arbitrary: crash },
  );
  const beginnings = fc.tuple(edit, edit, edit);
  return fc
    .tuple(beginnings, fc.array(step, { minLength: length - 3, maxLength: length - 3 }))
    .map((steps) => steps.flat());
}

/** The model of one branch. */
interface Line {
  /** Networks of the branch's commits, oldest first. */
  readonly tips: Net[];
  base: Net;
  /** Number of main's commits that the branch reflects. */
  seen: number;
}

/** The rules of docs/history.md for base and tip, and nothing else. */
class Model {
  readonly lines = new Map<string, Line>();
  /** main's commits in their order: what each CR wants there of all nodes; no entry: nothing. */
  readonly main: { readonly oid: string; readonly wants: ReadonlyMap<string, Wish> }[] = [];

  /** Applies main's commits to a node, up to the given number. */
  mirror(name: string, end = this.main.length): void {
    for (const [index, { wants }] of this.main.entries()) {
      const wanted = wants.get(name);
      let line = this.lines.get(name);
      if (index >= end || index < (line?.seen ?? 0)) continue;
      if (line === undefined) {
        if (wanted === undefined || wanted === 'bad') continue;
        line = { tips: [null], base: null, seen: 0 };
        this.lines.set(name, line);
      }
      line.seen = index + 1;
      if (wanted === 'bad' || (wanted ?? null) === line.base) continue;
      line.base = wanted ?? null;
      line.tips.push(line.base);
    }
  }

  tip(name: string): Net {
    return this.lines.get(name)!.tips.at(-1)!;
  }

  move(name: string, tip: Net): void {
    this.lines.get(name)!.tips.push(tip);
  }
}

/** A fleet and its model. Both take each step. */
class Life implements AsyncDisposable {
  readonly #fleet: Fleet;
  readonly #model = new Model();
  /** Wanted MTUs of each CR: of the valid CRs in the home, and of the CRs on main. */
  readonly #home = new Map<string, Wishes>();
  readonly #main = new Map<string, Wishes>();
  #mainTip: Oid;
  readonly #tips = new Map<string, Oid>();

  private constructor(fleet: Fleet, mainTip: Oid) {
    this.#fleet = fleet;
    this.#mainTip = mainTip;
  }

  static async begin(): Promise<Life> {
    const fleet = await Fleet.open(NODES, NO_GUARD);
    return new Life(fleet, (await fleet.reader.ref(MAIN))!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fleet[Symbol.asyncDispose]();
  }

  /** Edits that no pass has seen; the pass of the next step mirrors all of them. */
  async step(step: Step): Promise<void> {
    this.#fleet.now += 1000;
    switch (step.op) {
      case 'edit':
        return this.#edit(step);
      case 'invalid':
        this.#fleet.write(step.config, { nodeConfigs: 'none' });
        this.#home.delete(step.config);
        break;
      case 'remove':
        this.#fleet.configs.delete(step.config);
        this.#home.set(step.config, new Map());
        break;
      case 'rebuild':
        this.#rebuild(step.node);
        break;
      case 'restart':
        await this.#fleet.restart();
        break;
      case 'crash':
        await this.#crash(step);
        break;
      default:
        if (this.#model.lines.has(step.node)) await this.#touch(step);
    }
    await this.#settle();
  }

  async end(): Promise<void> {
    await this.#settle();
    await this.#fleet.git(['fsck', '--full', '--strict', '--no-dangling']);
    await this.#replay();
  }

  #edit({ config, wishes }: Edit): void {
    const wants = new Map<string, Wish>();
    for (const [name, each] of Object.entries(wishes)) if (each !== undefined) wants.set(name, each);
    const nodeConfigs = [...wants].map(([name, each]) => entryFor(name, each === 'bad' ? BAD_MTU : each));
    this.#fleet.write(config, { nodeConfigs });
    this.#home.set(config, wants);
  }

  #rebuild(name: string): void {
    const { inventory } = this.#fleet;
    const index = inventory.findIndex((each) => each.name === name);
    inventory[index] = { ...inventory[index]!, machineId: `machine-${this.#fleet.now}` };
  }

  /** Actions of people on an existing branch. */
  async #touch(step: Step & { readonly node: string }): Promise<void> {
    const { commands } = this.#fleet;
    const line = this.#model.lines.get(step.node)!;
    const tip = this.#model.tip(step.node);
    switch (step.op) {
      case 'push':
        return this.#push(step.node, step.mtu);
      case 'revert':
        return this.#revert(step.node, step.back);
      case 'rollback': {
        const before = line.tips.findLast((each) => each !== tip);
        const done = commands.rollback(step.node, undefined, BY, { mayRemoveAll: true });
        if (before === undefined) return rejects(done, { code: 'NothingToRollBack' });
        await done;
        return this.#model.move(step.node, before);
      }
      case 'release': {
        const done = commands.release(step.node, BY);
        if (line.base === tip) return rejects(done, { code: 'NotHeld' });
        await done;
        return this.#model.move(step.node, line.base);
      }
      case 'rerender':
        deepEqual((await commands.rerender([step.node], undefined, BY)).moved, []);
    }
  }

  async #push(name: string, value: number): Promise<void> {
    const { tip } = await this.#fleet.branch(name);
    const files = await this.#fleet.reader.files(tip.oid);
    const [path, text] = [...files].find(([each]) => each !== 'node.yaml') ?? [];
    if (path === undefined || text === undefined || this.#model.tip(name) === value) return;
    await this.#fleet.push(name, { [path]: text.replace(/mtu: \d+/, `mtu: ${value}`) }, `mtu ${value}`);
    this.#model.move(name, value);
  }

  /** Reverts as a person does, in a clone with plain git. A revert that does not merge, or is refused, is given up. */
  async #revert(name: string, back: number): Promise<void> {
    const copy = await mkdtemp(join(this.#fleet.dir, 'copy-'));
    const identity = ['-c', 'user.name=Alice', '-c', 'user.email=alice@example.org'];
    const git = (...args: string[]) => execa('git', [...identity, ...args], { cwd: copy, reject: false });
    await git('clone', '-q', '--branch', `node/${name}`, join(this.#fleet.dir, 'store.git'), '.');
    if ((await git('revert', '--no-edit', `HEAD~${back}`)).exitCode !== 0) {
      const changed = await git('diff', '--quiet', `HEAD~${back}~`, `HEAD~${back}`);
      // A revert of the newest commit always works, unless that is the birth or changes nothing.
      if (back === 0) ok(changed.exitCode !== 1);
      return;
    }
    const tree = (await git('rev-parse', 'HEAD^{tree}')).stdout;
    await this.#fleet.git(['fetch', '-q', copy, 'HEAD']);
    try {
      await this.#fleet.pushTree(name, tree, `revert ${back}`);
    } catch (error) {
      if (!(error instanceof MultinicError)) throw error;
      // A revert may not change the node's identity; a revert of any other newest commit is accepted.
      if (back === 0) match(error.code, /^(NodeFileChanged|UnmanagedPath)$/);
      return;
    }
    const value = await this.#fleet.mtu(name);
    if (back === 0) equal(value, this.#model.lines.get(name)!.tips.at(-2));
    this.#model.move(name, value);
  }

  /** Kills passes one after the other, sometimes with a push in between. */
  async #crash({ rounds, push }: Step & { readonly op: 'crash' }): Promise<void> {
    for (const { edits, at } of rounds) {
      for (const each of edits) this.#edit(each);
      await this.#fleet.crash(typeof at === 'string' ? { checkpoint: at } : { afterMs: at });
    }
    if (push !== undefined) {
      // git children of the killed pass may go on for a moment: what they move is moved before the push.
      await this.#fleet.quiet();
      await this.#readMain();
      this.#model.mirror(push.node, await this.#seen(push.node));
      if (this.#model.lines.has(push.node)) await this.#push(push.node, push.mtu);
    }
    await this.#fleet.start();
  }

  /** Number of main's commits that a branch reflects by its trailers. */
  async #seen(name: string): Promise<number> {
    if ((await this.#fleet.reader.ref(nodeRef(name))) === undefined) return 0;
    const { base, anchor } = await this.#fleet.branch(name);
    const position = (commit: Commit | undefined): number =>
      this.#model.main.findIndex(({ oid }) => commit !== undefined && trailer(commit, 'Main-Commit') === oid);
    return Math.max(position(base.commit), position(anchor)) + 1;
  }

  /** Runs a pass, and compares everything with the model. */
  async #settle(): Promise<void> {
    await this.#fleet.pass();
    await this.#readMain();
    for (const [config, wants] of this.#home) deepEqual(this.#main.get(config) ?? new Map(), wants);
    for (const name of NODES) this.#model.mirror(name);
    for (const name of NODES) await this.#check(name);
  }

  /** main's new commits, as anybody can read them: whose they are, and what its entries want there. */
  async #readMain(): Promise<void> {
    const { reader } = this.#fleet;
    const tip = (await reader.ref(MAIN))!;
    for (const { oid, trailers } of await reader.log(tip, { until: this.#mainTip, reverse: true })) {
      const config = trailers.find(([key]) => key === 'MultiNicBizConfig')![1];
      const files = await reader.files(oid, `configs/${config}/nodes`);
      this.#main.set(config.split('/').at(-1)!, new Map([...files.values()].map(readWish)));
      this.#model.main.push({ oid, wants: new Map([...this.#main.values()].flatMap((wants) => [...wants])) });
    }
    this.#mainTip = tip;
  }

  async #check(name: string): Promise<void> {
    const line = this.#model.lines.get(name);
    const tip = await this.#fleet.reader.ref(nodeRef(name));
    deepEqual({ name, born: tip !== undefined }, { name, born: line !== undefined });
    if (line === undefined || tip === undefined) return;
    const { base, network, hold, invalid } = await this.#fleet.branch(name);
    const found = { base: mtuOf(base.network), tip: mtuOf(network), held: hold !== undefined, invalid };
    const expected = {
      base: line.base,
      tip: this.#model.tip(name),
      held: this.#model.tip(name) !== line.base,
    };
    deepEqual({ name, ...found }, { name, ...expected, invalid: undefined });
    const old = this.#tips.get(name);
    if (old !== undefined) ok(await this.#fleet.reader.isAncestor(old, tip));
    this.#tips.set(name, tip);
  }

  /** Mirrors main's commits alone, on another store and in one pass, and expects the same bases. */
  async #replay(): Promise<void> {
    await using other = await Fleet.open(NODES, NO_GUARD);
    await other.takeMain(this.#fleet, this.#mainTip);
    for (const name of NODES) {
      const line = this.#model.lines.get(name);
      if (line !== undefined) deepEqual({ name, base: await other.mtu(name) }, { name, base: line.base });
    }
  }
}

type Wishes = ReadonlyMap<string, Wish>;

/** An MTU below the limit, which makes an entry bad. */
const BAD_MTU = 12;

function readWish(text: string): [string, Wish] {
  const value = /mtu: (\d+)/.exec(text)?.[1];
  const wanted = value === undefined ? null : Number(value);
  return [/attachedNodeName: "?(\w+)/.exec(text)![1]!, wanted === BAD_MTU ? 'bad' : wanted];
}

function mtuOf(network: Network): Net {
  return network[0]?.mtu ?? null;
}

/** Runs a history, and checks after every step. */
export async function live(steps: readonly Step[]): Promise<void> {
  await using life = await Life.begin();
  for (const step of steps) await life.step(step);
  await life.end();
}
