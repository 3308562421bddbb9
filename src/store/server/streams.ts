// Streams of JSON lines to readers. A reader that does not read holds one line and a small buffer, never more.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import type { Logger } from 'pino';
import { MultinicError } from '../../api/errors.ts';
import { acceptsGzip } from '../http/page.ts';
import type { StreamAnswer } from '../http/stream-answer.ts';
import type { Principal } from '../model/store-port.ts';

const MAX_STREAMS = 64;
/** Interval at which the right of a reader is checked again. */
const CHECKED_EVERY_MS = 60_000;
/** Time in which a reader takes at least something of what waits for it. */
const STALLED_MS = 120_000;
/** Time in which a stream may end by itself, so that its reader sees no broken answer. */
const END_MS = 500;
/** A small window: sixty-four streams of the usual size would take 17 MB for their compression alone. */
const GZIP = { windowBits: 12, memLevel: 5, chunkSize: 4096, flush: constants.Z_SYNC_FLUSH } as const;

export class Streams {
  readonly #log: Logger;
  readonly #checkedEveryMs: number;
  readonly #open = new Set<AbortController>();
  #closed = false;

  constructor(log: Logger, checkedEveryMs = CHECKED_EVERY_MS) {
    this.#log = log;
    this.#checkedEveryMs = checkedEveryMs;
  }

  /**
   * Begins to send, and returns at once.
   * @param authenticate checks the token of the request again; it throws when the token is void
   * @throws MultinicError `Busy` when there are too many streams, and what the answer throws at its beginning
   */
  open(
    request: IncomingMessage,
    response: ServerResponse,
    answer: StreamAnswer,
    authenticate: () => Promise<Principal>,
  ): void {
    // Refuses a new stream during the shutdown, because the reader of an ended stream reconnects at once.
    if (this.#closed) {
      response.setHeader('Connection', 'close');
      throw new MultinicError('Busy', 'the controller is about to end: try again in a moment');
    }
    if (this.#open.size >= MAX_STREAMS)
      throw new MultinicError(
        'Busy',
        `${MAX_STREAMS} streams are open already: close other windows, or try again later`,
      );
    const controller = new AbortController();
    const values = answer.open(controller.signal);
    this.#open.add(controller);
    const check = setInterval(() => {
      authenticate().catch((error: unknown) => controller.abort(error));
    }, this.#checkedEveryMs);
    void this.#send(request, response, values, controller).finally(() => {
      clearInterval(check);
      this.#open.delete(controller);
    });
  }

  /** Ends all streams, and opens no other. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#open) controller.abort();
  }

  async #send(
    request: IncomingMessage,
    response: ServerResponse,
    values: AsyncGenerator<object>,
    controller: AbortController,
  ): Promise<void> {
    const zip = acceptsGzip(request);
    response.writeHead(200, {
      'Content-Type': 'application/x-ndjson',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
      'Cross-Origin-Resource-Policy': 'same-origin',
      ...(zip && { 'Content-Encoding': 'gzip' }),
    });
    response.setTimeout(STALLED_MS, () => controller.abort());
    const cut = new AbortController();
    const { signal } = controller;
    signal.addEventListener('abort', () => setTimeout(() => cut.abort(), END_MS).unref(), { once: true });
    // A reader that leaves before the first value is noticed by no write, so `close` is needed.
    response.once('close', () => controller.abort());
    const lines = Readable.from(linesOf(values), { objectMode: false, highWaterMark: 1 });
    try {
      if (zip) await pipeline(lines, createGzip(GZIP), response, { signal: cut.signal });
      else await pipeline(lines, response, { signal: cut.signal });
    } catch (error) {
      this.#log.debug({ err: error, path: request.url }, 'stream ended');
    }
  }
}

async function* linesOf(values: AsyncGenerator<object>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`;
}
