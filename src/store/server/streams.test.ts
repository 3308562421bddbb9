import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { MultinicError } from '../../api/errors.ts';
import { errorJson } from '../http/routes.ts';
import { StreamAnswer } from '../http/stream-answer.ts';
import type { Principal } from '../model/store-port.ts';
import { Streams } from './streams.ts';

const READER: Principal = { name: 'reader', role: 'read' };
let server: Server;
let streams: Streams;
let ended = 0;
let made = 0;

afterEach(async () => {
  streams.close();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

async function start(
  values: (signal: AbortSignal) => AsyncGenerator<object>,
  authenticate: () => Promise<Principal> = async () => READER,
  checkedEveryMs = 60_000,
): Promise<string> {
  ended = 0;
  made = 0;
  streams = new Streams(pino({ enabled: false }), checkedEveryMs);
  const answer = new StreamAnswer(async function* (signal) {
    try {
      yield* values(signal);
    } finally {
      ended += 1;
    }
  });
  server = createServer((request, response) => {
    try {
      streams.open(request, response, answer, authenticate);
    } catch (error) {
      response.writeHead(503).end(JSON.stringify(errorJson(error)));
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** Random text that gzip cannot shorten. */
const NOISE = randomBytes(75_000).toString('base64');

/** Sends one value, and then waits for the end. */
async function* waits(signal: AbortSignal): AsyncGenerator<object> {
  yield { number: 1 };
  await once(signal, 'abort');
}

async function* endless(): AsyncGenerator<object> {
  for (;;) {
    made += 1;
    yield { number: made, text: NOISE };
    await pause(0);
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (holds()) return;
    await pause(10);
  }
  throw new Error('it did not come about');
}

test.each(['gzip', 'identity'])('a value arrives before the next one is made, with %s', async (encoding) => {
  const url = await start(waits);
  const response = await fetch(url, { headers: { 'accept-encoding': encoding } });
  expect(response.headers.get('content-encoding')).toBe(encoding === 'gzip' ? 'gzip' : null);
  const { value } = await response.body!.getReader().read();
  expect(new TextDecoder().decode(value)).toBe('{"number":1}\n');
});

test('the sixty-fifth stream is refused, and comes in when another one has ended', async () => {
  const url = await start(waits);
  // An answer that nobody holds is collected as garbage, and its stream ends.
  const held = await Promise.all(
    Array.from({ length: 64 }, async () => {
      const stop = new AbortController();
      return { stop, response: await fetch(url, { signal: stop.signal }) };
    }),
  );
  const refused = await fetch(url);
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({ code: 'Busy' });
  held[0]!.stop.abort();
  await until(() => ended === 1);
  expect((await fetch(url)).status).toBe(200);
  expect(held.map(({ response }) => response.status)).toEqual(Array.from({ length: 64 }, () => 200));
});

test('the stream of a reader whose right ends is over', async () => {
  let may = true;
  const judge = async (): Promise<Principal> => {
    if (may) return READER;
    throw new MultinicError('Unauthorized', 'this token is not known');
  };
  const url = await start(waits, judge, 20);
  const reader = (await fetch(url)).body!.getReader();
  await reader.read();
  await pause(60);
  expect(ended).toBe(0);
  may = false;
  expect(await reader.read()).toMatchObject({ done: true });
  await until(() => ended === 1);
});

test('the end of the server ends the streams', async () => {
  const url = await start(waits);
  const reader = (await fetch(url)).body!.getReader();
  await reader.read();
  streams.close();
  expect(await reader.read()).toMatchObject({ done: true });
  const again = await fetch(url);
  expect([again.status, again.headers.get('connection')]).toEqual([503, 'close']);
});

test.each(['gzip', 'identity'])(
  'a reader that never reads has few values made, with %s',
  async (encoding) => {
    const url = new URL(await start(endless));
    const sockets: Socket[] = [];
    for (let number = 0; number < 8; number += 1) {
      const socket = connect(Number(url.port), url.hostname);
      sockets.push(socket);
      socket.pause();
      socket.write(`GET / HTTP/1.1\r\nHost: ${url.host}\r\nAccept-Encoding: ${encoding}\r\n\r\n`);
    }
    await until(() => made >= 8);
    // Waits until the kernel's buffers are full.
    let before = 0;
    do {
      before = made;
      await pause(250);
    } while (made > before);
    expect(made / sockets.length).toBeLessThan(200);
    for (const socket of sockets) socket.destroy();
    await until(() => ended === 8);
  },
);
