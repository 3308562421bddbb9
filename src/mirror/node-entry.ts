// One node's entry of a CR as main keeps it: the text as written, with its judgement.

import { linkLocalProblem } from '../network/link-local.ts';
import { createHash } from 'node:crypto';
import { parse, stringify } from 'yaml';
import type { Problem } from '../api/errors.ts';
import { admitEntry, withProblems, type AdmittedEntry, type JudgedEntry } from '../network/admission.ts';
import type { WantedInterface } from '../network/interface.ts';
import { nodeIdKey } from '../network/text.ts';

/** A node's entry. If a CR names a node twice, main keeps all its entries in one file, and none of them counts. */
export interface Entry {
  /** File name below `nodes/<hh>/`, without `.yaml`: the node ID where that can be a path. */
  readonly key: string;
  readonly nodeId?: string;
  readonly nodeName?: string;
  /** Absent if the entry is bad and does not count. */
  readonly wanted?: readonly WantedInterface[];
  readonly problems: readonly Problem[];
  /** The entry as JSON, for comparison: equal JSON means an equal entry. */
  readonly json: string;
  /** The file's text. */
  readonly text: string;
}

/** A file name of at most 255 bytes with `.yaml`, and nothing that a path could misread. */
const PATH_SAFE = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?$/;

/**
 * Groups a CR's admitted entries by node; the order of the CR does not matter.
 * @param known entries that stay the same objects where nothing changed, so that unchanged nodes cost nothing
 */
export function entriesOf(
  admitted: readonly AdmittedEntry[],
  known?: ReadonlyMap<string, Entry>,
): Map<string, Entry> {
  const byNode = new Map<string, AdmittedEntry[]>();
  for (const each of admitted) {
    const node = each.nodeId === undefined ? keyOf(each) : nodeIdKey(each.nodeId);
    byNode.set(node, [...(byNode.get(node) ?? []), each]);
  }
  return new Map(
    [...byNode.values()].map((group) => {
      const key = keyOf(group[0]!);
      return [key, unchanged(known?.get(key), group) ?? entry(key, group)];
    }),
  );
}

/** A bad entry is never reused, because its problems name its place in the CR. */
function unchanged(known: Entry | undefined, group: readonly AdmittedEntry[]): Entry | undefined {
  const [first] = group;
  const good = known?.problems.length === 0 && group.length === 1 && first?.problems.length === 0;
  return good && known.json === JSON.stringify(first.raw) ? known : undefined;
}

/** Verdicts on the good entries of main, by the entries' JSON. */
export function judgedBefore(known: ReadonlyMap<string, Entry> | undefined): Map<string, JudgedEntry> {
  const byJson = new Map<string, JudgedEntry>();
  for (const { json, nodeId, nodeName, wanted, problems } of known?.values() ?? []) {
    if (wanted === undefined || problems.length > 0) continue;
    byJson.set(json, {
      wanted,
      problems,
      ...(nodeId !== undefined && { nodeId }),
      ...(nodeName !== undefined && { nodeName }),
    });
  }
  return byJson;
}

function entry(key: string, group: readonly AdmittedEntry[], text?: string): Entry {
  const first = group[0]!;
  const refused = group.some(({ problems }) => problems.some(({ code }) => code === 'LinkLocalAddress'));
  const raw = group.length === 1 ? first.raw : { [TWICE]: group.map((each) => each.raw) };
  const json = JSON.stringify(raw) ?? 'null';
  return {
    key,
    ...(first.nodeId !== undefined && { nodeId: first.nodeId }),
    ...(first.nodeName !== undefined && { nodeName: first.nodeName }),
    ...(group.length === 1 && first.wanted !== undefined && { wanted: first.wanted }),
    problems: group.flatMap((each) => each.problems),
    json,
    text: text ?? `${refused ? REFUSED : ''}${textOf(raw, json)}`,
  };
}

/**
 * First line of an entry that was refused when it was new. An earlier version may have taken an entry without this
 * line.
 */
const REFUSED = '# Refused: a new link-local address\n';

/** Reads an entry's file of main. An unreadable file is a bad entry, so that its node keeps its interfaces. */
export function parseEntry(key: string, text: string): Entry {
  const path = `nodeConfigs[${key}]`;
  const parts = rawsOf(text);
  const admitted = parts.map((part, index) => {
    const each = { ...admitEntry(part, path), index };
    return text.startsWith(REFUSED) ? withProblems(each, linkLocals(each, path)) : each;
  });
  const whole = entry(key, admitted, text);
  if (parts.length === 1) return whole;
  const message = `the node is named ${parts.length} times: keep one entry`;
  return { ...whole, problems: [{ path, code: 'DuplicateNode', message }, ...whole.problems] };
}

function linkLocals({ wanted = [] }: Pick<AdmittedEntry, 'wanted'>, path: string): Problem[] {
  return wanted.flatMap((nic, index) => linkLocalProblem(nic, `${path}.interfaces[${index}].address`) ?? []);
}

/** The raw entries in an entry's file: one entry, or all entries that name the node. */
export function rawsOf(text: string): unknown[] {
  const raw = parseOrText(text);
  const twice = typeof raw === 'object' && raw !== null && TWICE in raw ? raw[TWICE] : undefined;
  return Array.isArray(twice) && twice.length > 1 ? twice : [raw];
}

/**
 * The file's text: YAML, or JSON where YAML would read back differently (the library drops blanks before a line feed).
 * A text that reads back differently would look like a change of the CR to every later process.
 */
function textOf(raw: unknown, json: string): string {
  const text = stringify(raw, { compat: 'yaml-1.1', lineWidth: 0 });
  if (!FRAGILE.test(json) || JSON.stringify(parseOrText(text)) === json) return text;
  return `${JSON.stringify(raw, undefined, 2)}\n`;
}

/** Line feeds, tabs, byte order marks, and blanks at the end of a text. */
const FRAGILE = /\\[nrt]|" | "|\uFEFF/;

function parseOrText(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/** Key of the list of entries for a node that the CR names twice. A bare list could be a bad entry itself. */
const TWICE = 'duplicates';

/** `<hh>/<key>.yaml`: hashed folders keep a change of one node small. */
export function pathOf(key: string): string {
  return `${createHash('sha256').update(key).digest('hex').slice(0, 2)}/${key}.yaml`;
}

function keyOf(admitted: AdmittedEntry): string {
  if (admitted.nodeId !== undefined && PATH_SAFE.test(admitted.nodeId)) return admitted.nodeId;
  return `entry-${createHash('sha256')
    .update(JSON.stringify(admitted.raw) ?? '')
    .digest('hex')
    .slice(0, 16)}`;
}
