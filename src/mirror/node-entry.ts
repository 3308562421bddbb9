// One node's entry of a CR, as main keeps it: as written, and judged.

import { createHash } from 'node:crypto';
import { parse, stringify } from 'yaml';
import type { Problem } from '../api/errors.ts';
import { admitEntry, type AdmittedEntry } from '../network/admission.ts';
import type { WantedInterface } from '../network/interface.ts';
import { nodeIdKey } from '../network/text.ts';

/** A node's entry. When a CR names a node twice, all its entries are kept together and count for nothing. */
export interface Entry {
  /** File name below `nodes/<hh>/`, without `.yaml`: the node ID where that can be a path. */
  readonly key: string;
  readonly nodeId?: string;
  readonly nodeName?: string;
  /** Absent: the entry is bad and counts for nothing. */
  readonly wanted?: readonly WantedInterface[];
  readonly problems: readonly Problem[];
  /** What was written, as JSON: equal JSON is an equal entry. */
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

/** A bad entry is made anew: its problems name its place in the CR. */
function unchanged(known: Entry | undefined, group: readonly AdmittedEntry[]): Entry | undefined {
  const [first] = group;
  const good = known?.problems.length === 0 && group.length === 1 && first?.problems.length === 0;
  return good && known.json === JSON.stringify(first.raw) ? known : undefined;
}

/** What was judged of an entry before, if it was good. */
export function judgedBefore(known: ReadonlyMap<string, Entry> | undefined): typeof admitEntry {
  const byJson = new Map<string, Entry>();
  for (const each of known?.values() ?? []) if (each.problems.length === 0) byJson.set(each.json, each);
  return (raw, path) => {
    const found = byJson.get(JSON.stringify(raw));
    if (found?.wanted === undefined) return admitEntry(raw, path);
    const { nodeId, nodeName, wanted, problems } = found;
    return {
      raw,
      wanted,
      problems,
      ...(nodeId !== undefined && { nodeId }),
      ...(nodeName !== undefined && { nodeName }),
    };
  };
}

function entry(key: string, group: readonly AdmittedEntry[], text?: string): Entry {
  const first = group[0]!;
  const raw = group.length === 1 ? first.raw : { [TWICE]: group.map((each) => each.raw) };
  return {
    key,
    ...(first.nodeId !== undefined && { nodeId: first.nodeId }),
    ...(first.nodeName !== undefined && { nodeName: first.nodeName }),
    ...(group.length === 1 && first.wanted !== undefined && { wanted: first.wanted }),
    problems: group.flatMap((each) => each.problems),
    json: JSON.stringify(raw) ?? 'null',
    text: text ?? stringify(raw, { compat: 'yaml-1.1', lineWidth: 0 }),
  };
}

/** Reads an entry's file of main back. Whatever stands there is an entry, a bad one at worst: main never forgets. */
export function parseEntry(key: string, text: string): Entry {
  const path = `nodeConfigs[${key}]`;
  const parts = rawsOf(text);
  const admitted = parts.map((part, index) => ({ ...admitEntry(part, path), index }));
  const whole = entry(key, admitted, text);
  if (parts.length === 1) return whole;
  const message = `the node is named ${parts.length} times: keep one entry`;
  return { ...whole, problems: [{ path, code: 'DuplicateNode', message }, ...whole.problems] };
}

/** What the CR has for an entry's file: one entry, or all that name the node. */
export function rawsOf(text: string): unknown[] {
  const raw = parseOrText(text);
  const twice = typeof raw === 'object' && raw !== null && TWICE in raw ? raw[TWICE] : undefined;
  return Array.isArray(twice) && twice.length > 1 ? twice : [raw];
}

function parseOrText(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/** Key under which a file has all entries of a node that the CR names twice: a list could be an entry itself. */
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
