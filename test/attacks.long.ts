// Hostile requests: of a person who may push to one node, with one node's token, and of strangers. The controller
// (`multinic local`) stays below 256 MiB, and a second client goes on working.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { maintain } from '../src/store/care/maintenance.ts';
import { Store } from '../src/store/store.ts';
import { crowding } from './support/crowding.ts';
import { git } from './support/http.ts';
import { LocalRun, NODES } from './support/local.ts';
import { LooseObjects } from './support/loose-objects.ts';

const MIB = 1024 * 1024;
const LIMIT_MIB = 256;
/** Limits of Node's heap: an ordinary user has no cgroup, so `VmHWM` says whether the whole process kept to the limit. */
const HELD = { NODE_OPTIONS: '--max-old-space-size=128 --max-semi-space-size=8' };
/** Longest wait of a second client, on a machine that other tests share. */
const PATIENCE_MS = 10_000;
/** All four kinds of file: netplan, ifcfg, and keyfile with its `.link`. */
const [ONE, TWO] = NODES;

let local: LocalRun;
let url = '';
let bare = '';
let objects: LooseObjects;
let tokens: { readonly operator: string; readonly nodes: Readonly<Record<string, string>> };

const remoteUrl = (token: string): string => `${url.replace('//', `//x:${token}@`)}/git`;

beforeAll(async () => {
  local = await LocalRun.start({ env: HELD });
  url = new URL(await local.remote()).origin;
  tokens = parse(await readFile(join(local.dir, 'tokens.yaml'), 'utf8')) as typeof tokens;
  bare = join(dirname(local.dir), 'bare');
  await execa('git', ['clone', '-q', '--mirror', remoteUrl(tokens.operator), bare]);
  objects = LooseObjects.in(bare);
});

afterAll(() => local[Symbol.asyncDispose]());

