// A proxy between the browser and `multinic ui` that refuses answers, or stops in their midst, as a bad network does.

import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { UiRun } from '../support/ui.ts';

export class FaultyProxy implements AsyncDisposable {
  /** Answers of such paths are refused. */
  refuses: RegExp | undefined;
  readonly #server: Server;
  readonly #target: URL;
  #stops: RegExp | undefined;
  #gate = Promise.withResolvers<void>();
  #stopped = 0;

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((asked, answer) => void this.#pass(asked, answer));
  }

  static async before(ui: UiRun): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(ui.link);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** The UI behind the proxy. */
  throughProxy(ui: UiRun): UiRun {
    const link = new URL(ui.link);
    link.port = String((this.#server.address() as AddressInfo).port);
    return { ...ui, link, page: `${link.origin}${link.pathname}` };
  }

  /** Number of answers that were stopped in their midst. */
  get stopped(): number {
    return this.#stopped;
  }

  /** Stops answers of such paths after their first line, or after the half of their first part. */
  stop(path: RegExp): void {
    this.#stops = path;
    this.#stopped = 0;
  }

  /** Lets the stopped answers go on. */
  goOn(): void {
    this.#stops = undefined;
    this.#gate.resolve();
    this.#gate = Promise.withResolvers();
  }

  async #pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method, url = '/' } = asked;
    const path = url.replace(/^.*\/api\/v1/, '');
    if (this.refuses?.test(path)) {
      answer.writeHead(503, { 'content-type': 'application/json' });
      return void answer.end(JSON.stringify({ code: 'Busy', message: 'the proxy refuses' }));
    }
    const { host, origin } = this.#target;
    const { 'accept-encoding': _, ...headers } = asked.headers;
    const sent = { ...headers, host, ...(headers.origin !== undefined && { origin }) };
    const onward = request(new URL(url, this.#target), { method, headers: sent });
    answer.on('close', () => onward.destroy());
    onward.on('error', () => answer.destroy());
    asked.pipe(onward);
    const [reply] = (await once(onward, 'response').catch(() => [])) as [IncomingMessage?];
    if (reply === undefined) return;
    answer.writeHead(reply.statusCode ?? 502, reply.headers);
    try {
      for await (const part of reply as AsyncIterable<Buffer>)
        if (this.#stops?.test(path)) await this.#stopWithin(part, answer);
        else answer.write(part);
      answer.end();
    } catch {
      answer.destroy();
    }
  }

  async #stopWithin(part: Buffer, answer: ServerResponse): Promise<void> {
    const cut = part.indexOf('\n') + 1 || Math.floor(part.length / 2);
    answer.write(part.subarray(0, cut));
    this.#stopped += 1;
    await this.#gate.promise;
    answer.write(part.subarray(cut));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
