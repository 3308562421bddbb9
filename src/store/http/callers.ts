// Connections and requests by their callers. Nobody who is not known can keep others out: of too many connections
// without a known caller the oldest goes, and a known caller has a bounded number of its own.

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { MultinicError } from '../../api/errors.ts';
import type { Principal } from '../model/store-port.ts';

/** Connections that have sent no known token yet. */
const MAX_STRANGERS = 512;
/** Connections of one caller. An agent has one, and a person's git a few. */
const MAX_CONNECTIONS = { node: 8, read: 256, write: 256 } as const;
/** Requests of one caller at a time. An agent has one. */
const MAX_REQUESTS = { node: 4, read: 64, write: 64 } as const;

export class Callers {
  readonly #strangers = new Map<string, Socket>();
  readonly #known = new Map<string, Map<string, Socket>>();
  readonly #owners = new Map<string, string>();
  readonly #requests = new Map<string, number>();

  /** A new connection. In TLS it counts before its handshake. */
  connected(socket: Socket): void {
    const key = keyOf(socket);
    this.#strangers.set(key, socket);
    socket.once('close', () => {
      this.#strangers.delete(key);
      const owner = this.#owners.get(key);
      if (owner === undefined) return;
      this.#owners.delete(key);
      const sockets = this.#known.get(owner);
      if (sockets?.delete(key) === true && sockets.size === 0) this.#known.delete(owner);
    });
    endOldest(this.#strangers, MAX_STRANGERS);
  }

  /**
   * A request whose caller is known: its connection is the caller's from here on.
   * @returns what to call when the request has been answered
   * @throws MultinicError `Busy` when the caller has too many requests
   */
  request({ socket }: IncomingMessage, { name, role }: Principal): () => void {
    const key = keyOf(socket);
    const own = this.#strangers.get(key);
    if (own !== undefined) {
      this.#strangers.delete(key);
      this.#owners.set(key, name);
      const sockets = this.#known.get(name) ?? new Map<string, Socket>();
      this.#known.set(name, sockets.set(key, own));
      endOldest(sockets, MAX_CONNECTIONS[role]);
    }
    const running = this.#requests.get(name) ?? 0;
    if (running >= MAX_REQUESTS[role])
      throw new MultinicError(
        'Busy',
        `${name} has ${running} requests under way already: try again in a few seconds`,
      );
    this.#requests.set(name, running + 1);
    return () => {
      const left = (this.#requests.get(name) ?? 1) - 1;
      if (left > 0) this.#requests.set(name, left);
      else this.#requests.delete(name);
    };
  }
}

function endOldest(sockets: Map<string, Socket>, limit: number): void {
  for (const [key, socket] of sockets) {
    if (sockets.size <= limit) return;
    sockets.delete(key);
    socket.destroy();
  }
}

/** The other end of a connection. A TLS socket and the one below it have the same. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
