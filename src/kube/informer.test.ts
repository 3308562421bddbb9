import type { ServerResponse } from 'node:http';
import pino from 'pino';
import { expect, test, vi } from 'vitest';
import { apiServer } from '../../test/support/kube.ts';
import { Informer } from './informer.ts';

const log = pino({ level: 'silent' });
const timing = { backoffBase: 10, backoffMax: 40, watch: 60_000, silence: 60_000 };

interface Thing {
  readonly name: string;
  readonly value: number;
}

const object = (name: string, value: number, resourceVersion = '1') => ({
  metadata: { name, resourceVersion },
  value,
});
/** Objects with a value below 0 are left out. */
const project = (raw: object): Thing | undefined => {
  const { metadata, value } = raw as ReturnType<typeof object>;
  return value < 0 ? undefined : { name: metadata.name, value };
};
const line = (response: ServerResponse, type: string, what: object) =>
  response.write(`${JSON.stringify({ type, object: what })}\n`);

/** An API server whose lists and watches are given one after the other; the last of each stays. */
async function scripted(script: {
  list: ((response: ServerResponse, url: URL) => void)[];
  watch?: ((response: ServerResponse, url: URL) => void)[];
  log?: pino.Logger;
}) {
  const urls: URL[] = [];
  const server = await apiServer((_, response, url) => {
    urls.push(url);
    const kind = url.searchParams.get('watch') === 'true' ? (script.watch ?? []) : script.list;
    const answer = kind.length > 1 ? kind.shift()! : kind[0];
    if (answer === undefined) response.writeHead(200).flushHeaders();
    else answer(response, url);
  });
  const keys: string[] = [];
  const informer = new Informer<Thing>({
    client: server.client,
    path: '/api/v1/things',
    project,
    changed: (key) => {
      keys.push(key);
      if (key === 'throws') throw new Error('a handler');
    },
    log: script.log ?? log,
    timing,
  });
  informer.start();
  return {
    informer,
    keys,
    urls,
    watches: () => urls.filter((url) => url.searchParams.get('watch') === 'true'),
    [Symbol.asyncDispose]: async () => {
      await informer.stop();
      await server[Symbol.asyncDispose]();
    },
  };
}

const list =
  (items: object[], metadata: object = { resourceVersion: '10' }) =>
  (response: ServerResponse): void =>
    void response.end(JSON.stringify({ metadata, items }));
const never = AbortSignal.timeout(10_000);

test('lists in pages, then takes events from where the list ended; bookmarks are asked for', async () => {
  await using run = await scripted({
    list: [
      list([object('a', 1)], { resourceVersion: '10', continue: 'more' }),
      list([object('b', 2)], { resourceVersion: '10' }),
    ],
    watch: [
      (response) => {
        line(response, 'MODIFIED', object('a', 3, '11'));
        line(response, 'ADDED', object('throws', 4, '12'));
        line(response, 'DELETED', object('b', 2, '13'));
        line(response, 'BOOKMARK', { metadata: { resourceVersion: '20' } });
      },
    ],
  });
  await run.informer.synced(never);
  await vi.waitFor(() => expect(run.informer.get('b')).toBeUndefined());
  expect(run.informer.list()).toEqual([
    { name: 'a', value: 3 },
    { name: 'throws', value: 4 },
  ]);
  expect(run.informer.list()).toBe(run.informer.list());
  expect(run.urls[1]!.searchParams.get('continue')).toBe('more');
  expect(run.watches()[0]!.searchParams.get('resourceVersion')).toBe('10');
  expect(run.watches()[0]!.searchParams.get('allowWatchBookmarks')).toBe('true');
  expect(run.informer.complete).toBe(true);
});

test('an object that has no projection is not kept, nor any more', async () => {
  await using run = await scripted({
    list: [list([object('a', -1), object('b', 2)])],
    watch: [(response) => void line(response, 'MODIFIED', object('b', -1, '11'))],
  });
  await run.informer.synced(never);
  await vi.waitFor(() => expect(run.informer.list()).toEqual([]));
  expect(run.keys).not.toContain('a');
  expect(run.keys.filter((key) => key === 'b')).toHaveLength(2);
});

