// Follows the stream of live data: connects, reads, notices silence, and connects again.

import { BEAT_MS, type LiveFrame } from '../../api/live.ts';
import type { ApiAccess } from './api-access.ts';
import { EMPTY, placeOf, reduce, type FleetState } from './fleet-state.ts';
import { LineReader } from './line-reader.ts';

/** `closed`: the person may no longer read. */
export type Link = 'connecting' | 'live' | 'lost' | 'closed';

export interface Live {
  readonly state: FleetState;
  readonly link: Link;
  /** Time of the newest frame, milliseconds since 1970. */
  readonly heardAt: number;
}

const SILENT_MS = 3 * BEAT_MS;
const MAX_WAIT_MS = 15_000;
/** Time after which a hidden window closes its stream. */
const HIDDEN_MS = 60_000;

export class Connection {
  readonly #access: ApiAccess;
  readonly #listeners = new Set<() => void>();
  #live: Live = { state: EMPTY, link: 'connecting', heardAt: Date.now() };
  #stream: AbortController | undefined;
  #frames: LiveFrame[] = [];
  #scheduled = false;
  #closed = false;

  constructor(access: ApiAccess) {
    this.#access = access;
  }

  get live(): Live {
    return this.#live;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    let hidden: number | undefined;
    document.addEventListener('visibilitychange', () => {
      clearTimeout(hidden);
      if (document.hidden) hidden = setTimeout(() => this.#stream?.abort(), HIDDEN_MS);
      else this.#wake();
    });
    addEventListener('online', () => this.#wake());
    void this.#follow();
  }

  close(): void {
    this.#closed = true;
    this.#stream?.abort();
  }

  #wakeUp: (() => void) | undefined;

  #wake(): void {
    this.#wakeUp?.();
  }

  async #follow(): Promise<void> {
    for (let failures = 0; !this.#closed;) {
      const before = this.#live.heardAt;
      const ended = await this.#read();
      if (ended === 'closed') return this.#tell({ link: 'closed' });
      failures = this.#live.heardAt === before ? failures + 1 : 0;
      if (failures > 0) this.#tell({ link: 'lost' });
      // Reconnects at once after a stream that had sent something: its token ended, or the controller moved.
      const ms = Math.min(MAX_WAIT_MS, 500 * 2 ** Math.min(failures, 6));
      await this.#pause(failures === 0 ? 250 : ms);
    }
  }

  /** Waits until the window is visible and the pause is over, or the person returns to the window. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = document.hidden ? undefined : setTimeout(resolve, ms);
      this.#wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #read(): Promise<'closed' | 'ended'> {
    const stream = new AbortController();
    this.#stream = stream;
    let silence = setTimeout(() => stream.abort(), SILENT_MS);
    try {
      const place = placeOf(this.#live.state);
      const path = place === undefined ? '/live' : `/live?since=${encodeURIComponent(place)}`;
      const response = await this.#access.open(path, stream.signal);
      if (response.status === 401 || response.status === 403) return 'closed';
      if (!response.ok || response.body === null) return 'ended';
      const lines = new LineReader();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return 'ended';
        clearTimeout(silence);
        silence = setTimeout(() => stream.abort(), SILENT_MS);
        this.#take(lines.read(value).map((line) => JSON.parse(line) as LiveFrame));
      }
    } catch {
      return 'ended';
    } finally {
      clearTimeout(silence);
      stream.abort();
    }
  }

  /** Collects frames that arrive together, so that the screen is drawn once. */
  #take(frames: readonly LiveFrame[]): void {
    this.#frames.push(...frames);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      const state = reduce(this.#live.state, this.#frames.splice(0));
      this.#tell({ state, link: 'live', heardAt: Date.now() });
    }, 50);
  }

  #tell(change: Partial<Live>): void {
    this.#live = { ...this.#live, ...change };
    for (const listener of this.#listeners) listener();
  }
}
