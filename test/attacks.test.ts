// What somebody may send who may push to one node, has one node's token, or has none: the server stays below 256 MiB,
// and a second client goes on working.

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { maintain } from '../src/store/care/maintenance.ts';
import { Store } from '../src/store/store.ts';
import { entryFor, Fleet, HOUR_MS, inventoryNode } from './support/fleet.ts';
import { git, remoteUrl, TOKENS } from './support/http.ts';
import { LooseObjects } from './support/loose-objects.ts';

const MIB = 1024 * 1024;
const LIMIT_MIB = 256;
/** A second client's longest wait, on a machine that other tests share. */
const PATIENCE_MS = 10_000;
/** By node: `worker-1` has a token of its own (support/http.ts). */
const NODES = {
  'worker-1': 'Ubuntu 22.04.4 LTS',
  'worker-2': 'Ubuntu 22.04.4 LTS',
  'worker-3': 'Red Hat Enterprise Linux 8.9',
  'worker-4': 'Red Hat Enterprise Linux 9.4',
};
const NAMES = Object.keys(NODES);

let fleet: Fleet;
let server: ChildProcess;
let url = '';
let bare = '';
let objects: LooseObjects;

beforeAll(async () => {
  fleet = await Fleet.open(NAMES);
  fleet.inventory.splice(
    0,
    Infinity,
    ...Object.entries(NODES).map(([name, osImage]) => ({ ...inventoryNode(name), osImage })),
  );
  fleet.want('cr', Object.fromEntries(NAMES.map((name) => [name, 1500])));
  await fleet.pass();
  await fleet.stop();
  const script = join(import.meta.dirname, 'support/held-server.ts');
  server = spawn(process.execPath, ['--max-old-space-size=128', script, join(fleet.dir, 'store.git')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(server.stdout!, 'data')) as [Buffer];
  url = line.toString().trim();
  bare = join(fleet.dir, 'bare');
  await execa('git', ['clone', '-q', '--mirror', remoteUrl(url, TOKENS.write), bare]);
  objects = LooseObjects.in(bare);
});

afterAll(async () => {
  server.kill();
  await fleet[Symbol.asyncDispose]();
});

/** Highest memory that the server has had, in MiB. */
function peak(): number {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** A second client at work: it fetches the branch of another node again and again. */
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
        headers: { authorization: `Bearer ${TOKENS.other}` },
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (!(await answer.text()).includes('refs/heads/node/worker-2'))
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
  assert(peak() < LIMIT_MIB, `the server had ${peak()} MiB`);
  assert(server.exitCode === null, 'the server has ended');
});

const tipOf = async (node: string): Promise<string> =>
  (await git(bare, 'ls-remote', remoteUrl(url, TOKENS.read), `refs/heads/node/${node}`)).stdout.slice(0, 40);

/** Pushes a commit to a node as plain git does. */
async function push(commit: string, node = 'worker-1'): Promise<string> {
  const before = await tipOf(node);
  const ended = await git(bare, 'push', remoteUrl(url, TOKENS.write), `${commit}:refs/heads/node/${node}`);
  expect(ended.code).not.toBe(0);
  expect(await tipOf(node)).toBe(before);
  return ended.stderr;
}

const treeOf = async (commit: string): Promise<string> =>
  (await git(bare, 'rev-parse', `${commit}^{tree}`)).stdout;

