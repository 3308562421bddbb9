// Frames of live data for the streams: the newest state first, then the changes of each later pass.

import { randomUUID } from 'node:crypto';
import { BEAT_MS, type LiveFrame, type LiveItem, type LiveNode } from '../api/live.ts';
import { BUILD } from '../api/build-info.ts';
import { MultinicError } from '../api/errors.ts';
import { oidTrailer, TRAILER } from '../history/commit-format.ts';
import { outcomeRef } from '../history/refs.ts';
import type { Principal } from '../store/model/store-port.ts';
import { activityOf, nameOf } from './condition.ts';
import { nodeViews, type NodeView, type Snapshot } from './config-status.ts';
import { interfacesOf } from './interface-status.ts';
import { LiveItems } from './live-items.ts';
import type { ObservedHosts } from './observed-hosts.ts';
import type { Reporter } from './reporter.ts';
import { reportOf } from './status-report.ts';

/** Items of one frame: a reader that stops reading holds one frame in memory. */
const FRAME_ITEMS = 200;
/** Enough to tell a commit from the one before. */
const HAPPENED_DIGITS = 12;

export interface LiveFeedOptions {
  readonly reporter: Reporter;
  readonly observed: Pick<ObservedHosts, 'of'>;
  readonly canPause: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly beatMs?: number;
}

export class LiveFeed {
  readonly #options: LiveFeedOptions;
  readonly #items = new LiveItems();
  readonly #epoch = randomUUID();
  #readers = 0;
  #passedAt: number | undefined;
  /** The snapshot and the failure that the items were made from. */
  #seen: readonly [Snapshot | undefined, string | undefined] | undefined;
  #waiting = Promise.withResolvers<void>();

  constructor(options: LiveFeedOptions) {
    this.#options = options;
    options.reporter.onReport(() => {
      if (options.reporter.failure === undefined) this.#passedAt = options.now();
      // The items are made only if somebody reads them.
      if (this.#readers > 0) this.#refresh();
    });
  }

  /**
   * Frames for one reader, until the signal.
   * @param since epoch and place that the reader knows: `EPOCH:PLACE`
   * @throws MultinicError `Busy` before the first pass
   */
  open(principal: Principal, since: string | undefined, signal: AbortSignal): AsyncGenerator<LiveFrame> {
    if (this.#options.reporter.snapshot === undefined)
      throw new MultinicError('Busy', 'the first pass is under way: ask again in a moment');
    return this.#frames(principal, since, signal);
  }

  async *#frames(
    { name, role }: Principal,
    since: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<LiveFrame> {
    this.#readers += 1;
    try {
      this.#refresh();
      let place = this.#placeOf(since);
      const { canPause } = this.#options;
      const head = { epoch: this.#epoch, version: BUILD.version, canPause, fresh: place === 0 };
      yield {
        frame: 'hello',
        ...head,
        principal: { name, role: role === 'write' ? 'write' : 'read' },
      };
      let first = true;
      while (!signal.aborted) {
        // A slow reader has missed items that are forgotten by now, so its stream ends and the reader reconnects.
        if (!this.#items.knows(place)) return;
        const changes = this.#items.after(place, FRAME_ITEMS);
        if (first || changes.place !== place) {
          yield { frame: 'items', ...changes };
          first = false;
          place = changes.place;
        } else if (await this.#nothingNew(signal)) {
          const at = this.#passedAt;
          yield {
            frame: 'beat',
            ...(at !== undefined && { passAge: Math.round((this.#options.now() - at) / 1000) }),
          };
        }
      }
    } finally {
      this.#readers -= 1;
    }
  }

  #placeOf(since: string | undefined): number {
    const [epoch, text] = since?.split(':') ?? [];
    const place = Number(text);
    return epoch === this.#epoch && Number.isInteger(place) && this.#items.knows(place) ? place : 0;
  }

  /** Waits for the next change, for the length of a beat at most. @returns true: nothing changed */
  async #nothingNew(signal: AbortSignal): Promise<boolean> {
    const { promise: over, resolve } = Promise.withResolvers<true>();
    const timer = setTimeout(resolve, this.#options.beatMs ?? BEAT_MS, true);
    const end = (): void => resolve(true);
    signal.addEventListener('abort', end, { once: true });
    try {
      return await Promise.race([over, this.#waiting.promise.then(() => false)]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
    }
  }

  #refresh(): void {
    const { reporter } = this.#options;
    const { snapshot, failure } = reporter;
    if (snapshot === undefined) return;
    if (this.#seen?.[0] === snapshot && this.#seen[1] === failure) return;
    this.#seen = [snapshot, failure];
    if (!this.#items.set(this.#itemsOf(snapshot))) return;
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers();
  }

  #itemsOf(snapshot: Snapshot): LiveItem[] {
    const { reporter, observed } = this.#options;
    const report = reportOf(snapshot, reporter.statuses, reporter.failure);
    return [
      {
        kind: 'fleet',
        key: '',
        value: {
          main: report.main,
          stopped: report.stopped,
          repairsStopped: snapshot.repairs?.stopped === true,
          doubts: report.doubts,
          unreadable: report.unreadable ?? [],
          ...(report.failure !== undefined && { failure: report.failure }),
        },
      },
      ...report.configs.map((value) => ({ kind: 'config' as const, key: value.config, value })),
      ...nodeViews(snapshot).map((view) => ({
        kind: 'node' as const,
        key: `${view.config ?? ''} ${nameOf(view)} ${view.attachedNodeId}`,
        value: liveNode(snapshot, view, observed),
      })),
    ];
  }
}

function liveNode(snapshot: Snapshot, view: NodeView, observed: Pick<ObservedHosts, 'of'>): LiveNode {
  const { historyOnly: _, node = '', ...rest } = view;
  const branch = snapshot.report.branches.get(node);
  const facts = snapshot.facts.get(node);
  const base = branch?.base.commit;
  const mainCommit = base && oidTrailer(base, TRAILER.mainCommit);
  const observedAt = observed.of(node)?.at;
  const happened = snapshot.happened?.get(outcomeRef(node))?.slice(0, HAPPENED_DIGITS);
  const hold = branch?.hold;
  const interfaces = branch && facts ? interfacesOf(branch.network, facts, view) : [];
  return {
    ...rest,
    ...(node !== '' && { node }),
    activity: activityOf(view),
    ...(mainCommit !== undefined && { mainCommit }),
    ...(happened !== undefined && { happened }),
    ...(observedAt !== undefined && { observedAt }),
    ...(hold !== undefined && {
      hold: {
        commit: hold.commit,
        since: hold.since,
        author: hold.author.name,
        ...(hold.principal !== undefined && { principal: hold.principal }),
      },
    }),
    ...(interfaces.length > 0 && { interfaces }),
  };
}
