// `multinic ui` as a person runs it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import type { LocalRun } from './local.ts';

const BUNDLE = join(resolve(import.meta.dirname, '../..'), 'dist/multinic.js');

export interface UiRun extends AsyncDisposable {
  /** The link that the program printed, with its secret. */
  readonly link: URL;
  /** Address of the UI without the secret. */
  readonly page: string;
  /** All that the program printed. */
  readonly output: () => string;
}

/** @param where a home, or options that name another place */
export async function startUi(
  where: string | readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<UiRun> {
  const place = typeof where === 'string' ? ['-C', where] : where;
  const child = spawn(process.execPath, [BUNDLE, 'ui', ...place, '--no-open'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => void (text += chunk.toString()));
  while (!/ Ctrl-C /.test(text)) {
    if (child.exitCode !== null) throw new Error(text);
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  }
  const link = new URL(/http:\S+/.exec(text)![0]);
  return {
    link,
    page: `${link.origin}${link.pathname}`,
    output: () => text,
    [Symbol.asyncDispose]: async () => {
      const exited = child.exitCode === null ? once(child, 'exit') : undefined;
      child.kill();
      await exited;
    },
  };
}

/** A program that asks the proxy as a browser would; each header can be left out or replaced. */
export class ProxyClient {
  readonly #ui: UiRun;
  cookie: string | undefined;

  constructor(ui: UiRun) {
    this.#ui = ui;
  }

  async signIn(key = this.#ui.link.hash.slice('#key='.length)): Promise<Response> {
    const { origin } = this.#ui.link;
    const response = await fetch(new URL('session.json', this.#ui.page), {
      method: 'POST',
      body: key,
      headers: { origin, 'x-multinic-ui': '1' },
    });
    this.cookie = response.headers.get('set-cookie')?.split(';')[0];
    return response;
  }

  /** @param headers undefined leaves one out */
  ask(
    path: string,
    { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string | undefined> } = {},
  ): Promise<Response> {
    const sent: Record<string, string | undefined> = {
      'x-multinic-ui': '1',
      cookie: this.cookie,
      ...(method === 'POST' && { origin: this.#ui.link.origin }),
      ...headers,
    };
    return fetch(new URL(`../api/v1${path}`, this.#ui.page), {
      method,
      ...(method === 'POST' && { body: '{}' }),
      headers: Object.fromEntries(
        Object.entries(sent).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
      ),
    });
  }
}

/** Opens the stream of live data of a home, and reads it line by line. */
export async function liveLines(
  local: LocalRun,
  since?: string,
): Promise<{ next: () => Promise<Record<string, unknown>>; end: () => void }> {
  const stop = new AbortController();
  const response = await fetch(`${local.url}/api/v1/live${since === undefined ? '' : `?since=${since}`}`, {
    headers: { authorization: `Bearer ${await local.token()}` },
    signal: stop.signal,
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    next: async () => {
      while (!text.includes('\n')) {
        const { done, value } = await reader.read();
        if (done) throw new Error('the stream ended');
        text += value;
      }
      const at = text.indexOf('\n');
      const line = text.slice(0, at);
      text = text.slice(at + 1);
      return JSON.parse(line) as Record<string, unknown>;
    },
    end: () => stop.abort(),
  };
}
