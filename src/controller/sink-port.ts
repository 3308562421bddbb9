import type { ConfigStatus } from '../api/status.ts';
import type { ConfigRef } from '../network/node.ts';
import type { NodeInventory } from '../mirror/home-port.ts';
import type { Person } from '../store/model/store-port.ts';
import type { AnyReason } from '../api/reasons/reasons.ts';

/** An event for people. */
export interface ControllerEvent {
  readonly type: 'Normal' | 'Warning';
  /** PascalCase: `HoldEnded`, `NodeFailed`, `RemovalStopped`… */
  readonly reason: AnyReason;
  readonly message: string;
  readonly node?: string;
  readonly config?: ConfigRef;
}

/** Receives status and events: files, or the API server. */
export interface StatusSink {
  /** Reads the status that was written last, by whichever process. */
  read(ref: ConfigRef): Promise<ConfigStatus | undefined>;
  write(ref: ConfigRef, status: ConfigStatus): Promise<void>;
  /** Removes the status of a CR that is gone. */
  remove(ref: ConfigRef): Promise<void>;
  emit(event: ControllerEvent): Promise<void>;
}

/** The person who gives a command: the author as stated, and the authenticated principal. */
export interface Requester extends Person {
  readonly principal: string;
}

/** The part of the inventory that commands use. */
export interface PausableInventory extends NodeInventory {
  setPaused(nodes: readonly string[], paused: boolean): Promise<void>;
}
