import type { ConfigStatus } from '../api/status.ts';
import type { ConfigRef } from '../network/node.ts';
import type { NodeInventory } from '../mirror/home-port.ts';
import type { Person } from '../store/model/store-port.ts';

/** Something that a person would want to see. */
export interface ControllerEvent {
  readonly type: 'Normal' | 'Warning';
  /** PascalCase: `HoldEnded`, `NodeFailed`, `RemovalStopped`… */
  readonly reason: string;
  readonly message: string;
  readonly node?: string;
  readonly config?: ConfigRef;
}

/** Where status and events go: files, or the API server. */
export interface StatusSink {
  /** What was written before, by whatever process. */
  read(ref: ConfigRef): Promise<ConfigStatus | undefined>;
  write(ref: ConfigRef, status: ConfigStatus): Promise<void>;
  /** The CR is gone. */
  remove(ref: ConfigRef): Promise<void>;
  emit(event: ControllerEvent): Promise<void>;
}

/** Who gives a command: the author is their own claim, the principal was authenticated. */
export interface Requester extends Person {
  readonly principal: string;
}

/** The inventory as commands see it. */
export interface PausableInventory extends NodeInventory {
  setPaused(node: string, paused: boolean): Promise<void>;
}
