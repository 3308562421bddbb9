// The web UI's server half in a local home: the pages, the stream of live data, and the proxy of `multinic ui`.

import { request } from 'node:http';
import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalRun, NODES } from './support/local.ts';
import { liveLines, ProxyClient, startUi, type UiRun } from './support/ui.ts';

let local: LocalRun;
beforeAll(async () => {
  local = await LocalRun.start();
});
afterAll(() => local[Symbol.asyncDispose]());

describe('the pages', () => {
  test('need no token, load nothing from elsewhere, and run no text', async () => {
    const response = await fetch(`${local.url}/ui/`);
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('<script type="module" src="ui.js">');
    const policy = response.headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain('unsafe');
  });

  test('are found without the slash, and nothing else is', async () => {
    expect((await fetch(`${local.url}/ui`)).url).toBe(`${local.url}/ui/`);
    for (const path of ['/ui/ui.js.map', '/ui/../tokens.yaml', '/ui/%2e%2e/tokens.yaml'])
      expect([path, (await fetch(`${local.url}${path}`)).status]).toEqual([path, 404]);
  });

  test('have at most 120 KB of script', async () => {
    const script = await readFile(join(import.meta.dirname, '../dist/ui/ui.js'));
    expect(gzipSync(script, { level: 9 }).length).toBeLessThan(120_000);
  });
});

describe('the stream', () => {
  test('says who asks, then what there is, then what changes', async () => {
    const lines = await liveLines(local);
    const hello = await lines.next();
    expect(hello).toMatchObject({
      frame: 'hello',
      fresh: true,
      canPause: true,
      principal: { name: 'operator', role: 'write' },
    });
    const first = await lines.next();
    const { items } = first as unknown as { items: { kind: string; value: { node?: string } }[] };
    expect(items.flatMap(({ kind, value }) => (kind === 'node' ? value.node : []))).toEqual([...NODES]);
    await local.run('rollback', NODES[0], '--yes');
    let seen: unknown;
    while (seen === undefined) {
      const frame = (await lines.next()) as { items?: { value: { node?: string; held?: boolean } }[] };
      seen = frame.items?.find(({ value }) => value.node === NODES[0] && value.held);
    }
    lines.end();
    await local.run('release', NODES[0]);
    await local.settled();
  });

  test('goes on from a place, and begins anew from a place that means nothing', async () => {
    const lines = await liveLines(local);
    const { epoch } = await lines.next();
    const { place } = await lines.next();
    lines.end();
    const again = await liveLines(local, `${String(epoch)}:${String(place)}`);
    expect(await again.next()).toMatchObject({ fresh: false });
    expect(await again.next()).toMatchObject({ items: [], gone: [] });
    again.end();
    for (const since of ['other:1', `${String(epoch)}:999999`, `${String(epoch)}:-1`, 'nonsense']) {
      const anew = await liveLines(local, since);
      expect([since, await anew.next()]).toMatchObject([since, { fresh: true }]);
      anew.end();
    }
  });

  test("is not a node's to read", async () => {
    const nodeToken = /k8s-worker-01: (\S+)/.exec(await readFile(join(local.dir, 'tokens.yaml'), 'utf8'))![1];
    const response = await fetch(`${local.url}/api/v1/live`, {
      headers: { authorization: `Bearer ${nodeToken}` },
    });
    expect(response.status).toBe(403);
  });
});

/** Posts a command of node 2 past the proxy. @returns the status */
const post = async (headers: Record<string, string>): Promise<number> => {
  const response = await fetch(`${local.url}/api/v1/nodes/${NODES[1]}/retry`, {
    method: 'POST',
    body: '{"dryRun":true}',
    headers: { authorization: `Bearer ${await local.token()}`, ...headers },
  });
  return response.status;
};

describe('a command by a page of another site', () => {
  test('is refused, even if something before the controller adds the token', async () => {
    expect(await post({ origin: 'https://evil.example' })).toBe(403);
    expect(await post({ origin: 'null' })).toBe(403);
    expect(await post({ origin: 'https://evil.example', 'x-multinic-ui': '1' })).toBe(403);
    expect(await post({ origin: local.url })).toBe(403);
  });
  test('is taken of the own page, and of programs', async () => {
    expect(await post({ origin: local.url, 'x-multinic-ui': '1' })).toBe(200);
    expect(await post({})).toBe(200);
  });
});

