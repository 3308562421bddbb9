// Reads `KEY=value` files with optional sections, and refuses quotes, blanks, continuation lines and repeated keys,
// which the OS's readers interpret in different ways. A library would accept them.

import type { Problem } from '../api/errors.ts';
import type { Keys } from './vocabulary.ts';

/** Values that may contain blanks: rules of a keyfile, and in quotes the rules and IPv6 addresses of an ifcfg file. */
const WITH_BLANKS = [
  /^(routing-rule[0-9]+)=([0-9a-z .:/_]+)$/,
  /^(ROUTING_RULE6?_[0-9]+)="([0-9a-z .:/_]+)"$/,
  /^(IPV6ADDR_SECONDARIES)="([0-9A-Fa-f .:/]+)"$/,
];
const PAIR = /^([A-Za-z0-9_-]+)=([^\s"'\\;`$#]*)$/;

/** A key has its section as a prefix (`ipv4.method`). A key outside of a section has no prefix (`HWADDR`). */
export function readIni(path: string, text: string): { keys: Keys; problems: Problem[] } {
  const keys = new Map<string, string>();
  const sections = new Set<string>();
  const problems: Problem[] = [];
  let section = '';
  const refuse = (message: string): void => {
    problems.push({ path, code: 'InvalidLine', message });
  };
  for (const [index, line] of text.split('\n').entries()) {
    const at = `line ${index + 1} (${JSON.stringify(line.slice(0, 80))})`;
    if (line === '' || line.startsWith('#')) {
      // ifcfg files are sourced by a shell and .link files join lines: no comment may end in a backslash.
      if (line.endsWith('\\')) refuse(`${at} ends in a backslash; remove it`);
      continue;
    }
    const header = /^\[([A-Za-z0-9-]+)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      if (sections.has(header)) refuse(`${at} opens a section twice; write each section once`);
      sections.add(header);
      section = `${header}.`;
      continue;
    }
    const pair = [...WITH_BLANKS, PAIR].map((form) => form.exec(line)).find((match) => match !== null);
    const [, key, value] = pair ?? [];
    if (key === undefined || value === undefined) {
      refuse(`${at} is not KEY=value; write it without blanks and quotes`);
    } else if (keys.has(section + key)) {
      refuse(`${at} sets ${key} again; write each key once`);
    } else {
      keys.set(section + key, value);
    }
  }
  return { keys, problems };
}
