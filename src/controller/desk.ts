// The Desk has the parts that answer people's reads and commands while passes go on. The Desk is complete before the
// first pass and needs no jobs, so the server can open first.

import type { Logger } from 'pino';
import { Branches } from '../history/node-branch.ts';
import { DEFAULT_GUARD, type GuardPolicy } from '../mirror/guard.ts';
import { Mirror } from '../mirror/mirror.ts';
import type { Store } from '../store/store.ts';
import { Commands } from './commands.ts';
import type { PausableInventory, StatusSink } from './sink-port.ts';
import { Telling } from './telling.ts';
import type { Wake } from './wake.ts';

export interface DeskOptions {
  readonly store: Store;
  readonly inventory: PausableInventory;
  readonly sink: StatusSink;
  readonly wake: Wake;
  readonly log: Logger;
  readonly guard?: GuardPolicy;
  /** Milliseconds after which a pass leaves the rest to the next pass. */
  readonly sliceMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export class Desk {
  readonly store: Store;
  readonly inventory: PausableInventory;
  readonly wake: Wake;
  readonly log: Logger;
  readonly now: () => number;
  readonly branches: Branches;
  readonly mirror: Mirror;
  readonly telling: Telling;
  readonly commands: Commands;

  constructor(options: DeskOptions) {
    const { store, sink, log, guard = DEFAULT_GUARD, sliceMs, now = Date.now } = options;
    this.store = store;
    this.inventory = options.inventory;
    this.wake = options.wake;
    this.log = log;
    this.now = now;
    this.branches = new Branches(store.reader);
    this.mirror = new Mirror(store, this.branches, { guard, log, ...(sliceMs !== undefined && { sliceMs }) });
    this.telling = new Telling(sink, now);
    this.commands = new Commands(this);
  }
}
