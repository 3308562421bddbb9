// The hold: a person changed the network of a node (a rollback, an edit), so its branch no longer says what the CR says.

import { sameNetwork, type Network } from '../network/interface.ts';
import { isControllerAddress } from '../store/model/committer.ts';
import type { Commit, Oid, Person } from '../store/model/store-port.ts';
import { signedBy, trailer, TRAILER } from './commit-format.ts';

/** A change of the network that a person made and the CR did not ask for. The hold stands until the CR changes. */
export interface Hold {
  /** The commit that made the network differ from the base's. */
  readonly commit: Oid;
  readonly author: Person;
  /** The authenticated account, if a command made the commit; the audit has the account of a push. */
  readonly principal?: string;
  /** Seconds since 1970. */
  readonly since: number;
}

/** Whether a node is held: the network of its tip differs from the network of its base, and nothing else counts. */
export function isHeld(network: Network, base: Network): boolean {
  return !sameNetwork(network, base);
}

/**
 * Finds the oldest commit since which the network has differed from the base's without a break.
 * @param older commits below the tip, newest first
 * @param isBase whether a commit is the base, or has its network
 * @param earlier the hold of the commit below these
 */
export async function findHold(
  [tip, ...older]: readonly [tip: Commit, ...older: Commit[]],
  isBase: (commit: Commit) => Promise<boolean>,
  earlier: Hold | undefined,
): Promise<Hold> {
  let first = tip;
  for (const commit of older) {
    if (await isBase(commit)) return holdBy(first);
    first = commit;
  }
  return earlier ?? holdBy(first);
}

function holdBy(commit: Commit): Hold {
  const { oid, author, committer } = commit;
  const principal = isControllerAddress(committer.email) ? trailer(commit, TRAILER.by) : undefined;
  return {
    commit: oid,
    author: { name: author.name, email: author.email },
    ...(principal !== undefined && { principal }),
    since: committer.time,
  };
}

/** Describes a hold for people: its start, its author, its commit, and the ways to end it. */
export function describeHold({ since, author, principal, commit }: Hold): string {
  const time = new Date(since * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
  return `held since ${time} by ${signedBy(author.name, principal)} (${commit.slice(0, 10)}): the CR's next change of this node, or a release, ends it`;
}
