// Reports to people what passes found: the status of each CR, and events for changes. Keeps the newest report for
// readers between two passes.

import { isDeepStrictEqual } from 'node:util';
import { checkpoint } from '../api/checkpoint.ts';
import { MultinicError } from '../api/errors.ts';
import type { ConfigStatus } from '../api/status.ts';
import { oidTrailer, TRAILER } from '../history/commit-format.ts';
import type { MirrorEvent } from '../mirror/branch-writer.ts';
import type { Oid } from '../store/model/store-port.ts';
import { configStatuses, nodeViews, type Snapshot } from './config-status.ts';
import { eventsBetween } from './events.ts';
import type { StatusSink } from './sink-port.ts';

/** Removals that wait for a person's confirmation, as the newest pass saw them. */
export interface WaitingRemovals {
  /** Commit of main that asks for the removals. */
  readonly main: Oid;
  readonly nodes: ReadonlySet<string>;
}

export class Reporter {
  readonly #sink: StatusSink;
  readonly #now: () => number;
  #snapshot: Snapshot | undefined;
  #statuses: ReadonlyMap<string, ConfigStatus> = new Map();
  /** Events of the mirror that no completed pass has reported yet. */
  readonly #unreported: MirrorEvent[] = [];
  /** Message of the failure that was logged last; empty after a pass that succeeded. */
  #failure = '';
  readonly #listeners: (() => void)[] = [];

  constructor(sink: StatusSink, now: () => number) {
    this.#sink = sink;
    this.#now = now;
  }

  /** Calls a function after each pass that succeeded, and when a failure begins or changes. */
  onReport(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Findings of the newest pass; undefined before the first. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** Status of each CR as last reported. */
  get statuses(): ReadonlyMap<string, ConfigStatus> {
    return this.#statuses;
  }

  /** undefined: no pass has seen any yet. */
  get waitingRemovals(): WaitingRemovals | undefined {
    const report = this.#snapshot?.report;
    return report && { main: report.main.commit, nodes: report.stopped };
  }

  get failedNodes(): readonly string[] {
    if (this.#snapshot === undefined) return [];
    const failed = nodeViews(this.#snapshot).filter(({ state }) => state === 'Failed');
    return [...new Set(failed.flatMap(({ node }) => node ?? []))];
  }

  /** Nodes whose repair waits for a confirmation; undefined: repairs are not stopped. */
  get waitingRepairs(): readonly string[] | undefined {
    if (this.#snapshot?.repairs?.stopped !== true) return undefined;
    const decisions = [...this.#snapshot.decisions];
    return decisions.flatMap(([node, each]) => (!each.due && each.reason === 'RepairsStopped' ? [node] : []));
  }

  /** Nodes that wait because a change was stopped. @param change commit of main */
  waitingFor(change: Oid): readonly string[] {
    const { decisions, report } = this.#snapshot ?? {};
    return [...(decisions ?? [])].flatMap(([node, each]) => {
      const spec = report?.branches.get(node)?.base.commit;
      const waits = !each.due && each.reason === 'ChangeStopped';
      return waits && spec !== undefined && oidTrailer(spec, TRAILER.mainCommit) === change ? [node] : [];
    });
  }

  /** Failure of the newest pass (a full disk), in words for people; undefined if the pass succeeded. */
  get failure(): string | undefined {
    return this.#failure === '' ? undefined : this.#failure;
  }

  /** Keeps events until a pass goes through. @returns all events that are still to be reported */
  keep(events: readonly MirrorEvent[]): readonly MirrorEvent[] {
    this.#unreported.push(...events);
    return [...this.#unreported];
  }

  /** Writes the statuses that changed, then the events. */
  async report(snapshot: Snapshot): Promise<void> {
    const before = await this.#statusesBefore(snapshot);
    const fresh = configStatuses(snapshot, before, this.#now());
    for (const [key, status] of fresh) {
      if (isDeepStrictEqual(status, before.get(key))) continue;
      await this.#sink.write(snapshot.listed.get(key)!.ref, status);
      checkpoint('controller.status');
    }
    for (const [key, { ref }] of this.#snapshot?.listed ?? []) {
      if (!snapshot.listed.has(key) && !snapshot.report.doubts.has(key)) await this.#sink.remove(ref);
    }
    const news = eventsBetween(this.#snapshot, snapshot);
    // A CR that the pass had no time for keeps its earlier status.
    const kept = [...before].filter(([key]) => snapshot.listed.has(key));
    this.#statuses = new Map([...kept, ...fresh]);
    this.#snapshot = snapshot;
    for (const event of news) await this.#sink.emit(event);
    this.#unreported.length = 0;
    this.#failure = '';
    for (const listener of this.#listeners) listener();
  }

  /** Reports the failure of a pass once, until the failure changes or ends. */
  async reportFailure(error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    if (message === this.#failure) return;
    this.#failure = message;
    for (const listener of this.#listeners) listener();
    const reason = error instanceof MultinicError ? error.code : 'PassFailed';
    await this.#sink.emit({ type: 'Warning', reason, message });
  }

  /**
   * Statuses as last reported. For a CR that is new to this process, the sink reads the status that was written before.
   */
  async #statusesBefore({ listed }: Snapshot): Promise<ReadonlyMap<string, ConfigStatus>> {
    const before = new Map(this.#statuses);
    for (const [key, { ref }] of listed) {
      const written = before.has(key) ? undefined : await this.#sink.read(ref);
      if (written !== undefined) before.set(key, written);
    }
    this.#statuses = before;
    return before;
  }
}
