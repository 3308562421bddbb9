// Describes a node at a commit, and the difference between two commits.

import { MultinicError } from '../api/errors.ts';
import type { Network } from '../network/interface.ts';
import { nodeRef } from '../network/node-ref.ts';
import { fieldsOf, type NodeFields } from '../network/node.ts';
import { NODE_FILE } from '../network/tree.ts';
import { AUDIT_REF } from '../store/model/store-refs.ts';
import type { Oid, Reader } from '../store/model/store-port.ts';
import { pushedBranches } from '../store/push/audit.ts';
import { trailer } from './commit-format.ts';
import { readBranch, type Branch } from './node-branch.ts';
import { parseOutcome, type OutcomeRecord } from './outcome-branch.ts';
import { outcomeRef } from './refs.ts';
import { PUSHES_LOOK_BACK, tipOf } from './timeline.ts';
/** A node at its tip, or at an earlier commit of its branch. */
export interface NodeDescription {
  readonly node: NodeFields;
  readonly commit: Oid;
  readonly subject: string;
  readonly network: Network;
  readonly files: Readonly<Record<string, string>>;
  readonly base?: Oid;
  readonly hold?: Branch['hold'];
  readonly invalid?: string;
  readonly outcome?: OutcomeRecord;
}

/** @throws MultinicError `NoSuchNode`, `NotInBranch` */
export async function describe(reader: Reader, name: string, at?: string): Promise<NodeDescription> {
  const tip = await tipOf(reader, name);
  const commit = at === undefined ? tip : await commitOf(reader, name, at);
  const branch = await readBranch(reader, name, commit);
  const newest = commit === tip ? await reader.ref(outcomeRef(name)) : undefined;
  const principal =
    branch.hold && (branch.hold.principal ?? (await pusherOf(reader, name, branch.hold.commit)));
  const outcome = newest === undefined ? undefined : await reader.commit(newest);
  return {
    node: fieldsOf(branch.node),
    commit,
    subject: branch.tip.subject,
    network: branch.network,
    files: Object.fromEntries(await reader.files(commit)),
    ...(branch.base.commit && { base: branch.base.commit.oid }),
    ...(branch.hold && { hold: { ...branch.hold, ...(principal !== undefined && { principal }) } }),
    ...(branch.invalid && { invalid: branch.invalid.message }),
    ...(outcome !== undefined && outcome.parents.length > 0 && { outcome: parseOutcome(outcome) }),
  };
}

export interface DiffQuery {
  readonly from?: string;
  readonly to?: string;
  /** Compares the files on the host with the wanted files. */
  readonly host?: boolean;
}

/** A unified diff: of the newest change, between two commits of the branch, or between host and desired. */
export async function diff(
  reader: Reader,
  node: string,
  { from, to, host = false }: DiffQuery,
): Promise<string> {
  const tip = await tipOf(reader, node);
  if (host) {
    const outcome = await reader.ref(outcomeRef(node));
    return reader.diff(outcome ?? null, tip, [`:(exclude)${NODE_FILE}`]);
  }
  const target = to === undefined ? tip : await commitOf(reader, node, to);
  const source =
    from === undefined
      ? ((await reader.commit(target)).parents[0] ?? null)
      : await commitOf(reader, node, from);
  const outcomes = await reader.ref(outcomeRef(node));
  const isOutcome = async (commit: Oid | null): Promise<boolean> =>
    commit !== null && outcomes !== undefined && !(await reader.isAncestor(commit, tip));
  // A record of the host has files of the host only.
  const mixed = (await isOutcome(source)) || (await isOutcome(target));
  return reader.diff(source, target, mixed ? [`:(exclude)${NODE_FILE}`] : []);
}

/** The principal who pushed a commit; undefined if no recorded push brought it. */
export async function pusherOf(reader: Reader, node: string, commit: Oid): Promise<string | undefined> {
  const tip = await reader.ref(AUDIT_REF);
  if (tip === undefined) return undefined;
  const ref = nodeRef(node);
  for (const record of await reader.log(tip, { firstParent: true, limit: PUSHES_LOOK_BACK })) {
    const push = pushedBranches(record).find((each) => each.ref === ref);
    if (push === undefined) continue;
    if (
      push.new === commit ||
      ((await reader.isAncestor(commit, push.new)) && !(await reader.isAncestor(commit, push.old)))
    )
      return trailer(record, 'Principal');
  }
  return undefined;
}

/** Resolves an abbreviated commit ID, if the commit is on one of the node's branches. */
async function commitOf(reader: Reader, node: string, text: string): Promise<Oid> {
  const commit = await reader.resolve(text);
  for (const ref of [nodeRef(node), outcomeRef(node)]) {
    const tip = await reader.ref(ref);
    if (tip !== undefined && (await reader.isAncestor(commit, tip))) return commit;
  }
  throw new MultinicError(
    'NotInBranch',
    `${text} is no commit of node ${node}: multinic log ${node} lists them`,
    { data: { node, commit } },
  );
}
