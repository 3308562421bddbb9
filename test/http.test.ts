import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { MultinicError } from '../src/api/errors.ts';
import { Batch } from '../src/store/model/batch.ts';
import type { Route } from '../src/store/http/routes.ts';
import { FLUSH, pkt } from '../src/store/http/pktline.ts';
import { clone, git, NODE_REF, OTHER_REF, request, startServer, TOKENS } from './support/http.ts';
import type { TestServer } from './support/http.ts';

const routes: Route[] = [
  {
    method: 'GET',
    pattern: '/nodes/:node',
    role: 'read',
    handle: async ({ params, query }) => ({ ...params, ...query }),
  },
  {
    method: 'POST',
    pattern: '/nodes/:node/rollback',
    role: 'write',
    handle: async ({ body, principal }) => ({
      ...z.strictObject({ to: z.string() }).parse(body),
      by: principal.name,
    }),
  },
  {
    method: 'POST',
    pattern: '/refuse',
    role: 'write',
    handle: () =>
      Promise.reject(new MultinicError('NothingToRollBack', 'there is no older network: use --to')),
  },
  {
    method: 'POST',
    pattern: '/crash',
    role: 'write',
    handle: () => Promise.reject(new TypeError('/etc/secret')),
  },
  { method: 'DELETE', pattern: '/nodes/:node', role: 'write', handle: async () => undefined },
];
let server: TestServer;

beforeAll(async () => {
  server = await startServer({ routes });
});
afterAll(() => server.close());

const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});

/** Body of a fetch of the node's own tip, with further lines. */
async function probe(said: Buffer[], had: Buffer[] = []) {
  const tip = (await server.store.reader.ref(NODE_REF))!;
  const wants = pkt(`want ${tip} multi_ack_detailed side-band-64k thin-pack ofs-delta\n`);
  const body = Buffer.concat([wants, ...said, FLUSH, ...had, pkt('done\n')]);
  return request(server, '/git/git-upload-pack', { method: 'POST', token: TOKENS.node, body });
}

async function blob(ref: string, path: string): Promise<string | undefined> {
  const listing = await server.store.reader.list((await server.store.reader.ref(ref))!);
  return listing.get(path)?.oid;
}

async function tree(ref: string): Promise<string> {
  return (await server.store.reader.commit((await server.store.reader.ref(ref))!)).tree;
}

const post = (path: string, body: string, token = TOKENS.write) =>
  request(server, `/api/v1${path}`, { method: 'POST', token, body });

describe('health', () => {
  test('needs no token and is JSON', async () => {
    const { status, text, headers } = await request(server, '/healthz');
    expect([status, JSON.parse(text)]).toEqual([200, { status: 'healthy' }]);
    expect(headers.get('content-type')).toBe('application/json');
  });

  test('is 503 when the server is not healthy', async () => {
    const ill = await startServer({ health: () => ({ status: 'fenced' }) });
    try {
      expect((await request(ill, '/healthz')).status).toBe(503);
    } finally {
      await ill.close();
    }
  });
});

describe('tokens', () => {
  const ADVERTISEMENT = '/git/info/refs?service=git-upload-pack';
  test.each([
    ['none', {}],
    ['unknown', { authorization: 'Bearer nobody' }],
    ['empty', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: `Digest ${TOKENS.read}` }],
    ['as user name', basic(TOKENS.read, '')],
    ['a prefix', { authorization: `Bearer ${TOKENS.read.slice(0, -1)}` }],
  ])('%s: 401, and git is told to ask', async (_, headers) => {
    const { status, headers: answered, text } = await request(server, ADVERTISEMENT, { headers });
    expect(status).toBe(401);
    expect(answered.get('www-authenticate')).toBe('Basic realm="multinic"');
    expect(text).toMatch(/token/);
    const api = await request(server, '/api/v1/nodes/a', { headers });
    expect([api.status, JSON.parse(api.text).code]).toEqual([401, 'Unauthorized']);
  });

  test.each([
    ['bearer', { authorization: `Bearer ${TOKENS.read}` }],
    ['a password, whatever the user', basic('anyone', TOKENS.read)],
  ])('as %s: taken', async (_, headers) => {
    expect((await request(server, ADVERTISEMENT, { headers })).status).toBe(200);
  });

  test('a bad one ends a clone with our message', async () => {
    const { code, stderr } = await git(server.folder, 'clone', server.remote('nobody'), 'nobody');
    expect(code).not.toBe(0);
    expect(stderr).toContain('remote: this token is not known: ask the operator');
  });
});