/** Peak memory of a controller so far, in MiB. */
function peak(of = local): number {
  const status = readFileSync(`/proc/${of.process.pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** A second client, which fetches the branch of another node again and again. */
class Bystander {
  longest = 0;
  count = 0;
  #ended = false;
  readonly #work: Promise<void>;

  constructor() {
    this.#work = this.#fetch();
  }

  async #fetch(): Promise<void> {
    while (!this.#ended) {
      const began = performance.now();
      const answer = await fetch(`${url}/git/info/refs?service=git-upload-pack`, {
        headers: { authorization: `Bearer ${tokens.nodes[TWO]}` },
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (!(await answer.text()).includes(`refs/heads/node/${TWO}`))
        throw new Error(`answered ${answer.status}`);
      this.longest = Math.max(this.longest, performance.now() - began);
      this.count += 1;
      await pause(50);
    }
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#work;
  }
}

let bystander: Bystander;
beforeEach(() => {
  bystander = new Bystander();
});
afterEach(async () => {
  await bystander.end();
  assert(bystander.count > 0, 'the second client had no answer');
  assert(bystander.longest < PATIENCE_MS, `the second client waited ${bystander.longest} ms`);
  assert(peak() < LIMIT_MIB, `the controller had ${peak()} MiB`);
  assert(local.process.exitCode === null, 'the controller has ended');
});

const tipOf = async (node: string): Promise<string> =>
  (await git(bare, 'ls-remote', remoteUrl(tokens.operator), `refs/heads/node/${node}`)).stdout.slice(0, 40);

/** Pushes a commit to a node as plain git does. */
async function push(commit: string, node: string = ONE): Promise<string> {
  const before = await tipOf(node);
  const ended = await git(bare, 'push', remoteUrl(tokens.operator), `${commit}:refs/heads/node/${node}`);
  expect(ended.code).not.toBe(0);
  expect(await tipOf(node)).toBe(before);
  return ended.stderr;
}

const treeOf = async (commit: string): Promise<string> =>
  (await git(bare, 'rev-parse', `${commit}^{tree}`)).stdout;

describe('a hostile push', { timeout: 240_000 }, () => {
  test('of a dozen objects that unpack to an endless tree', async () => {
    let tree = objects.folder([['100644', 'f', objects.blob('x')]]);
    for (let level = 0; level < 12; level += 1) {
      const names = Array.from({ length: 100 }, (_, index) => `d${String(index).padStart(2, '0')}`);
      tree = objects.folder(names.map((name) => ['40000', name, tree] as const));
    }
    const tip = await tipOf(ONE);
    expect(await push(objects.commit({ tree, parents: [tip] }))).toMatch(/TreeTooLarge/);
  });

  test('of 200 MiB of zeros in a managed file', async () => {
    const zeros = objects.put('blob', Buffer.alloc(200 * MIB));
    const folder = objects.folder([['100644', '90-multinic0.yaml', zeros]]);
    const tip = await tipOf(ONE);
    const node = (await git(bare, 'rev-parse', `${tip}:node.yaml`)).stdout;
    const tree = objects.folder([
      ['40000', 'etc', objects.folder([['40000', 'netplan', folder]])],
      ['100644', 'node.yaml', node],
    ]);
    expect(await push(objects.commit({ tree, parents: [tip] }))).toMatch(/FileTooLarge/);
  });

  test.each([
    ['40 MB', 40_000_000],
    ['65 KiB', 65 * 1024],
  ])('of a commit message of %s', async (_, length) => {
    const tip = await tipOf(ONE);
    const message = `subject\n\n${'x'.repeat(length)}`;
    expect(await push(objects.commit({ tree: await treeOf(tip), parents: [tip], message }))).toMatch(
      /CommitTooLarge/,
    );
  });

  test('of an author name of 20 KB, and of control sequences of a terminal', async () => {
    const tip = await tipOf(ONE);
    const tree = await treeOf(tip);
    const by = `${'n'.repeat(20_000)} <a@example.org> 1700000000`;
    expect(await push(objects.commit({ tree, parents: [tip], by }))).toMatch(/TextTooLong/);
    const name = `\u001b]0;title\u0007 <a@example.org> 99999999999`;
    const refused = await push(objects.commit({ tree, parents: [tip], by: name, message: '\u001b[2Jgone' }));
    expect(refused).toMatch(/FutureDate/);
    // oxlint-disable-next-line no-control-regex -- a terminal would obey it
    expect(refused).not.toMatch(/\u001b\]|\u001b\[2J/);
  });

  test('of two committers, and of a date before 1970', async () => {
    const tip = await tipOf(ONE);
    const tree = await treeOf(tip);
    const stamp = 'A <a@example.org> 1700000000 +0000';
    const headers = [
      `author ${stamp}`,
      `committer ${stamp}`,
      'committer multinic-agent <controller@multinic.io> 5 +0000',
    ];
    expect(await push(objects.commit({ tree, parents: [tip], headers }))).toMatch(/InvalidCommit/);
    const early = [`author ${stamp}`, 'committer A <a@example.org> -9000000000000 +0000'];
    expect(await push(objects.commit({ tree, parents: [tip], headers: early }))).toMatch(
      /InvalidCommit|badDate|fsck/,
    );
  });

  test('of control characters in a comment, in each kind of file', async () => {
    const kinds = new Set<string>();
    for (const node of NODES) {
      const tip = await tipOf(node);
      const paths = (await git(bare, 'ls-tree', '-r', '--name-only', tip)).stdout.split('\n');
      for (const path of paths.filter((each) => each !== 'node.yaml')) {
        kinds.add(path.replaceAll(/\d|multinic/g, ''));
        for (const character of ['\r', '\u2028']) {
          const files = new Map<string, string>();
          for (const each of paths) {
            const { stdout } = await execa('git', ['-C', bare, 'cat-file', 'blob', `${tip}:${each}`], {
              stripFinalNewline: false,
            });
            files.set(
              each,
              each === path ? stdout.replace('\n', `\n# note${character}GATEWAY=10.0.0.1\n`) : stdout,
            );
          }
          const commit = objects.commit({ tree: objects.tree(files), parents: [tip] });
          expect(await push(commit, node)).toMatch(/line 2 has the invisible character/);
        }
      }
    }
    expect(kinds.size).toBe(4);
  });

  test('does not stop a proper push, nor an edit of the CR', async () => {
    const tip = await tipOf(ONE);
    const commit = objects.commit({ tree: await treeOf(tip), parents: [tip], message: 'a note' });
    const { code, stderr } = await git(
      bare,
      'push',
      remoteUrl(tokens.operator),
      `${commit}:refs/heads/node/${ONE}`,
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`remote: multinic: node/${ONE}: no interface changes`));
    await local.editConfig((spec) => (spec.nodeConfigs[0]!.interfaces![0]!.mtu = 1400));
    await local.applied(ONE, await local.tip(ONE));
    expect(await local.hostFile(ONE, 'etc/netplan/90-multinic0.yaml')).toContain('mtu: 1400');
  });
});

