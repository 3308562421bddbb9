// Access for the CLI in the leader's own pod: a file with the address and a token that is valid while this pod leads.
// Whoever may run a command in this pod has the store's volume anyway.

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { endpointFile, type Endpoint } from '../controller/endpoint.ts';
import type { Authenticate } from '../store/http/auth.ts';
import type { Principal } from '../store/model/store-port.ts';

export interface LeaderAccessOptions {
  readonly storeDir: string;
  readonly pod: string;
  readonly namespace: string;
}

export class LeaderAccess {
  readonly #options: LeaderAccessOptions;
  readonly #token = randomBytes(32).toString('base64url');

  constructor(options: LeaderAccessOptions) {
    this.#options = options;
  }

  /** The principal of this pod's token; undefined: it is another token. */
  authenticate(token: string): Principal | undefined {
    const [given, ours] = [Buffer.from(token), Buffer.from(this.#token)];
    if (given.length !== ours.length || !timingSafeEqual(given, ours)) return undefined;
    return { name: `pod:${this.#options.namespace}/${this.#options.pod}`, role: 'write' };
  }

  /** Authenticates this pod's own CLI; all other tokens go to `others`. */
  before(others: Authenticate): Authenticate {
    return async (token, from) => this.authenticate(token) ?? others(token, from);
  }

  /** Writes the file, readable for this user alone. */
  async publish(port: number, ca: string): Promise<void> {
    const { storeDir, pod, namespace } = this.#options;
    const endpoint: Endpoint = {
      url: `https://127.0.0.1:${port}`,
      pid: process.pid,
      leader: { pod, namespace, token: this.#token, ca },
    };
    const file = endpointFile(dirname(storeDir));
    await writeFile(`${file}.new`, `${JSON.stringify(endpoint)}\n`, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }

  async withdraw(): Promise<void> {
    await rm(endpointFile(dirname(this.#options.storeDir)), { force: true });
  }
}
