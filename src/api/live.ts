// The stream of live data: one JSON value a line, for the web UI and other programs that follow a fleet.

import type { Condition, NodeStatus, Summary } from './status.ts';

/** A node as the newest pass found it. */
export interface LiveNode extends NodeStatus {
  /** Name of the node; absent: no node matches the entry. */
  readonly node?: string;
  /** `group/namespace/name` of its CR. */
  readonly config?: string;
  /** Commit of main that the base of the node's branch comes from. */
  readonly mainCommit?: string;
  /** The hold of the node: its commit, its author, its time. */
  readonly hold?: LiveHold;
  /** First digits of the newest commit of the node's outcome branch: an outcome, a drift, or a person's request. */
  readonly happened?: string;
  /** Time of the newest observation that learned the host's state, milliseconds since 1970. */
  readonly observedAt?: number;
  /** Whether time alone ends the state, or a person has to. */
  readonly waitsFor?: 'time' | 'person';
  /** moves: work goes on or backs off. stuck: a person has to act. rests: neither. */
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
  /** ID of this start of the controller. A place in the stream of another start is not valid. */
  readonly epoch: string;
  readonly version: string;
  readonly principal: { readonly name: string; readonly role: 'read' | 'write' };
  /** Whether the home lets the controller pause nodes. */
  readonly canPause: boolean;
  /** Whether the stream begins anew: the reader then forgets all earlier items. */
  readonly fresh: boolean;
}

/** The changes since the frame before. */
export interface ItemsFrame {
  readonly frame: 'items';
  readonly items: readonly LiveItem[];
  readonly gone: readonly { readonly kind: LiveKind; readonly key: string }[];
  /** The place in the stream. A reader that reconnects sends the place and gets only later changes. */
  readonly place: number;
  /** Whether further frames follow at once. */
  readonly more: boolean;
  /** Number of all items. */
  readonly total: number;
}

/** Says that nothing changed and that the controller still runs. */
export interface BeatFrame {
  readonly frame: 'beat';
  /** Seconds since the newest pass ended; absent: no pass has ended yet. */
  readonly passAge?: number;
}

export type LiveFrame = HelloFrame | ItemsFrame | BeatFrame;

/** Time between two beats, milliseconds. A reader that hears nothing for three times as long is cut off. */
export const BEAT_MS = 10_000;
