// The stream of live data: one JSON value a line, for the web UI and other programs that follow a fleet.

import type { Condition, NodeStatus, Summary } from './status.ts';

/** A node as the newest pass found it. */
export interface LiveNode extends NodeStatus {
  /** Name of the node; absent: an entry that no node answers to. */
  readonly node?: string;
  /** `group/namespace/name` of its CR. */
  readonly config?: string;
  /** Commit of main whose word the node's branch follows. */
  readonly mainCommit?: string;
  /** The hold of the node: its commit, its author, its time. */
  readonly hold?: LiveHold;
  /** First digits of the newest commit of what happened on the node: an outcome, a drift, or the request of a person. */
  readonly happened?: string;
  /** Time of the newest look at the host, milliseconds since 1970. */
  readonly observedAt?: number;
  /** Time or a person ends the state. */
  readonly waitsFor?: 'time' | 'person';
  /** Something moves or backs off; a person has to act; or neither. */
  readonly activity: 'moves' | 'stuck' | 'rests';
}

export interface LiveHold {
  readonly commit: string;
  /** Seconds since 1970. */
  readonly since: number;
  /** The name that the commit claims. */
  readonly author: string;
  /** The authenticated account, if a command made the commit. */
  readonly principal?: string;
}

/** A CR as the newest pass found it. */
export interface LiveConfig {
  /** `group/namespace/name` */
  readonly config: string;
  readonly generation: number;
  readonly summary: Summary;
  readonly conditions: readonly Condition[];
}

/** Facts of the whole fleet. */
export interface LiveFleet {
  /** Commit of main that the newest pass mirrored. */
  readonly main: string;
  /** Nodes whose removal waits for a confirmation. */
  readonly stopped: readonly string[];
  /** Whether repairs of drifted hosts wait for a confirmation. */
  readonly repairsStopped: boolean;
  /** CRs that are not listed and may still exist, each with the reason. */
  readonly doubts: Readonly<Record<string, string>>;
  /** Files, CRDs or CRs that cannot be read, each with the reason. */
  readonly unreadable: readonly string[];
  /** The reason why no newer pass succeeded. */
  readonly failure?: string;
}

/** An item of the stream: the newest value of one thing. */
export type LiveItem =
  | { readonly kind: 'fleet'; readonly key: ''; readonly value: LiveFleet }
  | { readonly kind: 'config'; readonly key: string; readonly value: LiveConfig }
  | { readonly kind: 'node'; readonly key: string; readonly value: LiveNode };

export type LiveKind = LiveItem['kind'];

/** The first line of a stream. */
export interface HelloFrame {
  readonly frame: 'hello';
  /** Names this run of the controller: a place in the stream of another run means nothing. */
  readonly epoch: string;
  readonly version: string;
  readonly principal: { readonly name: string; readonly role: 'read' | 'write' };
  /** Whether the home lets the controller pause nodes. */
  readonly canPause: boolean;
  /** Whether the stream begins anew: what the reader knows is to be forgotten. */
  readonly fresh: boolean;
}

/** The changes since the frame before. */
export interface ItemsFrame {
  readonly frame: 'items';
  readonly items: readonly LiveItem[];
  readonly gone: readonly { readonly kind: LiveKind; readonly key: string }[];
  /** The place in the stream: a reader that comes again names it, and gets what came later. */
  readonly place: number;
  /** Whether further frames follow at once. */
  readonly more: boolean;
  /** Number of items that there are in all. */
  readonly total: number;
}

/** Says that nothing changed, and that the controller is there. */
export interface BeatFrame {
  readonly frame: 'beat';
  /** Seconds since the newest pass ended; absent: none has ended yet. */
  readonly passAge?: number;
}

export type LiveFrame = HelloFrame | ItemsFrame | BeatFrame;

/** Time between two beats, milliseconds. A reader that hears nothing for three times as long is cut off. */
export const BEAT_MS = 10_000;
