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

/** attachedNodeId: a path component, part of a Job's name, a label. */
export function isNodeId(text: string): boolean {
  return (
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(text) &&
    !text.includes('..') &&
    !text.toLowerCase().endsWith('.lock')
  );
}

/** IDs are compared without dashes and case: firmware spells a UUID as it likes. */
export function nodeIdKey(id: string): string {
  return id.replaceAll('-', '').toLowerCase();
}

const MAC = /^(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$/;

/** Lower case with colons; undefined when it is no MAC. */
export function normalizeMac(text: string): string | undefined {
  return MAC.test(text) ? text.toLowerCase() : undefined;
}
