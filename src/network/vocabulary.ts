// How every renderer reads its files: values are taken where they stand, the result is rendered again, and what
// the file says beyond or against that is foreign. So there is no second list of keys that could drift.

import type { Problem } from '../api/errors.ts';
import { isPlainText } from './text.ts';

/** A file's keys by dotted path (`ipv4.method`), values as text. */
export type Keys = ReadonlyMap<string, string>;

export const HEADER =
  '# Managed by multinic-agent. Edit it in git (branch of this node) or in the MultiNicBizConfig, not on the host.';

const PORT = '# OpenStack port: ';

/** The comment line for a port; empty without one. */
export function portLine(portId: string | undefined): string {
  return portId === undefined ? '' : `${PORT}${portId}\n`;
}

/** The port that a file's comment names. */
export function readPort(path: string, text: string): { portId?: string; problems: Problem[] } {
  const lines = text.split('\n').filter((line) => line.startsWith(PORT.trimEnd()));
  const [line] = lines;
  if (line === undefined) return { problems: [] };
  const portId = line.slice(PORT.length);
  if (lines.length > 1 || !line.startsWith(PORT) || !isPlainText(portId)) {
    const message = `the comment "${PORT.trimEnd()}" is there more than once or holds no plain text; keep one such line, or none`;
    return { problems: [{ path, code: 'InvalidPortId', message }] };
  }
  return { portId, problems: [] };
}

/**
 * Compares what a file says with what it would say if we wrote it.
 * @param values keys whose text was parsed into the interface, in whatever spelling
 * @param lenient keys of ours may be absent
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
