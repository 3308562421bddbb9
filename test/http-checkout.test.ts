import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkout } from '../src/agent/checkout.ts';
import { Batch } from '../src/store/batch.ts';
import { NODE_REF, OTHER_REF, startServer, TOKENS } from './support/http.ts';
import type { TestServer } from './support/http.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const request = (changes: Partial<Parameters<typeof checkout>[0]> = {}) => ({
  url: `${server.server.url}/git`,
  token: TOKENS.node,
  ref: NODE_REF,
  timeoutMs: 10_000,
  ...changes,
});

test('brings the tip and every file with its mode', async () => {
  const { tip, entries, bytes } = await checkout(request());
  expect(tip).toBe(await server.store.reader.ref(NODE_REF));
  expect(Object.fromEntries(entries)).toEqual({
    'node.yaml': { mode: '100644', content: 'name: worker-1\n' },
    'etc/mtu': { mode: '100644', content: '1500\n' },
  });
  expect(bytes).toBeLessThan(5 * 1024);
});
