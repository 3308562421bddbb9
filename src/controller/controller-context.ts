// The parts that answer people's reads and commands while passes go on. The context is complete before the first pass
// and needs no jobs, so the server can open first.

import { dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { Branches } from '../history/node-branch.ts';
import { DEFAULT_GUARD, type GuardPolicy } from '../mirror/guard.ts';
import { Mirror } from '../mirror/mirror.ts';
import { SideFile } from '../store/side-file.ts';
import type { Store } from '../store/store.ts';
import { Commands } from './commands.ts';
import { HostTrees } from './host-trees.ts';
import { LiveFeed } from './live-feed.ts';
import { ObservedHosts } from './observed-hosts.ts';
import type { PausableInventory, StatusSink } from './sink-port.ts';
import type { RoutingSettings } from '../mirror/node-routing.ts';
import { Reporter } from './reporter.ts';
import type { PassTrigger } from './pass-trigger.ts';

export interface ControllerContextOptions {
  readonly store: Store;
  readonly inventory: PausableInventory;
  readonly sink: StatusSink;
  readonly passTrigger: PassTrigger;
  readonly log: Logger;
  /** Whether the controller itself may pause nodes; absent: it may. */
  readonly canPause?: boolean;
  readonly guard?: GuardPolicy;
  /** Milliseconds after which a pass leaves the rest to the next pass. */
  readonly sliceMs?: number;
  /** Milliseconds after which a departed node is left out of passes. */
  readonly retireAfterMs?: number;
  readonly routing?: RoutingSettings;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Called once for each run, when its outcome is in the store. */
  readonly onRun?: (run: RecordedRun) => void;
}

/** A run whose outcome was recorded. */
export interface RecordedRun {
  readonly result: string;
  readonly reason?: string;
  /** Absent: the agent reported nothing. */
  readonly seconds?: number;
}

export class ControllerContext {
  readonly store: Store;
  readonly inventory: PausableInventory;
  readonly passTrigger: PassTrigger;
  readonly log: Logger;
  readonly now: () => number;
  readonly onRun: (run: RecordedRun) => void;
  readonly branches: Branches;
  readonly mirror: Mirror;
  readonly reporter: Reporter;
  readonly observed: ObservedHosts;
  readonly hostTrees: HostTrees;
  readonly commands: Commands;
  readonly live: LiveFeed;

  constructor(options: ControllerContextOptions) {
    const {
      store,
      sink,
      log,
      guard = DEFAULT_GUARD,
      sliceMs,
      retireAfterMs,
      routing,
      now = Date.now,
    } = options;
    this.store = store;
    this.inventory = options.inventory;
    this.passTrigger = options.passTrigger;
    this.log = log;
    this.now = now;
    this.onRun = options.onRun ?? (() => undefined);
    this.branches = new Branches(store.reader);
    this.mirror = new Mirror(store, this.branches, {
      guard,
      log,
      now,
      ...(sliceMs !== undefined && { sliceMs }),
      ...(retireAfterMs !== undefined && { retireAfterMs }),
      ...(routing !== undefined && { routing }),
    });
    this.reporter = new Reporter(sink, now);
    this.observed = new ObservedHosts(new SideFile(join(dirname(store.dir), 'observed.json')), log);
    this.hostTrees = new HostTrees(store.reader, this.branches);
    this.commands = new Commands(this);
    this.live = new LiveFeed({
      reporter: this.reporter,
      observed: this.observed,
      canPause: options.canPause ?? true,
      now,
    });
  }
}