describe('what a reader sees', () => {
  test("git clone and git log -p show a node's history; refs/meta stays hidden", async () => {
    const copy = await clone(server, TOKENS.read, 'read');
    const { stdout } = await git(copy, 'log', '-p', '--format=%s', 'origin/node/worker-1');
    expect(stdout).toContain('worker-1: add multinic0');
    expect(stdout).toContain('+1500');
    const refs = (await git(copy, 'ls-remote', 'origin')).stdout
      .split('\n')
      .map((line) => line.split('\t')[1]);
    expect(refs).toEqual([
      'HEAD',
      'refs/heads/main',
      NODE_REF,
      OTHER_REF,
      'refs/heads/outcome/worker-1',
      'refs/heads/outcome/worker-2',
    ]);
    expect((await git(copy, 'fetch', 'origin', 'node/worker-2')).code).toBe(0);
  });

  test.each(['0', '1', '2'])('over protocol version %s', async (version) => {
    const { stdout, code } = await git(
      server.folder,
      '-c',
      `protocol.version=${version}`,
      'ls-remote',
      server.remote(TOKENS.read),
    );
    expect(code).toBe(0);
    expect(stdout).toContain(NODE_REF);
    expect(stdout).not.toContain('refs/meta');
  });

  test('/git, /git/ and /git/multinic.git are the same repository', async () => {
    const heads = await Promise.all(
      ['', '/', '/multinic.git', '/multinic.git/'].map(async (end) => {
        const { stdout } = await git(
          server.folder,
          'ls-remote',
          `${server.remote(TOKENS.read)}${end}`,
          'HEAD',
        );
        return stdout;
      }),
    );
    expect(new Set(heads).size).toBe(1);
    expect(heads[0]).toMatch(/^[0-9a-f]{40}\tHEAD$/);
  });

  test('may not push, and is refused before git sends objects', async () => {
    const copy = await clone(server, TOKENS.read, 'read-push');
    await git(copy, 'checkout', '-q', 'node/worker-1');
    await git(copy, 'commit', '-q', '--allow-empty', '-m', 'mine');
    const { code, stderr } = await git(copy, 'push', 'origin', 'node/worker-1');
    expect(code).not.toBe(0);
    expect(stderr).toContain('remote: reader may only read: push with a token that has the role write');
  });
});

/** Sends a fetch of one object, also of an object that was not advertised. */
async function want(token: string, oid: string, version: '0' | '1' | '2', method = 'bearer') {
  const v2 = Buffer.concat([
    pkt('command=fetch\n'),
    pkt('agent=git/2.39\n'),
    Buffer.from('0001'),
    pkt('ofs-delta\n'),
    pkt(`want ${oid}\n`),
    pkt('done\n'),
    FLUSH,
  ]);
  const v0 = Buffer.concat([
    pkt(`want ${oid} side-band-64k ofs-delta agent=git/2.39\n`),
    FLUSH,
    pkt('done\n'),
  ]);
  return request(server, '/git/git-upload-pack', {
    method: 'POST',
    headers: {
      'content-type': 'application/x-git-upload-pack-request',
      ...(version === '0' ? {} : { 'git-protocol': `version=${version}` }),
      authorization:
        method === 'bearer' ? `Bearer ${token}` : `Basic ${Buffer.from(`git:${token}`).toString('base64')}`,
    },
    body: version === '2' ? v2 : v0,
  });
}

