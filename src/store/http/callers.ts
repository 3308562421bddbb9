// Limits the connections and requests of each caller, so that unauthenticated callers cannot keep known callers out. If
// there are too many connections without a known caller, the oldest ends; a known caller has a bounded number of its
// own.

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { MultinicError } from '../../api/errors.ts';
import type { Principal } from '../model/store-port.ts';

/** Connections that have sent no known token yet. */
const MAX_UNAUTHENTICATED = 512;
/** Connections of one caller. An agent has one, and a person's git a few. */
const MAX_CONNECTIONS = { node: 8, read: 256, write: 256 } as const;
/** Requests of one caller at a time. An agent has one. */
const MAX_REQUESTS = { node: 4, read: 64, write: 64 } as const;

export class Callers {
  readonly #unauthenticated = new Map<string, Socket>();
  readonly #known = new Map<string, Map<string, Socket>>();
  readonly #owners = new Map<string, string>();
  readonly #requests = new Map<string, number>();

  /** Counts a new connection. A TLS connection counts before its handshake. */
  connected(socket: Socket): void {
    const key = keyOf(socket);
    this.#unauthenticated.set(key, socket);
    socket.once('close', () => {
      this.#unauthenticated.delete(key);
      const owner = this.#owners.get(key);
      if (owner === undefined) return;
      this.#owners.delete(key);
      const sockets = this.#known.get(owner);
      if (sockets?.delete(key) === true && sockets.size === 0) this.#known.delete(owner);
    });
    endOldest(this.#unauthenticated, MAX_UNAUTHENTICATED);
  }

  /**
   * Counts a request of a known caller. From here on its connection is the caller's.
   * @returns function to call when the request has been answered
   * @throws MultinicError `Busy` when the caller has too many requests
   */
  request({ socket }: IncomingMessage, { name, role }: Principal): () => void {
    const key = keyOf(socket);
    const own = this.#unauthenticated.get(key);
    if (own !== undefined) {
      this.#unauthenticated.delete(key);
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

/**
 * Key of a connection: the address and port of its other end. A TLS socket and the socket below it have the same key.
 */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
