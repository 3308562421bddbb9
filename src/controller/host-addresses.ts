// The addresses that each node's host has or may have, from its outcomes and its jobs. What a commit or an outcome says
// is remembered until the node has another one.

import { hasCode, MultinicError, concerns } from '../api/errors.ts';
import { parseOid } from '../api/oid.ts';
import { networkAt, type Branch } from '../history/node-branch.ts';
import { isOnHost, type OutcomeRecord } from '../history/outcome-branch.ts';
import { addressesOf, type WantedInterface } from '../network/interface.ts';
import { AddressHolders } from '../scheduler/address-holders.ts';
import type { NodeAddresses } from '../scheduler/due.ts';
import type { JobStatus } from '../scheduler/job-port.ts';
import type { Oid, Reader } from '../store/model/store-port.ts';

interface Known {
  /** Commits from which the value was made. */
  readonly key: string;
  readonly asked: readonly WantedInterface[];
  readonly value: NodeAddresses;
}

type Nics = readonly Pick<WantedInterface, 'mac' | 'address' | 'prefix' | 'furtherAddresses'>[];

export class HostAddresses {
  /** The nodes that may have an address. */
  readonly holders = new AddressHolders();
  readonly #reader: Reader;
  readonly #known = new Map<string, Known>();

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /**
   * @param jobs the node's jobs, of which each may put its commit on the host
   * @param asked interfaces that the CR gives the node
   */
  async read(
    branch: Branch,
    history: readonly OutcomeRecord[],
    jobs: readonly JobStatus[],
    asked: readonly WantedInterface[],
  ): Promise<NodeAddresses> {
    const { name } = branch;
    const doubtful = [...new Set([...unfinished(history, jobs), ...unknownRuns(history)])];
    const key = [branch.tip.oid, history[0]?.oid, ...doubtful].join(' ');
    const known = this.#known.get(name);
    if (known?.key === key && known.asked === asked) return known.value;
    const applied = addressSet(await this.#applied(branch, history));
    const others = await Promise.all(doubtful.map((commit) => this.#at(branch, commit)));
    const value = {
      nics: branch.network.map((nic) => ({ mac: nic.mac, addresses: addressesOf(nic) })),
      asked: addressSet(asked),
      applied,
    };
    this.holders.set(name, applied.union(addressSet(others.flat())));
    this.#known.set(name, { key, asked, value });
    return value;
  }

  /** Forgets all nodes but these. */
  keep(nodes: { has(node: string): boolean }): void {
    for (const name of this.#known.keys()) if (!nodes.has(name)) this.#known.delete(name);
    this.holders.keep(nodes);
  }

  /** NICs on the host by the newest outcome. */
  async #applied(branch: Branch, history: readonly OutcomeRecord[]): Promise<Nics> {
    const tree = history[0]?.tree;
    if (tree === branch.tree) return branch.network;
    // A drift has a tree of its own. The addresses of the newest run count on, because a repair brings them back.
    const put = history.find(isOnHost);
    if (put?.tried === undefined) return [];
    const absent = [...put.missing, ...(put.leftOut ?? [])];
    return (await this.#at(branch, put.tried)).filter(({ mac }) => !absent.includes(mac));
  }

  /** NICs of a commit; none of a commit that cannot be read, for which the agent asks the network. */
  async #at(branch: Branch, commit: Oid): Promise<Nics> {
    if (commit === branch.tip.oid) return branch.network;
    try {
      return await networkAt(this.#reader, commit);
    } catch (error) {
      if (!(error instanceof MultinicError)) throw error;
      if (concerns(error, 'tip') || hasCode(error, 'NotFound')) return [];
      throw error;
    }
  }
}

/** Commits of jobs whose outcome is not recorded. */
function unfinished(history: readonly OutcomeRecord[], jobs: readonly JobStatus[]): Oid[] {
  const recorded = new Set(history.map(({ job }) => job));
  return jobs.filter(({ name }) => !recorded.has(name)).flatMap(({ commit }) => parseOid(commit) ?? []);
}

/** Commits that may be on the host since the newest run whose result is known. */
function unknownRuns(history: readonly OutcomeRecord[]): Oid[] {
  const known = history.findIndex(isOnHost);
  return history.slice(0, known === -1 ? undefined : known).flatMap((run) => {
    if (run.result === 'Unknown' || run.reason === 'RestoreFailed') return run.tried ?? [];
    return run.result === 'Diverged' ? (run.record ?? []) : [];
  });
}

function addressSet(nics: Nics): Set<string> {
  return new Set(nics.flatMap(addressesOf));
}