describe('the proxy of multinic ui', () => {
  let ui: UiRun;
  let client: ProxyClient;
  beforeAll(async () => {
    ui = await startUi(local.dir);
    client = new ProxyClient(ui);
  });
  afterAll(() => ui[Symbol.asyncDispose]());

  test('answers nobody who has not opened the link', async () => {
    expect((await client.ask('/status')).status).toBe(401);
    expect((await client.signIn('wrong')).status).toBe(401);
    const { way } = (await (await fetch(new URL('session.json', ui.page))).json()) as { way: string };
    expect(way).toBe('closed');
  });

  test('takes the secret of the link once', async () => {
    const response = await client.signIn();
    expect(response.status).toBe(200);
    const cookie = response.headers.get('set-cookie')!;
    expect(cookie).toMatch(/; HttpOnly/);
    expect(cookie).toMatch(/; SameSite=Strict/);
    // Any port of this host would get a cookie of the path /.
    expect(cookie).toMatch(/; Path=\/[0-9a-f]{32}\/;/);
    expect((await new ProxyClient(ui).signIn()).status).toBe(401);
  });

  test('answers the browser that has the cookie', async () => {
    const response = await client.ask('/status');
    expect(response.status).toBe(200);
    expect(((await response.json()) as { nodes: unknown[] }).nodes).toHaveLength(3);
    expect((await client.ask(`/nodes/${NODES[1]}/retry`, { method: 'POST' })).status).toBe(200);
  });

  test.each([
    ['without the cookie', { cookie: undefined }, 401],
    ['with another cookie', { cookie: 'multinic-ui-00000000=x' }, 401],
    ['without the header of the UI', { 'x-multinic-ui': undefined }, 401],
    ['from a page of another site', { origin: 'https://evil.example' }, 403],
    ['from another port of this host', { origin: 'http://127.0.0.1:1' }, 403],
    ['from a page that hides its origin', { origin: 'null' }, 403],
    ['that a browser calls cross-site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['that a browser calls same-site', { 'sec-fetch-site': 'same-site' }, 403],
  ])('refuses a request %s', async (_, headers, status) => {
    expect((await client.ask('/status', { headers })).status).toBe(status);
    expect((await client.ask(`/nodes/${NODES[1]}/retry`, { method: 'POST', headers })).status).toBe(status);
  });

  test('refuses a command that does not say where it comes from', async () => {
    const response = await client.ask(`/nodes/${NODES[1]}/retry`, {
      method: 'POST',
      headers: { origin: undefined },
    });
    expect(response.status).toBe(403);
  });

  test.each(['evil.example', 'localhost', '[::1]'])('refuses the host name %s', async (host) => {
    const { port, pathname } = ui.link;
    const asked = request({ host: '127.0.0.1', port, path: pathname, headers: { host: `${host}:${port}` } });
    asked.end();
    const [{ statusCode }] = (await once(asked, 'response')) as [{ statusCode: number }];
    expect(statusCode).toBe(421);
  });

  test('forwards git, other paths and other methods to nobody', async () => {
    const base = new URL('..', ui.page);
    for (const path of ['git/info/refs?service=git-upload-pack', 'healthz', 'api/v2/status', ''])
      expect([
        path,
        (await fetch(new URL(path, base), { headers: { cookie: client.cookie! } })).status,
      ]).toEqual([path, 401]);
    expect((await client.ask('/nodes/x/host-tree', { method: 'PUT' })).status).toBe(403);
  });

  test('shows the token to nobody', async () => {
    const token = await local.token();
    const log = await readFile(join(local.dir, 'controller.log'), 'utf8');
    for (const text of [ui.output(), ui.link.href, log]) expect(text).not.toContain(token);
    const answers = [await client.ask('/status'), await client.ask('/version')];
    for (const answer of answers) expect(await answer.text()).not.toContain(token);
  });

  test('goes on when the controller starts again elsewhere', async () => {
    await local.restart();
    let response = await client.ask('/version');
    if (response.status === 502) response = await client.ask('/version');
    expect(response.status).toBe(200);
  });
});