describe('a push', { timeout: 240_000 }, () => {
  test('of a tree that a dozen objects make endless', async () => {
    let tree = objects.folder([['100644', 'f', objects.blob('x')]]);
    for (let level = 0; level < 12; level += 1) {
      const names = Array.from({ length: 100 }, (_, index) => `d${String(index).padStart(2, '0')}`);
      tree = objects.folder(names.map((name) => ['40000', name, tree] as const));
    }
    const tip = await tipOf('worker-1');
    expect(await push(objects.commit({ tree, parents: [tip] }))).toMatch(/TreeTooLarge/);
  });

  test('of 200 MiB of zeros in a file of ours', async () => {
    const zeros = objects.put('blob', Buffer.alloc(200 * MIB));
    const folder = objects.folder([['100644', '90-multinic0.yaml', zeros]]);
    const tip = await tipOf('worker-1');
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
    const tip = await tipOf('worker-1');
    const message = `subject\n\n${'x'.repeat(length)}`;
    expect(await push(objects.commit({ tree: await treeOf(tip), parents: [tip], message }))).toMatch(
      /CommitTooLarge/,
    );
  });

  test("of a name of 20 KB, and of a terminal's own words", async () => {
    const tip = await tipOf('worker-1');
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
    const tip = await tipOf('worker-1');
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
    for (const node of NAMES) {
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

  test('that is as it should be lands all the same', async () => {
    const tip = await tipOf('worker-1');
    const commit = objects.commit({ tree: await treeOf(tip), parents: [tip], message: 'a note' });
    const { code, stderr } = await git(
      bare,
      'push',
      remoteUrl(url, TOKENS.write),
      `${commit}:refs/heads/node/worker-1`,
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(/remote: multinic: node\/worker-1: no interface changes/);
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
  test('of a stranger, 1,030 that say nothing: others get in, and those end within seconds', async () => {
    const sockets = await open(1030);
    const began = performance.now();
    const answer = await fetch(`${url}/git/info/refs?service=git-upload-pack`, {
      headers: { authorization: `Bearer ${TOKENS.read}`, connection: 'close' },
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
  ])('of one node, 200 with a body of %s that never ends', async (_, length) => {
    const head = `POST /git/git-upload-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKENS.node}\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: ${length}\r\n\r\n`;
    const sockets = await open(200, head + 'x'.repeat(50_000));
    await pause(2_000);
    expect(peak()).toBeLessThan(LIMIT_MIB);
    await closed(sockets);
  });
});

const hex = (value: number): string => value.toString(16).padStart(2, '0');

test('a node that is rolled back ten times a second holds up none of 450', { timeout: 300_000 }, async () => {
  const names = Array.from({ length: 450 }, (_, index) => `n${index}`);
  await using many = await Fleet.open(names);
  const nics = names.map((name, index) => {
    const address = `10.${Math.floor(index / 200)}.${index % 200}.10/24`;
    return {
      ...entryFor(name, null),
      interfaces: [
        { macAddress: `02:00:00:00:${hex(Math.floor(index / 200))}:${hex(index % 200)}`, cidr: address },
      ],
    };
  });
  const wish = (mtu: number): void =>
    many.write('cr', {
      nodeConfigs: nics.map((entry) => ({
        ...entry,
        interfaces: entry.interfaces.map((nic) => ({ ...nic, mtu })),
      })),
    });
  wish(1500);
  await many.pass();
  many.now += 2 * HOUR_MS;
  wish(1400);
  await many.pass();

  const loop = new AbortController();
  let rollbacks = 0;
  const by = { name: 'Bob', email: 'bob@example.org', principal: 'operator' };
  const looping = (async (): Promise<void> => {
    while (!loop.signal.aborted) {
      await many.commands.rollback('n7', undefined, by).then(
        () => (rollbacks += 1),
        () => undefined,
      );
      await pause(100);
    }
  })();
  const quiet: number[] = [];
  const busy: number[] = [];
  for (const mtu of [1300, 1450, 1350]) {
    many.now += 2 * HOUR_MS;
    wish(mtu);
    const began = performance.now();
    const { problems } = await many.pass();
    busy.push(performance.now() - began);
    expect([...problems]).toEqual([]);
    for (const name of ['n0', 'n8', 'n449']) expect(await many.mtu(name)).toBe(mtu);
  }
  loop.abort();
  await looping;
  wish(1280);
  many.now += 2 * HOUR_MS;
  const began = performance.now();
  await many.pass();
  quiet.push(performance.now() - began);
  expect(rollbacks).toBeGreaterThan(3);
  // The lag of the others is that of a pass without a loop, and two seconds at most.
  expect(Math.max(...busy)).toBeLessThan(Math.max(...quiet) * 2 + 2_000);

  await many.stop();
  const store = await Store.open(join(many.dir, 'store.git'));
  await maintain(store);
  await store.close();
  const left = await execa('git', [
    '-C',
    join(many.dir, 'store.git'),
    'fsck',
    '--unreachable',
    '--no-dangling',
    '--no-progress',
  ]);
  expect(
    left.stdout
      .split('\n')
      .filter((line) => line.startsWith('unreachable') && !line.endsWith('refs/meta/writer')),
  ).toEqual([]);
});
