// Limits for texts from a CR, by the place that they go to: paths, refs, commit messages, comments of files.

/**
 * One line of visible text: no control, format (bidirectional overrides) or unassigned characters, no line
 * separators, no blank at either end, no trailing backslash (a continuation to some ini readers), no angle
 * bracket (fast-import's delimiters).
 */
export function isPlainText(text: string, maxLength = 253): boolean {
  return (
    text.length <= maxLength &&
    /^(?:[^\p{C}\p{Z}<>]| )+$/u.test(text) &&
    text === text.trim() &&
    !text.endsWith('\\')
  );
}

/**
 * Control characters (U+0085 among them) except LF, line and paragraph separators, format characters and lone
 * surrogates.
 */
const HIDDEN = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}\p{Cf}\p{Cs}]/u;

/**
 * The first character of a file that a reader of an OS may take for the end of a line, or that a person does not see:
 * netplan ends a comment at CR, U+0085, U+2028 and U+2029, systemd ends a line at CR and NUL.
 */
export function findHidden(text: string): { readonly line: number; readonly codePoint: string } | undefined {
  const at = text.search(HIDDEN);
  if (at === -1) return undefined;
  const digits = (text.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return { line: text.slice(0, at).split('\n').length, codePoint: `U+${digits}` };
}

/** Like `HIDDEN`, but allows joiners, because Persian and Hindi names contain them. */
const UNPRINTABLE = /(?!\u200C|\u200D|\n)[\p{Cc}\p{Zl}\p{Zp}\p{Cf}\p{Cs}]/gu;

/**
 * Foreign text for a terminal or a status: `?` stands for each character that could move a cursor or hide the text
 * after it.
 */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, '?');
}

/** Like `printable`, on one line of bounded length. */
export function printableLine(text: string, maxLength: number): string {
  const line = printable(text.length > maxLength ? `${text.slice(0, maxLength - 3)}...` : text);
  return line.replaceAll('\n', ' ');
}

/** JSON with an escape for each character that a terminal would obey. */
export function printableJson(json: string): string {
  return json.replaceAll(UNPRINTABLE, (character) =>
    Array.from(
      { length: character.length },
      (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}

/** `1 node`, `2 nodes`. @param nouns the plural if it is not the noun and an s */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`;
}

/** Whether a text may be an attachedNodeId, which is also a path component, a part of a Job's name and a label. */
export function isNodeId(text: string): boolean {
  return (
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(text) &&
    !text.includes('..') &&
    !text.toLowerCase().endsWith('.lock')
  );
}

const NODE_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL_VALUE = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** Whether Kubernetes lets a node have this name, or the hostname label this value. */
export function isNodeName(text: string): boolean {
  return LABEL_VALUE.test(text) || (text.length <= 253 && NODE_NAME.test(text));
}

/** The key that compares IDs without dashes and in lower case, because firmware spells UUIDs in different ways. */
export function nodeIdKey(id: string): string {
  return id.replaceAll('-', '').toLowerCase();
}
