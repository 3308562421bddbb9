import { authority, leaf } from './support/authority.ts';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkout } from '../src/agent/fetch/checkout.ts';
import { parseOid } from '../src/api/oid.ts';
import { pkt } from '../src/store/http/pktline.ts';
import { selfSigned } from './support/certificate.ts';
import { clone, git, NODE_REF, OTHER_REF, startServer, TOKENS } from './support/http.ts';
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

test('a checkout has the tip and every file with its mode, in a few kilobytes', async () => {
  const { tip, entries, bytes } = await checkout(request());
  expect(tip).toBe(await server.store.reader.ref(NODE_REF));
  expect(Object.fromEntries(entries)).toEqual({
    'node.yaml': { mode: '100644', content: 'name: worker-1\n' },
    'etc/mtu': { mode: '100644', content: '1500\n' },
  });
  expect(bytes).toBeLessThan(5 * 1024);
});

test('a checkout has only the newest commit, and the modes of links and executables', async () => {
  const copy = await clone(server, TOKENS.write, 'links');
  await git(copy, 'checkout', '-q', 'node/worker-2');
  const file = (await git(copy, 'rev-parse', 'HEAD:etc/mtu')).stdout;
  const commit = (await git(copy, 'rev-parse', 'HEAD')).stdout;
  await git(copy, 'update-index', '--add', '--cacheinfo', `100755,${file},run`);
  await git(copy, 'update-index', '--add', '--cacheinfo', `120000,${file},link`);
  await git(copy, 'update-index', '--add', '--cacheinfo', `160000,${commit},module`);
  await git(copy, 'commit', '-qm', 'hostile modes');
  expect((await git(copy, 'push', 'origin', 'node/worker-2')).code).toBe(0);
  const { entries } = await checkout(request({ token: TOKENS.other, ref: OTHER_REF }));
  expect([...entries].map(([path, { mode }]) => [path, mode])).toEqual([
    ['etc/mtu', '100644'],
    ['link', '120000'],
    ['module', '160000'],
    ['node.yaml', '100644'],
    ['run', '100755'],
  ]);
});

test('a checkout can have an earlier commit of its branch, and none of another branch', async () => {
  const copy = await clone(server, TOKENS.write, 'earlier');
  await git(copy, 'checkout', '-q', 'node/worker-1');
  const commit = parseOid((await git(copy, 'rev-parse', 'HEAD')).stdout);
  const other = parseOid((await git(copy, 'rev-parse', 'origin/node/worker-2')).stdout);
  if (commit === undefined || other === undefined) throw new Error('git names no commit');
  await writeFile(join(copy, 'etc/mtu'), '1400\n');
  await git(copy, 'commit', '-qam', 'a later commit');
  expect((await git(copy, 'push', 'origin', 'node/worker-1')).code).toBe(0);
  const { tip, entries } = await checkout(request({ commit }));
  expect(tip).toBe(commit);
  expect(entries.get('etc/mtu')?.content).toBe('1500\n');
  await expect(checkout(request({ commit: other }))).rejects.toMatchObject({ code: 'Unauthorized' });
});

