// Commands and pushes for a fleet of 450: one write, one record, and no git process for each node.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Moved } from '../src/controller/many-branches.ts';
import { NodeBranchPolicy } from '../src/history/policy.ts';
import { Store } from '../src/store/store.ts';
import { Fleet, HOUR_MS } from './support/fleet.ts';
import { remoteUrl, serveStore, TOKENS } from './support/http.ts';
import { nodeRef } from '../src/network/node-ref.ts';

const BY = { name: 'Bob', email: 'bob@example.org', principal: 'operator' };
const COUNT = 450;
const NAMES = Array.from({ length: COUNT }, (_, index) => `node-${String(index).padStart(3, '0')}`);
const FILE = 'etc/netplan/90-multinic0.yaml';

/** Limits for an idle machine, with room for the tests that share it. */
const SHARED = 4;
const ROLLBACK_MS = SHARED * 5_000;
const PUSH_MS = SHARED * 10_000;

let fleet: Fleet;
const wish = (mtu: number): void =>
  fleet.write('cr', {
    nodeConfigs: NAMES.map((name, index) => ({
      attachedNodeId: `i-${name}`,
      attachedNodeName: name,
      interfaces: [
        {
          macAddress: `02:00:00:00:${Math.floor(index / 200)
            .toString(16)
            .padStart(2, '0')}:${(index % 200).toString(16).padStart(2, '0')}`,
          cidr: `10.${Math.floor(index / 200)}.${index % 200}.10/24`,
          mtu,
        },
      ],
    })),
  });

beforeAll(async () => {
  fleet = await Fleet.open(NAMES);
  wish(1500);
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;
});

afterAll(() => fleet[Symbol.asyncDispose]());

test('a change of all nodes is rolled back in one write; a node with a later commit is left alone', async () => {
  wish(1400);
  const { main } = await fleet.pass();
  const held = (await fleet.commands.rollback('node-007', undefined, BY)) as Moved;
  const writes = vi.spyOn(Store.prototype, 'writeEach');
  const began = performance.now();
  const { moved, skipped } = await fleet.commands.rollbackChange(main.commit.slice(0, 12), BY);
  const took = performance.now() - began;
  expect(writes).toHaveBeenCalledTimes(1);
  writes.mockRestore();
  expect(skipped).toEqual([
    { node: 'node-007', reason: `moved on since: node/node-007 is at ${held.commit.slice(0, 10)}` },
  ]);
  expect(moved).toHaveLength(COUNT - 1);
  for (const node of ['node-000', 'node-449']) {
    expect(await fleet.mtu(node)).toBe(1500);
    const { tip } = await fleet.branch(node);
    expect(moved).toContainEqual({ node, commit: tip.oid });
  }
  console.log(`a change of ${COUNT} nodes is rolled back in ${Math.round(took)} ms`);
  expect(took).toBeLessThan(ROLLBACK_MS);
  await expect(fleet.commands.rollbackChange(main.commit, BY)).resolves.toMatchObject({ moved: [] });
  fleet.now += 2 * HOUR_MS;
});

test('a push to all nodes is accepted with one audit record, and describes its changes', async () => {
  await fleet.stop();
  const store = await Store.open(join(fleet.dir, 'store.git'), { clock: () => fleet.now });
  const server = await serveStore(store, { policy: new NodeBranchPolicy(() => fleet.now) });
  try {
    const copy = join(fleet.dir, 'copy');
    const git = (...args: string[]) => execa('git', ['-C', copy, ...args], { all: true });
    await execa('git', ['clone', '-q', '--bare', remoteUrl(server.url, TOKENS.write), copy]);
    const stream: string[] = [];
    for (const name of NAMES) {
      const { stdout } = await git('show', `node/${name}:${FILE}`);
      const text = `${stdout.replace(/mtu: \d+/, 'mtu: 1300')}\n`;
      stream.push(
        `commit ${nodeRef(name)}\ncommitter Alice <alice@example.org> ${fleet.now / 1000} +0000\ndata 7\nsmaller\n` +
          `from ${nodeRef(name)}^0\nM 100644 inline ${FILE}\ndata ${Buffer.byteLength(text)}\n${text}\n`,
      );
    }
    await writeFile(join(copy, 'stream'), stream.join(''));
    await execa('git', ['-C', copy, 'fast-import', '--quiet'], { inputFile: join(copy, 'stream') });
    const audits = async (): Promise<number> => {
      const tip = await store.reader.ref('refs/audit/pushes');
      return tip === undefined ? 0 : (await store.reader.log(tip)).length;
    };
    const before = await audits();
    const writes = store.commitsWritten;
    const began = performance.now();
    const { all } = await git(
      'push',
      '-q',
      remoteUrl(server.url, TOKENS.write),
      'refs/heads/node/*:refs/heads/node/*',
    );
    const took = performance.now() - began;
    expect(all).toMatch(
      /remote: multinic: node\/node-000: multinic0 \(02:00:00:00:00:00\): multinic0 mtu \d+ -> 1300/,
    );
    expect(all).toMatch(/remote: multinic: and 250 more interfaces/);
    expect(store.commitsWritten - writes).toBe(Math.ceil(COUNT / 100));
    expect(await audits()).toBe(before + Math.ceil(COUNT / 100));
    expect(await fleet.mtu('node-449')).toBe(1300);
    console.log(`a push of ${COUNT} branches takes ${Math.round(took)} ms`);
    expect(took).toBeLessThan(PUSH_MS);
  } finally {
    await server.close();
    await store.close();
  }
});
