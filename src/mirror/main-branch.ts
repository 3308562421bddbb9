// The branch `main`: one commit for each generation of a CR that was seen; bad entries are kept as written.

import { isDeepStrictEqual } from 'node:util';
import { parse, stringify } from 'yaml';
import { ourAnnotations } from '../api/annotations.ts';
import type { AdmittedConfig } from '../network/admission.ts';
import type { ConfigRef } from '../network/node.ts';
import { nodeIdKey } from '../network/text.ts';
import { formatConfigRef, TRAILER, type Trailers } from '../history/commit-format.ts';
import type { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import { OWN_TREE } from '../store/model/tree-bounds.ts';
import type { Commit, Listing, Mark, Oid, Reader } from '../store/model/store-port.ts';
import { entriesOf, parseEntry, pathOf, rawsOf, type Entry } from './node-entry.ts';
import type { ConfigObject, KnownConfig } from './home-port.ts';

/** A CR as main has it. */
export interface MainConfig extends KnownConfig {
  /** Our own annotations only. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly entries: ReadonlyMap<string, Entry>;
  /** Text of cr.yaml. */
  readonly text: string;
}

/** All CRs at one commit of main, by `group/namespace/name`. */
export interface MainState {
  readonly commit: Oid;
  readonly configs: ReadonlyMap<string, MainConfig>;
}

/** Reads main at a commit. Entries whose text stands in `known` are not parsed again. */
export async function readMain(reader: Reader, commit: Oid, known?: MainState): Promise<MainState> {
  const files = await reader.files(commit, 'configs', OWN_TREE);
  const configs = new Map<string, MainConfig>();
  for (const [path, text] of files) {
    const match = /^(?:configs\/)?([^/]+)\/([^/]+)\/([^/]+)\/cr\.yaml$/.exec(path);
    if (match === null) continue;
    const ref = { group: match[1]!, namespace: match[2]!, name: match[3]! };
    configs.set(formatConfigRef(ref), { ...parseConfig(ref, text), entries: new Map() });
  }
  for (const [path, text] of files) {
    const match = /^(?:configs\/)?([^/]+\/[^/]+\/[^/]+)\/nodes\/[0-9a-f]{2}\/(.+)\.yaml$/.exec(path);
    const config = match === null ? undefined : configs.get(match[1]!);
    if (match === null || config === undefined) continue;
    const key = match[2]!;
    const before = known?.configs.get(match[1]!)?.entries.get(key);
    (config.entries as Map<string, Entry>).set(key, before?.text === text ? before : parseEntry(key, text));
  }
  return { commit, configs };
}

/** The CR as main should have it. @param known the CR as main has it now */
export function mainConfig(
  object: ConfigObject,
  admitted: AdmittedConfig,
  known: MainConfig | undefined,
): MainConfig {
  const read = Object.fromEntries(
    Object.entries(ourAnnotations(object.annotations)).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  // The same annotations stay the same object, so that an edit of one entry concerns no other node.
  const annotations = isDeepStrictEqual(known?.annotations, read) ? known!.annotations : read;
  // A home that does not know the origin now must not erase the origin that main has.
  const origin = object.origin ?? (known?.uid === object.uid ? known.origin : undefined);
  const config = {
    ref: object.ref,
    uid: object.uid,
    generation: object.generation,
    annotations,
    ...(origin !== undefined && { origin }),
    rest: admitted.rest,
  };
  return { ...config, entries: entriesOf(admitted.entries, known?.entries), text: renderConfig(config) };
}

/** Whether main already has the home's state of a CR. */
export function sameConfig(a: MainConfig | undefined, b: MainConfig): boolean {
  if (a === b) return true;
  return (
    a !== undefined &&
    a.text === b.text &&
    a.entries.size === b.entries.size &&
    [...b.entries].every(([key, entry]) => a.entries.get(key)?.json === entry.json)
  );
}

/** Adds the commit that takes a CR of main from one state to another; an undefined `after` removes it. */
export function commitConfig(
  batch: Batch,
  parent: Oid | Mark,
  before: MainConfig | undefined,
  after: MainConfig | undefined,
  writer = CONTROLLER,
): Mark {
  const { ref } = (after ?? before)!;
  const folder = `configs/${formatConfigRef(ref)}`;
  const files = new Map<string, string | null>();
  if (after === undefined) files.set(folder, null);
  else if (before?.text !== after.text) files.set(`${folder}/cr.yaml`, after.text);
  const touched: string[] = [];
  for (const key of new Set([...(before?.entries.keys() ?? []), ...(after?.entries.keys() ?? [])])) {
    const was = before?.entries.get(key);
    const is = after?.entries.get(key);
    if (was?.json === is?.json) continue;
    touched.push(labelOf(is ?? was, key));
    if (after !== undefined) files.set(`${folder}/nodes/${pathOf(key)}`, is?.text ?? null);
  }
  return batch.commit({
    parents: [parent],
    files,
    author: writer,
    subject: `${ref.namespace}/${ref.name}: ${after === undefined ? 'removed' : summarise(before, after, touched)}`,
    ...(touched.length > 3 && touched.length <= 100 && { body: touched.join('\n') }),
    trailers: causeOf(after ?? before!),
  });
}

/** The trailers that lead from a commit back to its CR. */
export function causeOf(config: MainConfig): Trailers {
  const specHash = config.rest['specHash'];
  return [
    [TRAILER.config, formatConfigRef(config.ref)],
    [TRAILER.uid, config.uid],
    [TRAILER.generation, String(config.generation)],
    ...(typeof specHash === 'string' && ONE_WORD.test(specHash)
      ? [[TRAILER.specHash, specHash] as const]
      : []),
  ];
}

/** The commits of main after `from` (all, when undefined), oldest first. */
export async function commitsSince(reader: Reader, tip: Oid, from: Oid | undefined): Promise<Commit[]> {
  const commits: Commit[] = [];
  for (let next: Oid | undefined = tip; next !== undefined && next !== from;) {
    const commit: Commit = await reader.commit(next);
    commits.push(commit);
    next = commit.parents[0];
  }
  return commits.reverse();
}

/** Keys of the node IDs whose entries a commit of main changed, whichever CR has them. */
export async function changedNodes(reader: Reader, commit: Commit): Promise<ReadonlySet<string>> {
  const list = async (oid: Oid | undefined): Promise<Listing> =>
    oid === undefined ? new Map() : reader.list(oid, 'configs', OWN_TREE);
  const [before, after] = await Promise.all([list(commit.parents[0]), list(commit.oid)]);
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => before.get(path)?.oid !== after.get(path)?.oid,
  );
  return new Set(
    changed.flatMap((path) => {
      const [, key] = /\/nodes\/[0-9a-f]{2}\/(.+)\.yaml$/.exec(path) ?? [];
      return key === undefined ? [] : [nodeIdKey(key)];
    }),
  );
}

/** The spec as main has it, with the entries in main's order and not in the CR's. */
export function specOf(config: Pick<KnownConfig, 'rest' | 'entries'>): Record<string, unknown> {
  const nodeConfigs = [...config.entries.values()].flatMap(({ text }) => rawsOf(text));
  return { ...config.rest, nodeConfigs };
}

/** Texts of a CR that may stand in a trailer: one word, because a text of several lines could forge trailers. */
const ONE_WORD = /^[\x21-\x7e]{1,128}$/;

function labelOf(entry: Entry | undefined, key: string): string {
  return entry?.nodeName !== undefined && ONE_WORD.test(entry.nodeName) ? entry.nodeName : key;
}

function summarise(before: MainConfig | undefined, after: MainConfig, touched: readonly string[]): string {
  const nodes =
    touched.length === 0 ? 'no node' : touched.length <= 3 ? touched.join(', ') : `${touched.length} nodes`;
  return before === undefined ? `new, ${nodes}` : `generation ${after.generation}, ${nodes} changed`;
}

function renderConfig(config: Omit<MainConfig, 'entries' | 'text'>): string {
  const { ref, uid, generation, annotations, origin, rest } = config;
  return stringify(
    {
      apiVersion: `${ref.group}/v1`,
      kind: 'MultiNicBizConfig',
      metadata: { name: ref.name, namespace: ref.namespace, uid, generation, annotations },
      ...(origin !== undefined && { origin }),
      spec: rest,
    },
    { compat: 'yaml-1.1', lineWidth: 0 },
  );
}

function parseConfig(ref: ConfigRef, text: string): Omit<MainConfig, 'entries'> {
  const { metadata, origin, spec } = parse(text) as {
    metadata: Pick<MainConfig, 'uid' | 'generation' | 'annotations'>;
    origin?: Record<string, string>;
    spec: Record<string, unknown> | null;
  };
  return {
    ref,
    uid: metadata.uid,
    generation: metadata.generation,
    annotations: metadata.annotations ?? {},
    ...(origin !== undefined && { origin }),
    rest: spec ?? {},
    text,
  };
}