describe('the error names its cause:', () => {
  test.each([
    ['a bad token', { token: 'nobody' }, 'Unauthorized'],
    ["another node's branch", { ref: OTHER_REF }, 'NotFound'],
    ['another path', { url: 'no-store' }, 'NotFound'],
    ['nobody there', { url: 'closed' }, 'StoreUnreachable'],
  ])('%s', async (_, changes, code) => {
    const { url } = changes as { url?: string };
    const named = { 'no-store': `${server.server.url}/other`, closed: 'http://127.0.0.1:1/git' }[url ?? ''];
    await expect(
      checkout(request({ ...changes, ...(named === undefined ? {} : { url: named }) })),
    ).rejects.toMatchObject({ code });
  });

  test('a store that does not answer', async () => {
    await withServer(
      () => undefined,
      async (url) => {
        await expect(checkout(request({ url, timeoutMs: 300 }))).rejects.toMatchObject({
          code: 'StoreUnreachable',
          message: expect.stringContaining('300 ms'),
        });
      },
    );
  });

  test('a branch of a node that has none yet', async () => {
    const empty = await startServer({
      authenticate: async () => ({ name: 'node worker-9', role: 'node', node: 'worker-9' }),
    });
    try {
      await expect(
        checkout(request({ url: `${empty.server.url}/git`, ref: 'refs/heads/node/worker-9' })),
      ).rejects.toMatchObject({ code: 'NotFound' });
    } finally {
      await empty.close();
    }
  });

  test.each([
    ['a refused want', 'ERR upload-pack: not our ref'],
    ['an empty answer', undefined],
  ])('%s is an error, not an empty checkout', async (_, line) => {
    const tip = 'a'.repeat(40);
    const advertisement = Buffer.concat([
      pkt('# service=git-upload-pack\n'),
      Buffer.from('0000'),
      pkt(`${tip} ${NODE_REF}\0shallow side-band-64k ofs-delta symref=HEAD:refs/heads/main\n`),
      Buffer.from('0000'),
    ]);
    await withServer(
      (message, response) => {
        const service = 'application/x-git-upload-pack';
        if (message.method === 'GET')
          response.setHeader('content-type', `${service}-advertisement`).end(advertisement);
        else response.setHeader('content-type', `${service}-result`).end(line === undefined ? '' : pkt(line));
      },
      async (url) => {
        await expect(checkout(request({ url }))).rejects.toMatchObject({ code: 'CheckoutBroken' });
      },
    );
  });

  test.each([
    ['a file that is too large', 1, 64 * 1024 + 1],
    ['too many files', 257, 1],
  ])('%s', async (what, count, size) => {
    const copy = await clone(server, TOKENS.write, what.replaceAll(' ', '-'));
    await git(copy, 'checkout', '-q', 'node/worker-2');
    for (let index = 0; index < count; index += 1)
      await writeFile(join(copy, `file-${index}`), 'x'.repeat(size));
    await git(copy, 'add', '.');
    await git(copy, 'commit', '-qm', what);
    expect((await git(copy, 'push', 'origin', 'node/worker-2')).code).toBe(0);
    await expect(checkout(request({ token: TOKENS.other, ref: OTHER_REF }))).rejects.toMatchObject({
      code: 'TreeTooLarge',
    });
    await git(copy, 'rm', '-qf', 'file-*');
    await git(copy, 'commit', '-qm', 'away with them');
    expect((await git(copy, 'push', 'origin', 'node/worker-2')).code).toBe(0);
  });
});

test('over TLS, only the given CA is trusted', async () => {
  const tls = await selfSigned('127.0.0.1');
  const secure = await startServer({ tls });
  try {
    const url = `${secure.server.url}/git`;
    expect(url).toMatch(/^https:/);
    const { tip } = await checkout(request({ url, ca: tls.cert }));
    expect(tip).toBe(await secure.store.reader.ref(NODE_REF));
    await expect(checkout(request({ url }))).rejects.toMatchObject({
      code: 'StoreUnreachable',
      message: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_VERIFY/),
    });
  } finally {
    await secure.close();
  }
});

test('a URL with an address works with a certificate that has only a name', async () => {
  const root = await authority('root');
  const secure = await startServer({ tls: await leaf('multinic-agent-store.ns.svc', root, 1) });
  try {
    const url = `${secure.server.url}/git`;
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:/);
    const asked = request({ url, ca: root.pem, serverName: 'multinic-agent-store.ns.svc' });
    expect((await checkout(asked)).tip).toBe(await secure.store.reader.ref(NODE_REF));
    for (const serverName of ['elsewhere.ns.svc', undefined]) {
      await expect(
        checkout(request({ url, ca: root.pem, ...(serverName !== undefined && { serverName }) })),
      ).rejects.toMatchObject({ code: 'StoreUnreachable', message: expect.stringMatching(/ALTNAME/) });
    }
  } finally {
    await secure.close();
  }
});

async function withServer(listener: RequestListener, use: (url: string) => Promise<void>): Promise<void> {
  const fake = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => fake.once('listening', resolve));
  try {
    await use(`http://127.0.0.1:${(fake.address() as AddressInfo).port}/git`);
  } finally {
    fake.closeAllConnections();
    fake.close();
  }
}