const open = async (count: number, first = ''): Promise<Socket[]> => {
  const sockets: Socket[] = [];
  for (let each = 0; each < count; each += 1) {
    const socket = connect(Number(new URL(url).port), new URL(url).hostname);
    socket.on('error', () => undefined);
    socket.resume();
    if (first !== '') socket.write(first);
    sockets.push(socket);
  }
  await pause(500);
  return sockets;
};
const closed = async (sockets: readonly Socket[]): Promise<void> => {
  for (const socket of sockets) if (!socket.closed) await once(socket, 'close');
};

describe('connections', { timeout: 120_000 }, () => {
  test('1,030 silent ones of a stranger end within seconds, and others still connect', async () => {
    const sockets = await open(1030);
    const began = performance.now();
    const answer = await fetch(`${url}/git/info/refs?service=git-upload-pack`, {
      headers: { authorization: `Bearer ${tokens.operator}`, connection: 'close' },
    });
    expect(answer.status).toBe(200);
    await answer.text();
    expect(performance.now() - began).toBeLessThan(PATIENCE_MS);
    await closed(sockets);
    expect(performance.now() - began).toBeLessThan(3 * PATIENCE_MS);
  });

  test.each([
    ['4 MiB', 4 * MIB],
    ['60 KiB', 60 * 1024],
  ])('200 of one node, each with a body of %s that never ends', async (_, length) => {
    const head = `POST /git/git-upload-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens.nodes[ONE]}\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: ${length}\r\n\r\n`;
    const sockets = await open(200, head + 'x'.repeat(50_000));
    await pause(2_000);
    expect(peak()).toBeLessThan(LIMIT_MIB);
    await closed(sockets);
  });
});

/** The MTU that every node of a fleet gets. */
function specOf(names: readonly string[], mtu: number): object {
  return {
    nodeConfigs: names.map((name, index) => {
      const [high, low] = [Math.floor(index / 200), index % 200];
      const mac = [2, 0, 0, 1, high, low].map((part) => part.toString(16).padStart(2, '0')).join(':');
      const nic = { macAddress: mac, cidr: `10.${high}.${low}.10/24`, mtu };
      return { attachedNodeId: `i-${name}`, attachedNodeName: name, interfaces: [nic] };
    }),
  };
}

/** A home of 450 nodes without a machine: the controller commits for them, and runs no agents. */
async function fleetHome(names: readonly string[]): Promise<LocalRun> {
  const home = await LocalRun.prepare();
  const nodes = names.map((name) => ({ name, systemUUID: `i-${name}`, osImage: 'Ubuntu 22.04.4 LTS' }));
  await writeFile(join(home.dir, 'inventory.yaml'), stringify({ nodes }));
  const config = await home.config();
  Object.assign(config.spec, { ...specOf(names, 1500) });
  await home.writeConfig(config);
  await home.launch({ env: HELD });
  return home;
}

