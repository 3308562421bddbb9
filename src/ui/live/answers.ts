// The answers of the API that the screens read.

import type { Interface } from '../../network/interface.ts';

export type Nic = Interface;

export interface NodeAnswer {
  readonly node: {
    readonly name: string;
    readonly nodeId: string;
    readonly renderer: string;
    readonly os?: { readonly family: string; readonly major: number };
  };
  readonly commit: string;
  readonly base?: string;
  readonly network: readonly Nic[];
  readonly files: Readonly<Record<string, string>>;
  readonly invalid?: string;
  readonly hold?: { readonly commit: string };
}

export interface HostAnswer {
  readonly commit?: string;
  readonly record?: {
    readonly result: string;
    readonly reason?: string;
    readonly message?: string;
    readonly time: number;
    readonly attempt: number;
    readonly job?: string;
    readonly tried?: string;
    readonly bootId?: string;
    readonly missing: readonly string[];
    readonly leftOut?: readonly string[];
    readonly by?: string;
  };
  readonly network: readonly Nic[];
  readonly files: Readonly<Record<string, string>>;
  readonly unreadable?: string;
}

export interface DriftAnswer {
  readonly commit: string;
}

export interface LogEntry {
  readonly commit: string;
  readonly time: number;
  readonly kind: string;
  readonly subject: string;
  readonly author: string;
  readonly principal?: string;
  readonly result?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly tried?: string;
  readonly mainCommit?: string;
  readonly endsHold?: string;
}

export interface HistoryEntry {
  readonly kind: 'change' | 'confirm' | 'push';
  readonly commit: string;
  readonly time: number;
  readonly subject: string;
  readonly author?: string;
  readonly principal?: string;
  readonly config?: string;
  readonly nodes?: readonly string[];
  readonly nodeCount?: number;
}

export interface HistoryAnswer {
  readonly entries: readonly HistoryEntry[];
  readonly searchedTo?: number;
}

export interface ChangeAnswer extends HistoryEntry {
  readonly body: string;
  readonly groups: readonly {
    readonly change: string;
    readonly nodes: readonly { readonly node: string; readonly commit: string }[];
  }[];
  readonly movedOn: readonly string[];
}

export interface PreviewAnswer {
  readonly nodes: readonly { readonly node: string; readonly change: string }[];
  readonly skipped: readonly { readonly node: string; readonly reason: string }[];
}

/** A NIC as the picture of a node shows it. */
export interface PicturedNic {
  readonly name: string;
  /** Absent: a link-only NIC. */
  readonly address: string | undefined;
  /** The network of the NIC: an address with its prefix, without the host's part. Absent: a link-only NIC. */
  readonly network: string | undefined;
  readonly mark: 'good' | 'wait' | 'bad';
}