test('a watch that the server ends goes on from the last bookmark, without a list', async () => {
  await using run = await scripted({
    list: [list([])],
    watch: [
      (response) => {
        line(response, 'BOOKMARK', { metadata: { resourceVersion: '42' } });
        response.end();
      },
      (response) => void response.writeHead(200).flushHeaders(),
    ],
  });
  await vi.waitFor(() => expect(run.watches()).toHaveLength(2));
  expect(run.watches()[1]!.searchParams.get('resourceVersion')).toBe('42');
  expect(run.urls).toHaveLength(3);
});

test.each([
  ['in the stream', (response: ServerResponse) => line(response, 'ERROR', { code: 410, message: 'too old' })],
  ['as an answer', (response: ServerResponse) => response.writeHead(410).end('{}')],
])(
  'a watch that has expired (%s) is a new list, and objects missing from it are reported',
  async (_, expire) => {
    await using run = await scripted({
      list: [list([object('a', 1), object('b', 1)]), list([object('b', 1)])],
      watch: [(response) => void expire(response), (response) => void response.writeHead(200).flushHeaders()],
    });
    await vi.waitFor(() => expect(run.informer.get('a')).toBeUndefined());
    await vi.waitFor(() => expect(run.watches()).toHaveLength(2));
    expect(run.keys).toContain('a');
    expect(run.informer.complete).toBe(true);
  },
);

test('a watch that ends in silence, as that of Events does, is a sign of life', async () => {
  await using server = await scripted({
    list: [(response) => response.end(JSON.stringify({ metadata: { resourceVersion: '5' }, items: [] }))],
    watch: [
      (response) => {
        response.writeHead(200).flushHeaders();
        setTimeout(() => response.end(), 20);
      },
    ],
  });
  await vi.waitFor(() => expect(server.watches().length).toBeGreaterThan(40), 10_000);
  expect(server.informer.staleMs).toBeLessThan(500);
  expect(server.urls.length - server.watches().length).toBe(1);
});

test('a list that fails says nothing: not complete, tried again', async () => {
  await using run = await scripted({
    list: [
      (response) => void response.writeHead(500).end('{}'),
      (response) => void response.destroy(),
      list([object('a', 1)]),
    ],
  });
  expect(run.informer.complete).toBe(false);
  await run.informer.synced(never);
  expect(run.informer.list()).toHaveLength(1);
});

const broken = (response: ServerResponse): void => void response.destroy();
const ends = (response: ServerResponse): void => void response.writeHead(200).end();

test('an outage is one line of the log, without a stack, and its end another', async () => {
  const lines: string[] = [];
  await using run = await scripted({
    log: pino({ level: 'info' }, { write: (text: string) => void lines.push(text) }),
    list: [list([object('a', 1)])],
    watch: [...Array.from({ length: 5 }, () => broken), ends],
  });
  await vi.waitFor(() => expect(run.watches().length).toBeGreaterThan(7));
  expect(lines.map((text) => (JSON.parse(text) as { msg: string }).msg)).toEqual([
    'watch broken off: trying again',
    'the watch works again',
  ]);
  expect(lines.join('')).not.toContain('stack');
});

test('a resource that the API does not have is absent, never empty and complete', async () => {
  await using run = await scripted({ list: [(response) => void response.writeHead(404).end('{}')] });
  await run.informer.synced(never);
  expect(run.informer).toMatchObject({ absent: true, complete: false });
});

test('a watch that is silent for too long is cut', async () => {
  const urls: URL[] = [];
  await using server = await apiServer((_, response, url) => {
    urls.push(url);
    if (url.searchParams.get('watch') === 'true') response.writeHead(200).flushHeaders();
    else response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }));
  });
  const informer = new Informer<Thing>({
    client: server.client,
    path: '/api/v1/things',
    project,
    changed: () => undefined,
    log,
    timing: { ...timing, silence: 1_000 },
  });
  informer.start();
  await vi.waitFor(() => expect(urls.length).toBeGreaterThanOrEqual(3), { timeout: 8_000 });
  await informer.stop();
});