/** Ten CRs of 300 nodes that no machine answers to: 3,000 items in the stream of live data. */
async function writeCrowd(home: LocalRun, round: number): Promise<void> {
  const config = await home.config();
  for (let part = 0; part < 10; part += 1) {
    const names = Array.from({ length: 300 }, (_, index) => `${round}-${part}-${index}`);
    const nodeConfigs = names.map((name, index) => ({
      attachedNodeId: `i-${name}`,
      attachedNodeName: `crowd-${name}`,
      interfaces: [
        {
          macAddress: `02:00:00:${part.toString(16).padStart(2, '0')}:${[index >> 8, index & 255].map((each) => each.toString(16).padStart(2, '0')).join(':')}`,
          cidr: `10.${100 + part}.${index >> 8}.${index & 255}/8`,
          mtu: 1500,
        },
      ],
    }));
    await home.writeConfig({
      ...config,
      metadata: { ...config.metadata, name: `crowd-${part}` },
      spec: { nodeConfigs },
    });
  }
}

test(
  '64 streams that never read hold little, while 3,000 nodes change again and again',
  { timeout: 600_000 },
  async () => {
    await using crowded = await LocalRun.prepare();
    await writeCrowd(crowded, 0);
    await crowded.launch({ env: HELD });
    /** Asks on a connection of its own: one that is kept may end just as the next request begins. */
    const get = async (path: string): Promise<{ status: number; text: () => Promise<string> }> => {
      const stop = new AbortController();
      const response = await fetch(`${crowded.url}/api/v1${path}`, {
        headers: { authorization: `Bearer ${await crowded.token()}`, connection: 'close' },
        signal: stop.signal,
      });
      if (path === '/live') stop.abort();
      return response;
    };
    const knows = (round: number) => async (): Promise<boolean> => {
      // The answer is large, and this loop would take all the time of the controller.
      await pause(1_000);
      assert(crowded.process.exitCode === null, crowded.output);
      const answer = await get('/status');
      if (answer.status !== 200) return false;
      const { nodes } = JSON.parse(await answer.text()) as { nodes: { attachedNodeId: string }[] };
      return nodes.filter(({ attachedNodeId }) => attachedNodeId.startsWith(`i-${round}-`)).length === 3_000;
    };
    await crowded.until('it knows the crowd', knows(0), 120_000);
    const { hostname, port, host } = new URL(crowded.url);
    const token = await crowded.token();
    const ask = (encoding: string): Socket => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      socket.pause();
      socket.write(
        `GET /api/v1/live HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\nAccept-Encoding: ${encoding}\r\n\r\n`,
      );
      return socket;
    };
    const sockets = Array.from({ length: 64 }, (_, index) => ask(index % 2 === 0 ? 'identity' : 'gzip'));
    const live = async (): Promise<number> => (await get('/live')).status;
    // The question itself may take a place that one of them wanted.
    const allTaken = async (): Promise<boolean> => {
      if ((await live()) === 503) return true;
      sockets.push(ask('identity'));
      return false;
    };
    await crowded.until('there is no place for another one', allTaken, 60_000);
    const before = peak(crowded);
    for (let round = 1; round <= 2; round += 1) {
      await writeCrowd(crowded, round);
      await crowded.until(`it knows crowd ${round}`, knows(round), 120_000);
    }
    console.log(
      `the controller had ${Math.round(before)} MiB at first, and ${Math.round(peak(crowded))} MiB`,
    );
    expect(peak(crowded)).toBeLessThan(LIMIT_MIB);
    for (const socket of sockets) socket.destroy();
    await crowded.until('the places are free', async () => (await live()) === 200, 60_000);
  },
);

