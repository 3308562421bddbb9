// A list of objects that is kept up to date: listed in pages, then watched, and listed again when the watch can no
// longer be trusted. A listener gets a key alone, and reads the object here when it needs the object.

import type { KubernetesObject } from '@kubernetes/client-node';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { backoffMs, pause } from './backoff.ts';
import { hasStatus, type KubeClient } from './client.ts';

export interface InformerOptions<T> {
  readonly client: KubeClient;
  /** `/api/v1/nodes` */
  readonly path: string;
  /** `labelSelector`, `fieldSelector`. */
  readonly query?: Readonly<Record<string, string>>;
  /**
   * Makes the small projection that stays in memory. Unchanged parts may be the same objects as before. undefined: the
   * object is none of these, and is not kept.
   */
  readonly project: (object: KubernetesObject, before: T | undefined) => T | undefined;
  readonly changed: (key: string) => void;
  readonly log: Logger;
  readonly timing?: Partial<Timing>;
}

/** Milliseconds. */
interface Timing {
  readonly backoffBase: number;
  readonly backoffMax: number;
  /** Time after which the server ends a watch, more or less a random part. */
  readonly watch: number;
  /** Silence after which a watch counts as dead; bookmarks come every minute. */
  readonly silence: number;
}

const TIMING: Timing = { backoffBase: 500, backoffMax: 30_000, watch: 300_000, silence: 90_000 };
const PAGE = '500';

interface ListPage {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: KubernetesObject[];
}

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubernetesObject & { readonly code?: number; readonly message?: string };
}

/** The watch has missed something. */
class Expired extends Error {}