describe('what a node sees', () => {
  test('its own branch, no other, no HEAD', async () => {
    for (const version of ['0', '1', '2']) {
      const { text } = await request(server, '/git/info/refs?service=git-upload-pack', {
        token: TOKENS.node,
        headers: { 'git-protocol': `version=${version}` },
      });
      const tip = await server.store.reader.ref(NODE_REF);
      expect(text.match(/[0-9a-f]{40} [^\0\n]+/g)).toEqual([`${tip} ${NODE_REF}`]);
    }
  });

  test('its tip can be fetched, by plain git too', async () => {
    const tip = (await server.store.reader.ref(NODE_REF))!;
    expect((await want(TOKENS.node, tip, '0')).text).toContain('PACK');
    const { code } = await git(
      server.folder,
      'clone',
      '-q',
      '-b',
      'node/worker-1',
      server.remote(TOKENS.node),
      'own',
    );
    expect(code).toBe(0);
  });

  const objects: [what: string, find: () => Promise<string | undefined>][] = [
    ['the tip of main', () => server.store.reader.ref('refs/heads/main')],
    ['the tip of another node', () => server.store.reader.ref(OTHER_REF)],
    ['its own outcome', () => server.store.reader.ref('refs/heads/outcome/worker-1')],
    ['the writer', () => server.store.reader.ref('refs/meta/writer')],
    ['a file of another node', () => blob(OTHER_REF, 'node.yaml')],
    ['a file of its own, by name', () => blob(NODE_REF, 'node.yaml')],
    ['a tree of another node', () => tree(OTHER_REF)],
  ];
  const cases = objects.flatMap(([what, find]) =>
    (['0', '1', '2'] as const).map((version) => [what, version, find] as const),
  );
  test.each(objects)(
    '%s, wanted by a reader over version 2: sent, so it is there to be refused',
    async (_, find) => {
      expect((await want(TOKENS.read, (await find()) ?? '', '2', 'basic')).text).toContain('PACK');
    },
  );
  test.each(cases)('%s, wanted by id over version %s: refused', async (_, version, find) => {
    const oid = (await find()) ?? '';
    expect(oid).toMatch(/^[0-9a-f]{40}$/);
    const { text } = await want(TOKENS.node, oid, version);
    expect(text).not.toContain('PACK');
  });

  test('a `have` gets no answer, so a node cannot ask which objects exist', async () => {
    const other = (await server.store.reader.ref(OTHER_REF))!;
    const { text } = await probe([], [pkt(`have ${other}\n`)]);
    expect(text).toContain('PACK');
    expect(text).not.toContain('ACK '.concat(other));
  });

  test.each([['deepen-not refs/heads/main'], ['deepen-since 1'], ['filter blob:none'], ['want 0000']])(
    '%s: refused',
    async (line) => {
      expect((await probe([pkt(`${line}\n`)])).status).toBe(403);
    },
  );

  test("shallow at its own commit is accepted, at another node's commit refused", async () => {
    const own = (await server.store.reader.ref(NODE_REF))!;
    const other = (await server.store.reader.ref(OTHER_REF))!;
    expect((await probe([pkt(`shallow ${own}\n`), pkt('deepen 1\n')])).status).toBe(200);
    expect((await probe([pkt(`shallow ${other}\n`)])).status).toBe(403);
  });

  test('fetches again with plain git after its branch has moved', async () => {
    const copy = await clone(server, TOKENS.node, 'again');
    const tip = (await server.store.reader.ref(NODE_REF))!;
    const batch = new Batch();
    const next = batch.commit({
      parents: [tip],
      files: new Map([['etc/mtu', '1400\n']]),
      author: { name: 'Tester', email: 'tester@example.org' },
      subject: 'worker-1: MTU 1400',
      trailers: [],
    });
    batch.move(NODE_REF, next, tip);
    const [moved] = await server.store.write(batch);
    // A node may still want the old tip, which was advertised before.
    expect((await want(TOKENS.node, tip, '0')).text).toContain('PACK');
    expect((await git(copy, 'fetch', 'origin')).code).toBe(0);
    expect((await git(copy, 'rev-parse', 'origin/node/worker-1')).stdout).toBe(moved);
  });

  test('no push and no API', async () => {
    for (const [path, method] of [
      ['/git/info/refs?service=git-receive-pack', 'GET'],
      ['/git/git-receive-pack', 'POST'],
      ['/git/git-receive-pack?service=git-upload-pack', 'POST'],
      ['/api/v1/nodes/worker-1', 'GET'],
    ] as const) {
      expect((await request(server, path, { method, token: TOKENS.node })).status).toBe(403);
    }
  });
});

