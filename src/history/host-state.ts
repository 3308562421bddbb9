// The state of a host by the newest record of its outcome branch.

import { MultinicError } from '../api/errors.ts';
import type { Interface, Network } from '../network/interface.ts';
import { nodeRef } from '../network/node-ref.ts';
import { rendererOf } from '../network/renderers.ts';
import { managedFiles } from '../network/tree.ts';
import type { Oid, Reader } from '../store/model/store-port.ts';
import { readBranch } from './node-branch.ts';
import { noSuchNode } from './no-such-node.ts';
import { parseOutcome, type OutcomeRecord } from './outcome-branch.ts';
import { outcomeRef } from './refs.ts';

export interface HostState {
  /** The newest record; absent: no run has ended on the host yet. */
  readonly commit?: Oid;
  readonly record?: OutcomeRecord;
  /** NICs of the managed files on the host. */
  readonly network: Network;
  readonly files: Readonly<Record<string, string>>;
  /** The reason why the host's files cannot be read as NICs of ours. */
  readonly unreadable?: string;
  /** NICs of the tip, for a comparison. */
  readonly desired: readonly Interface[];
}

/** @throws MultinicError `NoSuchNode` */
export async function hostState(reader: Reader, name: string): Promise<HostState> {
  const tip = await reader.ref(nodeRef(name));
  if (tip === undefined) throw noSuchNode(name);
  const branch = await readBranch(reader, name, tip);
  const desired = branch.network;
  const commit = await reader.ref(outcomeRef(name));
  const record = commit === undefined ? undefined : await reader.commit(commit);
  if (commit === undefined || record === undefined || record.parents.length === 0)
    return { network: [], files: {}, desired };
  const files = managedFiles(await reader.files(commit));
  const state = { commit, record: parseOutcome(record), files: Object.fromEntries(files), desired };
  try {
    return { ...state, network: rendererOf(branch.node.renderer).parse(files) };
  } catch (error) {
    if (!(error instanceof MultinicError)) throw error;
    return { ...state, network: [], unreadable: error.message };
  }
}
