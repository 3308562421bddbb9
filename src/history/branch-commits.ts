// The commits that the controller writes on a node's branch. Each function adds the commit of one decision to a batch
// and returns the branch's new head; other modules decide.

import { AUTO_OFF, autoFor, resolveAgain, type AutoRouting } from '../network/auto-routing.ts';
import { assignNames } from '../network/nic-names.ts';
import { indexOfName, wantedOf, type Network, type WantedInterface } from '../network/interface.ts';
import { isNetplanId } from '../network/netplan.ts';
import type { NodeIdentity } from '../network/node.ts';
import { managedFiles, renderTree, treeId } from '../network/tree.ts';
import type { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Mark, NewCommit, Oid, Person } from '../store/model/store-port.ts';
import type { Branch } from './node-branch.ts';
import type { AcceptedDrift } from './drifts.ts';
import type { OutcomeRecord } from './outcome-branch.ts';
import { describeChange, subject, TRAILER, type Kind } from './commit-format.ts';
import { nodeRef } from '../network/node-ref.ts';

/** The place on a branch where the next commit goes, with the network there. */
export interface Head {
  readonly parent: Oid | Mark;
  readonly node: NodeIdentity;
  readonly network: Network;
  readonly base: Network;
  readonly hold?: Branch['hold'];
  /** git tree id of the managed files. */
  readonly tree: Oid;
}

/** The cause of a spec commit: the trailers that lead back to the CR, and the author. */
export interface Cause {
  readonly author: Person;
  readonly trailers: NewCommit['trailers'];
  /** Earliest time of the commit, in seconds since 1970, or the mark of the commit of main that asks for it. */
  readonly notBefore?: number | Mark;
}

export function headOf(branch: Branch): Head {
  return {
    parent: branch.tip.oid,
    node: branch.node,
    network: branch.network,
    base: branch.base.network,
    tree: branch.tree,
    ...(branch.hold && { hold: branch.hold }),
  };
}

/** The birth commit of a branch: node.yaml without interfaces. A revert of the first configuration returns to it. */
export function birth(batch: Batch, node: NodeIdentity, cause: Cause): Head {
  const what = `birth, ${node.os.family} ${node.os.major}, ${node.renderer}`;
  const written = add(batch, undefined, 'birth', node, [], what, cause);
  return { ...written, node, network: [], base: [] };
}

/** Commits the interfaces that the CR wants; names follow the MACs. The commit ends a hold and says so. */
export function spec(
  batch: Batch,
  head: Head,
  wanted: readonly WantedInterface[],
  cause: Cause,
  auto: AutoRouting = AUTO_OFF,
): Head {
  const network = assignNames(wanted, head.network, head.base, autoFor(wanted, auto));
  const back = head.hold === undefined ? undefined : describeChange(head.network, network);
  const what = back === undefined ? describeChange(head.network, network) : `hold ended: ${back}`;
  const trailers: NewCommit['trailers'] =
    head.hold === undefined ? cause.trailers : [...cause.trailers, [TRAILER.endsHold, head.hold.commit]];
  const written = add(
    batch,
    head.parent,
    'spec',
    head.node,
    network,
    what,
    { ...cause, trailers },
    head.network,
  );
  return { ...written, node: head.node, network, base: network };
}

/** Commits the tip's network for a changed identity, or with names that the host already uses. A hold goes on. */
export function identity(
  batch: Batch,
  head: Head,
  node: NodeIdentity,
  network: Network,
  what: string,
  cause: Cause = { author: CONTROLLER, trailers: [] },
): Head {
  const kept = inVocabularyOf(node, network);
  const written = add(batch, head.parent, 'identity', node, kept, what, cause, head.network);
  return { ...head, ...written, node, network: kept };
}

