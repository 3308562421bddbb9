// Requests to the API server while a cluster starts: ten milliseconds each, where kubectl takes a hundred.
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import type { Certificate } from './pki.ts';

export class Api {
  readonly #server: string;
  readonly #tls: { readonly ca: string; readonly cert: string; readonly key: string };

  private constructor(server: string, tls: { ca: string; cert: string; key: string }) {
    this.#server = server;
    this.#tls = tls;
  }

  static async connect(server: string, authority: Certificate, admin: Certificate): Promise<Api> {
    const [ca, cert, key] = await Promise.all(
      [authority.certificate, admin.certificate, admin.key].map((file) => readFile(file, 'utf8')),
    );
    return new Api(server, { ca: ca!, cert: cert!, key: key! });
  }

  /** @returns the body, or undefined when the answer is not 200 or there is none within two seconds */
  get(path: string): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const call = request(
      new URL(path, this.#server),
      { ...this.#tls, agent: false, timeout: 2_000 },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => (body += part));
        response.on('end', () => resolve(response.statusCode === 200 ? body : undefined));
        response.on('error', () => resolve(undefined));
      },
    );
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(undefined));
    call.end();
    return promise;
  }
}
