// Every renderer reads a file in this way: take the values, render the result again, and refuse any key of the file
// that the rendering lacks or contradicts. So no second list of keys can drift from the renderer's.

import type { Problem } from '../api/errors.ts';
import { parseAddress } from './address.ts';
import { isLinkOnly, type Interface } from './interface.ts';
import { isPlainText } from './text.ts';
import type { Reason } from '../api/reasons/reasons.ts';

/** A file's keys by dotted path (`ipv4.method`), values as text. */
export type Keys = ReadonlyMap<string, string>;

export const HEADER =
  '# Managed by multinic-agent. Edit it in git (branch of this node) or in the MultiNicBizConfig, not on the host.';

const PORT = '# OpenStack port: ';
const TAKEOVER = '# Takeover: ';
const LINK_ONLY = '# Link only: ';
const SOURCE_ROUTING = '# Source routing: ';
const GATEWAYS = [
  ['gateway', '# Gateway without source routing: '],
  ['gateway6', '# IPv6 gateway without source routing: '],
] as const;

/** The values of an interface that its file holds as comments. */
export type Commented = Pick<
  Interface,
  'portId' | 'takeover' | 'statedSourceRouting' | 'gateway' | 'gateway6'
>;

/**
 * Comment lines for values that no OS has a key for, and for gateways while source routing is off, which must not take
 * effect. Empty without such values.
 */
export function comments(nic: Commented & Pick<Interface, 'sourceRouting' | 'address'>): string {
  const { portId, takeover, statedSourceRouting: stated } = nic;
  const lines = [
    portId !== undefined && `${PORT}${portId}`,
    takeover === true && `${TAKEOVER}true`,
    isLinkOnly(nic) && `${LINK_ONLY}true`,
    stated !== undefined && `${SOURCE_ROUTING}${stated ? 'on' : 'off'}`,
    ...GATEWAYS.map(
      ([field, start]) => nic.sourceRouting !== true && nic[field] !== undefined && `${start}${nic[field]}`,
    ),
  ];
  return lines.map((line) => (line === false ? '' : `${line}\n`)).join('');
}

function isOnOrOff(value: string): boolean {
  return value === 'on' || value === 'off';
}

function isCanonical(address: string): boolean {
  return parseAddress(address)?.text === address;
}

/** Reads the values that a file holds as comments. */
export function readComments(
  path: string,
  text: string,
): { said: Commented; linkOnly: boolean; problems: Problem[] } {
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
  const linkOnly = read(LINK_ONLY, 'InvalidLinkOnly', (value) => value === 'true', '"true"') !== undefined;
  const stated = read(SOURCE_ROUTING, 'InvalidSourceRouting', isOnOrOff, '"on" or "off"');
  const gateways = GATEWAYS.flatMap(([field, start]) => {
    const value = read(start, 'InvalidGateway', isCanonical, 'address');
    return value === undefined ? [] : [[field, value] as const];
  });
  return {
    said: {
      ...(portId !== undefined && { portId }),
      ...(takeover !== undefined && { takeover: true }),
      ...(stated !== undefined && { statedSourceRouting: stated === 'on' }),
      ...Object.fromEntries(gateways),
    },
    linkOnly,
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
        message: `is ${shown(value)}; write ${ours}`,
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

/**
 * A value of a file as messages show it, shortened because a foreign file may have values of thousands of characters.
 */
export function shown(value: string): string {
  return JSON.stringify(value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value);
}

const MAX_SHOWN = 80;

/** Finds the first line that differs from the renderer's; comments and blank lines do not count. */
export function compareLines(path: string, actual: string, expected: string): Problem[] {
  const [found, ours] = [actual, expected].map(linesOf) as [string[], string[]];
  const at = Array.from({ length: Math.max(found.length, ours.length) }, (_, index) => index).find(
    (index) => found[index] !== ours[index],
  );
  if (at === undefined) return [];
  const message =
    ours[at] === undefined
      ? `has ${shown(found[at] ?? '')}, which the other lines do not need; remove it`
      : `has ${found[at] === undefined ? 'no line' : shown(found[at])} where "${ours[at]}" belongs; write it, or change the gateway, the routes and the addresses everywhere alike`;
  return [{ path, code: 'RoutingMismatch', message }];
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}