/** Commits the tip's network with the names and netplan IDs that the host's NICs already have. A hold goes on. */
export function adopt(batch: Batch, head: Head, found: OutcomeRecord['found']): Head {
  const byMac = new Map(adoptable(head.node, found).map((each) => [each.mac, each]));
  const routed = new Set(head.network.filter((nic) => nic.sourceRouting === true).map(({ mac }) => mac));
  const wanted = head.network.map(wantedOf).map((nic): WantedInterface => {
    const name = byMac.get(nic.mac)?.name;
    return name === undefined ? nic : { ...nic, name };
  });
  const asBefore = ({ mac }: WantedInterface): boolean => routed.has(mac);
  const network = assignNames(wanted, head.network, head.base, asBefore).map((nic) => {
    const netplanId = byMac.get(nic.mac)?.netplanId;
    return netplanId === undefined ? nic : { ...nic, netplanId };
  });
  const names = [...byMac.values()].map(({ name }) => name).join(', ');
  return identity(batch, head, head.node, network, `adopt names of the host: ${names}`);
}

/** Found names that can be adopted: managed names, each once, with netplan IDs if the renderer has a place for them. */
export function adoptable(node: NodeIdentity, found: OutcomeRecord['found']): OutcomeRecord['found'] {
  const names = new Set<string>();
  return found.flatMap(({ mac, name, netplanId }) => {
    if (indexOfName(name) === undefined || names.has(name)) return [];
    names.add(name);
    const id = node.renderer === 'netplan' && netplanId !== undefined && isNetplanId(netplanId);
    return [{ mac, name, ...(id && { netplanId }) }];
  });
}

/**
 * Commits the tip's network as today's renderer, or another one, writes it, with source routing resolved again. A hold
 * goes on.
 */
export function rerender(
  batch: Batch,
  head: Head,
  node: NodeIdentity,
  by: Cause,
  auto: AutoRouting = AUTO_OFF,
): Head {
  const network = resolveAgain(inVocabularyOf(node, head.network), auto);
  const what = `rerender with ${node.renderer}`;
  const written = add(batch, head.parent, 'rerender', node, network, what, by, head.network);
  return { ...head, ...written, node, network };
}

/** Commits an earlier network at a person's request, as today's renderer writes it. */
export function rollback(batch: Batch, head: Head, network: Network, to: Oid, by: Cause): Head {
  const what = `roll back to ${to.slice(0, 10)}: ${describeChange(head.network, network)}`;
  const target = inVocabularyOf(head.node, network);
  const written = add(batch, head.parent, 'rollback', head.node, target, what, by, head.network);
  return { ...head, ...written, network: target };
}

/** Commits the changes that somebody made on the host, as a person's edit: it holds until the CR changes the node. */
export function edit(
  batch: Batch,
  head: Head,
  { files, network }: AcceptedDrift,
  drift: Oid,
  by: Cause,
): Head {
  const what = `accept what the host has: ${describeChange(head.network, network)}`;
  const parent = batch.commit({
    parents: [head.parent],
    replace: true,
    files,
    author: by.author,
    subject: subject(head.node.name, what),
    trailers: [[TRAILER.accepts, drift], ...by.trailers],
  });
  return { ...head, parent, network, tree: treeId(managedFiles(files)) };
}

/** Moves the branch to the newest commit that was built on it. */
export function move(batch: Batch, node: string, head: Head, from: Oid | null): void {
  batch.move(nodeRef(node), head.parent, from);
}

/** Drops netplan IDs unless the renderer is netplan: other files have no place for them. */
function inVocabularyOf(node: NodeIdentity, network: Network): Network {
  return node.renderer === 'netplan' ? network : network.map(({ netplanId: _, ...nic }) => nic);
}

function add(
  batch: Batch,
  parent: Oid | Mark | undefined,
  kind: Kind,
  node: NodeIdentity,
  network: Network,
  what: string,
  cause: Cause,
  before: Network = [],
): Pick<Head, 'parent' | 'tree'> {
  const body = describeChange(before, network);
  const files = renderTree(node, network);
  const mark = batch.commit({
    parents: parent === undefined ? [] : [parent],
    replace: true,
    files,
    author: cause.author,
    subject: subject(node.name, what),
    ...(what.endsWith(body) && what.length < 100 ? {} : { body }),
    trailers: [[TRAILER.change, kind], ...cause.trailers],
    ...(cause.notBefore !== undefined && { notBefore: cause.notBefore }),
  });
  return { parent: mark, tree: treeId(managedFiles(files)) };
}