export class Informer<T> {
  readonly #options: InformerOptions<T>;
  readonly #timing: Timing;
  readonly #items = new Map<string, T>();
  readonly #stop = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #list: readonly T[] | undefined;
  #complete = false;
  #absent = false;
  #heardAt = performance.now();
  #loop: Promise<void> | undefined;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  /** Resolves at the first complete list, or when the API has no such resource. */
  async synced(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      if (signal.aborted) reject(signal.reason as Error);
    });
    await Promise.race([this.#synced.promise, aborted]);
  }

  /** @param key `namespace/name`, or `name` */
  get(key: string): T | undefined {
    return this.#items.get(key);
  }

  /** The same array until something changes. */
  list(): readonly T[] {
    return (this.#list ??= [...this.#items.values()]);
  }

  /** True if an object that is missing here was missing at the API server at the last contact. */
  get complete(): boolean {
    return this.#complete;
  }

  /** The API has no such resource: its CRD is not there. */
  get absent(): boolean {
    return this.#absent;
  }

  /** Milliseconds since the API server was last heard of. */
  get staleMs(): number {
    return performance.now() - this.#heardAt;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { log, path } = this.#options;
    let failures = 0;
    /** The reason that was logged last; undefined: the API server answers. */
    let logged: string | undefined;
    let version: string | undefined;
    while (!signal.aborted) {
      try {
        version ??= await this.#relist();
        failures = 0;
        const began = performance.now();
        version = await this.#watch(version);
        if (logged !== undefined) log.info({ path }, 'the watch works again');
        logged = undefined;
        // The pause also follows watches that the server ends at once, which would repeat without it.
        const lasted = performance.now() - began;
        if (lasted < this.#timing.backoffBase) await pause(this.#timing.backoffBase - lasted, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Expired || hasStatus(error, 410)) {
          log.info({ path }, 'the watch has expired: listing again');
          version = undefined;
          failures++;
        } else if (hasStatus(error, 404)) {
          this.#vanished();
          failures = Math.max(failures + 1, 4);
        } else {
          failures++;
          // Logs each reason once and without a stack, because a line for each attempt would bury the log in an outage.
          const reason = error instanceof Error ? error.message : String(error);
          if (reason !== logged) log.warn({ path, reason }, 'watch broken off: trying again');
          logged = reason;
          // A failed list leaves the objects as they are; a broken watch goes on at its version.
        }
        await pause(backoffMs(failures, this.#timing.backoffBase, this.#timing.backoffMax, error), signal);
      }
    }
  }

  /** @returns the version to watch from */
  async #relist(): Promise<string> {
    const { client, path, query, project } = this.#options;
    this.#complete = false;
    const seen = new Set<string>();
    let page: ListPage;
    let next = '';
    do {
      page = await client.request<ListPage>('GET', path, {
        query: { ...query, limit: PAGE, ...(next !== '' && { continue: next }) },
        signal: this.#stop.signal,
        timeoutMs: 60_000,
      });
      for (const object of page.items ?? []) {
        const key = keyOf(object);
        seen.add(key);
        this.#set(key, project(object, this.#items.get(key)));
      }
      next = page.metadata?.continue ?? '';
    } while (next !== '');
    for (const key of this.#items.keys()) if (!seen.has(key)) this.#delete(key);
    this.#heard();
    this.#complete = true;
    this.#absent = false;
    this.#synced.resolve();
    this.#notify('');
    return page.metadata?.resourceVersion ?? '0';
  }

  /** Watches until the server ends the watch. @returns the version to go on from */
  async #watch(from: string): Promise<string> {
    const { client, path, query } = this.#options;
    let version = from;
    const seconds = Math.round((this.#timing.watch * (0.8 + Math.random() * 0.4)) / 1000);
    const cut = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, cut.signal]);
    let expired: Expired | undefined;
    try {
      await client.lines(
        path,
        {
          ...query,
          watch: 'true',
          resourceVersion: version,
          allowWatchBookmarks: 'true',
          timeoutSeconds: String(seconds),
        },
        // An opened watch proves that the API server is there, however long it is silent afterwards.
        { signal, silenceMs: this.#timing.silence, opened: () => this.#heard() },
        (line) => {
          if (expired !== undefined || this.#stop.signal.aborted) return;
          const { type, object } = JSON.parse(line) as WatchEvent;
          this.#heard();
          if (type === 'ERROR') {
            expired = new Expired(object.message ?? String(object.code));
            cut.abort();
            return;
          }
          version = object.metadata?.resourceVersion ?? version;
          this.#take(type, object);
        },
      );
    } catch (error) {
      if (expired !== undefined) throw expired;
      // The version that a broken watch reached is kept.
      if (version !== from && !hasStatus(error, 404, 410)) return version;
      throw error;
    }
    if (expired !== undefined) throw expired;
    return version;
  }

  #take(type: Exclude<WatchEvent['type'], 'ERROR'>, object: KubernetesObject): void {
    if (type === 'BOOKMARK') return;
    const key = keyOf(object);
    if (type === 'DELETED') this.#delete(key);
    else this.#set(key, this.#options.project(object, this.#items.get(key)));
  }

  #vanished(): void {
    this.#absent = true;
    this.#complete = false;
    this.#heard();
    for (const key of this.#items.keys()) this.#delete(key);
    this.#synced.resolve();
  }

  #heard(): void {
    this.#heardAt = performance.now();
  }

  #set(key: string, item: T | undefined): void {
    if (item === undefined) return this.#delete(key);
    const before = this.#items.get(key);
    if (before !== undefined && isDeepStrictEqual(before, item)) return;
    this.#items.set(key, item);
    this.#list = undefined;
    this.#notify(key);
  }

  #delete(key: string): void {
    if (!this.#items.delete(key)) return;
    this.#list = undefined;
    this.#notify(key);
  }

  #notify(key: string): void {
    try {
      this.#options.changed(key);
    } catch (error) {
      this.#options.log.error({ err: error, key }, 'a handler failed: this is a defect, please report it');
    }
  }
}

function keyOf({ metadata }: KubernetesObject): string {
  const name = metadata?.name ?? '';
  return metadata?.namespace === undefined ? name : `${metadata.namespace}/${name}`;
}
