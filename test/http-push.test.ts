import { afterAll, beforeAll, expect, test } from 'vitest';
import { Batch } from '../src/store/batch.ts';
import { clone, commitFile, git, NODE_REF, OTHER_REF, startServer, TOKENS } from './support/http.ts';
import type { TestServer } from './support/http.ts';

let server: TestServer;
let copy: string;

beforeAll(async () => {
  server = await startServer();
  copy = await clone(server, TOKENS.write, 'copy');
});
afterAll(() => server.close());

/** Checks out a node's branch as it is in the store now. */
async function start(node = 'worker-1'): Promise<void> {
  await git(copy, 'fetch', '-q', 'origin');
  await git(copy, 'checkout', '-q', '-B', `node/${node}`, `origin/node/${node}`);
}

test('a push lands, is on record before it does, and is told once', async () => {
  await start();
  const before = await server.store.reader.ref(NODE_REF);
  const tip = await commitFile(copy, 'etc/mtu', '9000\n', 'worker-1: MTU 9000');
  const pushed = await git(copy, 'push', 'origin', 'node/worker-1');
  expect(pushed.stderr).toContain('node/worker-1 -> node/worker-1');
  expect(pushed.code).toBe(0);
  expect(await server.store.reader.ref(NODE_REF)).toBe(tip);
  expect(server.pushes).toEqual([
    { principal: { name: 'alice', role: 'write' }, ref: NODE_REF, old: before, new: tip },
  ]);
  const audit = await server.store.reader.ref('refs/audit/pushes');
  const { trailers } = await server.store.reader.commit(audit ?? '');
  expect(Object.fromEntries(trailers)).toEqual({ Principal: 'alice', Ref: NODE_REF, Old: before, New: tip });
  await server.store.fsck();
});

test('a refusal reaches the terminal with its remedy, and without control characters', async () => {
  await start();
  const before = await server.store.reader.ref(NODE_REF);
  await commitFile(copy, 'etc/mtu', '1400', 'refuse');
  const pushed = await git(copy, 'push', 'origin', 'node/worker-1');
  expect(pushed.code).not.toBe(0);
  expect(pushed.stderr).toContain(
    'remote: multinic: refused node/worker-1 (SubjectSaysNo): worker says ?[31m1400',
  );
  expect(pushed.stderr).toContain('remote: multinic:   change the subject: git commit --amend');
  expect(await server.store.reader.ref(NODE_REF)).toBe(before);
});