test('a node that is rolled back ten times a second holds up none of 450', { timeout: 300_000 }, async () => {
  const names = Array.from({ length: 450 }, (_, index) => `n${index}`);
  await using many = await fleetHome(names);
  const config = await many.config();
  const tips = async (): Promise<Map<string, string>> =>
    new Map(
      (await many.git('for-each-ref', '--format=%(refname:lstrip=3) %(objectname)', 'refs/heads/node'))
        .split('\n')
        .map((line) => line.split(' ') as [string, string]),
    );
  await many.until('every node is born', async () => (await tips()).size === 450, 120_000);
  /** Edits all nodes. @returns milliseconds until the branches of all others have it */
  const lagOf = async (mtu: number): Promise<number> => {
    const before = await tips();
    const began = performance.now();
    Object.assign(config.spec, specOf(names, mtu));
    await many.writeConfig(config);
    for (let now = before; names.some((name) => name !== 'n7' && now.get(name) === before.get(name));) {
      if (performance.now() - began > 120_000) throw new Error(`the others do not get ${mtu}`);
      await pause(200);
      now = await tips();
    }
    return performance.now() - began;
  };
  /** Edits one node. @returns milliseconds until its branch has the edit, as on a machine of its own */
  const lagOfOne = async (name: string, mtu: number): Promise<number> => {
    const tip = (): Promise<string> => many.git('rev-parse', `node/${name}`);
    const before = await tip();
    const crowded = crowding();
    const began = performance.now();
    for (const node of config.spec.nodeConfigs)
      if (node.attachedNodeName === name) node.interfaces![0]!.mtu = mtu;
    await many.writeConfig(config);
    while ((await tip()) === before) {
      if (performance.now() - began > 120_000) throw new Error(`${name} does not get ${mtu}`);
      await pause(50);
    }
    return (performance.now() - began) / Math.max(crowded, crowding());
  };
  const quiet = [await lagOf(1400), await lagOf(1300)];

  const loop = new AbortController();
  const codes: string[] = [];
  const api = new URL('/api/v1/nodes/n7/rollback', new URL(await many.remote()).origin);
  const { operator } = parse(await readFile(join(many.dir, 'tokens.yaml'), 'utf8')) as { operator: string };
  const rollBack = async (): Promise<void> => {
    const answer = await fetch(api, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${operator}`,
        'content-type': 'application/json',
        // A connection that is kept may end just as the next request begins.
        connection: 'close',
      },
      body: JSON.stringify({ yes: true }),
    });
    const text = await answer.text();
    // A server without a CPU ends a request whose head it cannot read in time, with a status alone.
    const code = (): string =>
      text === '' ? String(answer.status) : (JSON.parse(text) as { code: string }).code;
    codes.push(answer.ok ? 'done' : code());
  };
  const asked: Promise<void>[] = [];
  const looping = (async (): Promise<void> => {
    while (!loop.signal.aborted) {
      // The controller refuses more than 64 at a time; fewer take less of the test's time afterwards.
      if (asked.length - codes.length < 16) asked.push(rollBack());
      await pause(100);
    }
  })();
  const others: number[] = [];
  for (const name of ['n8', 'n9', 'n10', 'n11', 'n12']) others.push(await lagOfOne(name, 1290));
  const busy = [await lagOf(1450), await lagOf(1350)];
  loop.abort();
  await looping;
  await Promise.all(asked);
  // The rollbacks come one after the other, and none loses a race to the next.
  expect(codes.filter((code) => code === 'done').length).toBeGreaterThan(10);
  expect(codes).not.toContain('LostRace');
  console.log(`others wait ${others.map(Math.round).join(', ')} ms`);
  expect(Math.max(...others)).toBeLessThan(2_000);
  // Edits of all nodes take as long as on a quiet day and two seconds, on a machine that other tests share a little more.
  expect({ quiet, busy, late: Math.max(...busy) > 2 * Math.max(...quiet) + 2_000 }).toMatchObject({
    late: false,
  });
  expect(peak(many)).toBeLessThan(LIMIT_MIB);

  await many.stop();
  const dir = join(many.dir, 'store.git');
  const store = await Store.open(dir);
  await maintain(store);
  await store.close();
  const left = await execa('git', ['-C', dir, 'fsck', '--unreachable', '--no-dangling', '--no-progress']);
  expect(left.stdout.split('\n').filter((line) => line.startsWith('unreachable'))).toEqual([]);
});
