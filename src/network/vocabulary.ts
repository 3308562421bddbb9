// Every renderer reads a file in this way: take the values, render the result again, and refuse any key of the file
// that the rendering lacks or contradicts. So no second list of keys can drift from the renderer's.

import type { Problem } from '../api/errors.ts';
import type { Interface } from './interface.ts';
import { isPlainText } from './text.ts';
import type { Reason } from '../api/reasons/reasons.ts';

/** A file's keys by dotted path (`ipv4.method`), values as text. */
export type Keys = ReadonlyMap<string, string>;

export const HEADER =
  '# Managed by multinic-agent. Edit it in git (branch of this node) or in the MultiNicBizConfig, not on the host.';

const PORT = '# OpenStack port: ';
const TAKEOVER = '# Takeover: ';

/** Comment lines for the values that no OS has a key for; empty without such values. */
export function comments({ portId, takeover }: Pick<Interface, 'portId' | 'takeover'>): string {
  const port = portId === undefined ? '' : `${PORT}${portId}\n`;
  return takeover === true ? `${port}${TAKEOVER}true\n` : port;
}

/** Reads the values that a file holds as comments. */
export function readComments(
  path: string,
  text: string,
): Pick<Interface, 'portId' | 'takeover'> & { problems: Problem[] } {
  const problems: Problem[] = [];
  const read = (
    start: string,
    code: Reason,
    holds: (value: string) => boolean,
    what: string,
  ): string | undefined => {
    const lines = text.split('\n').filter((line) => line.startsWith(start.trimEnd()));
    const [line] = lines;
    if (line === undefined) return undefined;
    const value = line.slice(start.length);
    if (lines.length === 1 && line.startsWith(start) && holds(value)) return value;
    const message = `the comment "${start.trimEnd()}" is there more than once or holds no ${what}; keep one such line, or none`;
    problems.push({ path, code, message });
    return undefined;
  };
  const portId = read(PORT, 'InvalidPortId', isPlainText, 'plain text');
  const takeover = read(TAKEOVER, 'InvalidTakeover', (value) => value === 'true', '"true"');
  return {
    ...(portId !== undefined && { portId }),
    ...(takeover !== undefined && { takeover: true }),
    problems,
  };
}

/**
 * Compares the keys of a file with the keys that the renderer would write.
 * @param values keys whose text was parsed into the interface, in whatever spelling
 * @param lenient our keys may be absent
 */
export function compareKeys(
  path: string,
  actual: Keys,
  expected: Keys,
  values: ReadonlySet<string>,
  lenient: boolean,
): Problem[] {
  const problems: Problem[] = [];
  for (const [key, value] of actual) {
    const ours = expected.get(key);
    if (ours === undefined) {
      problems.push({
        path: `${path}: ${key}`,
        code: 'ForeignKey',
        message: 'is no key of ours; remove it',
      });
    } else if (ours !== value && !values.has(key)) {
      problems.push({
        path: `${path}: ${key}`,
        code: 'ForeignValue',
        message: `is ${JSON.stringify(value)}; write ${ours}`,
      });
    }
  }
  if (lenient) return problems;
  for (const [key, value] of expected) {
    if (actual.has(key)) continue;
    problems.push({ path: `${path}: ${key}`, code: 'MissingKey', message: `is missing; write ${value}` });
  }
  return problems;
}