describe('requests', () => {
  test('a gzipped body is read; a gzip bomb and a broken body are refused', async () => {
    const tip = (await server.store.reader.ref(NODE_REF))!;
    const body = Buffer.concat([pkt(`want ${tip} side-band-64k ofs-delta\n`), FLUSH, pkt('done\n')]);
    const post = (bytes: Buffer, encoding = 'gzip') =>
      request(server, '/git/git-upload-pack', {
        method: 'POST',
        token: TOKENS.read,
        headers: { 'content-encoding': encoding },
        body: bytes,
      });
    expect((await post(gzipSync(body))).text).toContain('PACK');
    expect((await post(gzipSync(Buffer.alloc(64 * 1024 * 1024)))).status).toBe(413);
    expect((await post(body)).status).toBe(400);
    expect((await post(body, 'br')).status).toBe(415);
  });

  test.each([
    ['GET', '/git/info/refs', 403],
    ['GET', '/git/info/refs?service=git-upload-archive', 403],
    ['GET', '/git/HEAD', 404],
    ['GET', '/git/../git/objects/info/packs', 404],
    ['GET', '/git/git-upload-pack', 405],
    ['POST', '/git/info/refs?service=git-upload-pack', 405],
    ['GET', '/', 404],
    ['GET', '/api/v1/nothing', 404],
    ['PUT', '/api/v1/nodes/a', 405],
    ['POST', '/healthz', 405],
  ])('%s %s: %i', async (method, path, status) => {
    expect((await request(server, path, { method, token: TOKENS.write })).status).toBe(status);
  });

  test('a hostile Git-Protocol header does not reach git', async () => {
    const { status, text } = await request(server, '/git/info/refs?service=git-upload-pack', {
      token: TOKENS.read,
      headers: { 'git-protocol': 'version=2:x;touch /tmp/x' },
    });
    expect(status).toBe(200);
    expect(text).not.toContain('version 2');
  });

  test('a request line that is no URL gets an answer, and the server goes on', async () => {
    const { port } = new URL(server.server.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write('GET http://[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    expect(text).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect((await request(server, '/healthz')).status).toBe(200);
  });

  test('sixteen clones at once succeed, and leave no git process', async () => {
    const clones = await Promise.all(
      Array.from({ length: 16 }, (_, index) =>
        git(server.folder, 'clone', '-q', server.remote(TOKENS.read), `many-${index}`),
      ),
    );
    expect(clones.map(({ code, stderr }) => [code, stderr])).toEqual(clones.map(() => [0, '']));
  });
});

describe('the API', () => {
  test('gives a route its parameters, query, body and caller', async () => {
    const { text } = await request(server, '/api/v1/nodes/a%2Fb?x=1', { token: TOKENS.read });
    expect(JSON.parse(text)).toEqual({ node: 'a/b', x: '1' });
    const rolled = await post('/nodes/a/rollback', '{"to":"c"}');
    expect(JSON.parse(rolled.text)).toEqual({ to: 'c', by: 'alice' });
    expect((await request(server, '/api/v1/nodes/a', { method: 'DELETE', token: TOKENS.write })).status).toBe(
      204,
    );
  });

  test("a reader's token may not change anything", async () => {
    const { status, text } = await post('/nodes/a/rollback', '{"to":"c"}', TOKENS.read);
    expect([status, JSON.parse(text).code]).toEqual([403, 'Forbidden']);
  });

  test('bad input names its field', async () => {
    const { status, text } = await post('/nodes/a/rollback', '{"to":1}');
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ code: 'InvalidRequest', data: { problems: [{ path: 'to' }] } });
    expect((await post('/nodes/a/rollback', '{')).status).toBe(400);
    expect((await post('/nodes/a/rollback', 'x'.repeat(2 ** 21))).status).toBe(413);
  });

  test('a refusal has its code and remedy; the answer to a defect has no detail', async () => {
    const refused = await post('/refuse', '');
    expect([refused.status, JSON.parse(refused.text)]).toEqual([
      422,
      { code: 'NothingToRollBack', message: 'there is no older network: use --to', data: {} },
    ]);
    const crashed = await post('/crash', '');
    expect(crashed.status).toBe(500);
    expect(crashed.text).not.toContain('/etc/secret');
  });
});
