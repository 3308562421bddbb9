// Changes that no test can notice, because the program does the same with them. Each with its reason.
import type { Place } from './mutation.ts';

export interface Equivalent {
  readonly file: string;
  /** The line's text, without blanks around it. */
  readonly code: string;
  /** `<token> -> <token>`. */
  readonly change: string;
  readonly why: string;
}

export const EQUIVALENTS: readonly Equivalent[] = [
  {
    file: 'src/mirror/branch-mirror.ts',
    code: 'const READ_AT_ONCE = 256;',
    change: '256 -> 257',
    why: 'the number of reads that go to git together bounds the memory, and all branches are read all the same',
  },
  {
    file: 'src/history/policy.ts',
    code: 'if (parent === undefined || isByController(commit) || count > MAX_COMMITS)',
    change: '> -> >=',
    why: 'a commit below the tip never leads back to the tip, so the walk ends with the same refusal one commit later',
  },
  {
    file: 'src/scheduler/address-order.ts',
    code: 'return a.holder < b.holder ? -1 : Number(a.holder > b.holder);',
    change: '< -> <=',
    why: 'an address has each holder once, so two are never equal',
  },
  {
    file: 'src/scheduler/address-order.ts',
    code: 'return a.holder < b.holder ? -1 : Number(a.holder > b.holder);',
    change: '> -> >=',
    why: 'an address has each holder once, so two are never equal',
  },
  {
    file: 'src/scheduler/address-order.ts',
    code: '.toSorted((a, b) => attempt(b) - attempt(a) || (a < b ? -1 : Number(a > b)));',
    change: '< -> <=',
    why: 'a circle has each node once, so two are never equal',
  },
  {
    file: 'src/scheduler/address-order.ts',
    code: '.toSorted((a, b) => attempt(b) - attempt(a) || (a < b ? -1 : Number(a > b)));',
    change: '> -> >=',
    why: 'a circle has each node once, so two are never equal',
  },
  {
    file: 'src/scheduler/due.ts',
    code: 'if (newest === undefined) return 0;',
    change: '0 -> 1',
    why: 'both are long past, and neither gives a stamp',
  },
  {
    file: 'src/scheduler/due.ts',
    code: 'if (isQuestion(newest) && !(before !== undefined && isQuestion(before))) return 0;',
    change: '0 -> 1',
    why: 'both are long past, and neither gives a stamp',
  },
  {
    file: 'src/scheduler/due.ts',
    code: 'if (newest === undefined || newest.bootId !== before?.bootId) return 0;',
    change: '0 -> 1',
    why: 'both are long past, and neither gives a stamp',
  },
  {
    file: 'src/scheduler/observe-due.ts',
    code: '(a.node.name < b.node.name ? -1 : 1)',
    change: '< -> <=',
    why: 'a plan has each node once, so two names are never equal',
  },
  {
    file: 'src/scheduler/schedule.ts',
    code: 'repairsConfirmedAt: 0,',
    change: '0 -> 1',
    why: 'both are long past, and every drift comes later',
  },
  {
    file: 'src/scheduler/schedule.ts',
    code: 'const turn = turns.get(key) ?? 0;',
    change: '0 -> 1',
    why: 'turns are only compared with one another, and all are one larger',
  },
  {
    file: 'src/scheduler/schedule.ts',
    code: 'turns.set(key, turn + 1);',
    change: '1 -> 2',
    why: 'turns are only compared with one another, and all are twice as large',
  },
  {
    file: 'src/scheduler/schedule.ts',
    code: 'return a.tipTime - b.tipTime || (a.name < b.name ? -1 : Number(a.name > b.name));',
    change: '< -> <=',
    why: 'a plan has each node once, so two names are never equal',
  },
  {
    file: 'src/scheduler/schedule.ts',
    code: 'return a.tipTime - b.tipTime || (a.name < b.name ? -1 : Number(a.name > b.name));',
    change: '> -> >=',
    why: 'a plan has each node once, so two names are never equal',
  },
  {
    file: 'src/mirror/claim.ts',
    code: 'rank(a) - rank(b) || (a.entry.key < b.entry.key ? -1 : Number(a.entry.key > b.entry.key));',
    change: '> -> >=',
    why: 'of equal keys the sort only asks whether the later one comes first, and keeps the order of the CRs',
  },
  {
    file: 'src/network/check.ts',
    code: 'else if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1) {',
    change: '0 -> 1',
    why: 'the bit that is asked for is in the second digit',
  },
  {
    file: 'src/network/check.ts',
    code: 'else if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1) {',
    change: '2 -> 3',
    why: 'the third character is a colon, at which the number ends',
  },
  {
    file: 'src/network/tree.ts',
    code: ".filter(([, entry]) => typeof entry === 'string' || entry.size > 0)",
    change: '> -> >=',
    why: 'a folder is made for a file, so it is never empty',
  },
  {
    file: 'src/mirror/branch-mirror.ts',
    code: 'for (let start = 0; start < unread.length; start += READ_AT_ONCE) {',
    change: '< -> <=',
    why: 'a slice of nothing reads nothing',
  },
  {
    file: 'src/mirror/branch-mirror.ts',
    code: 'return states.length > 0 && states.every((state) => wantsNothing(state, node));',
    change: '0 -> 1',
    why: 'a confirmation is itself a commit after the one that it confirms, so there are two states or none',
  },
  {
    file: 'src/mirror/branch-writer.ts',
    code: 'const middle = Math.ceil(changes.length / 2);',
    change: '2 -> 3',
    why: 'each division ends with single nodes, wherever it divides',
  },
  {
    file: 'src/network/netplan.ts',
    code: 'return found?.startsWith(start) === true',
    change: 'true -> false',
    why: 'a file that is not read by its lines is read as YAML, with the same result',
  },
  {
    file: 'src/network/node.ts',
    code: 'open.splice(indent.length / 2 + 1, Infinity, map);',
    change: '1 -> 2',
    why: 'a node.yaml that is not read by its lines is read as YAML, with the same result',
  },
  {
    file: 'src/agent/plan/link-limits.ts',
    code: '(mtu < limits.min || (limits.max > 0 && mtu > limits.max))',
    change: '0 -> 1',
    why: 'no driver has an upper bound of one byte: the kernel asks for 68 at least',
  },
  {
    file: 'src/agent/plan/link-limits.ts',
    code: 'const range = limits.max > 0 ? `from ${limits.min} to ${limits.max}` : `of ${limits.min} or more`;',
    change: '0 -> 1',
    why: 'no driver has an upper bound of one byte: the kernel asks for 68 at least',
  },
  {
    file: 'src/agent/plan/overlap.ts',
    code: '.flatMap((link) => heldAddresses(link).map((address) => ({ address, name: link.name, metric: 0 }))),',
    change: '0 -> 1',
    why: 'the metrics of our routes begin at 1,000, so both are smaller',
  },
  {
    file: 'src/agent/plan/overlap.ts',
    code: '...otherAddresses.map((each) => ({ ...each, metric: 0 })),',
    change: '0 -> 1',
    why: 'the metrics of our routes begin at 1,000, so both are smaller',
  },
  {
    file: 'src/network/text.ts',
    code: "const digits = (text.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0');",
    change: '0 -> 1',
    why: 'the search has found a character there',
  },
  {
    file: 'src/scheduler/observe-due.ts',
    code: 'hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);',
    change: '12 -> 13',
    why: 'the hash only spreads nodes over time, and a test asks for the spread',
  },
  {
    file: 'src/scheduler/observe-due.ts',
    code: 'hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);',
    change: '15 -> 16',
    why: 'the hash only spreads nodes over time, and a test asks for the spread',
  },
  {
    file: 'src/scheduler/observe-due.ts',
    code: 'return ((hash ^ (hash >>> 15)) >>> 0) / 0x1_0000_0000;',
    change: '15 -> 16',
    why: 'the hash only spreads nodes over time, and a test asks for the spread',
  },
  {
    file: 'src/network/address.ts',
    code: 'const MAX_KNOWN = 4_096;',
    change: '4_096 -> 4097',
    why: 'the number of remembered addresses bounds the memory, and all addresses are read all the same',
  },
  {
    file: 'src/network/address.ts',
    code: 'const MAX_TEXT = 64;',
    change: '64 -> 65',
    why: 'a text that is not remembered is read in the same way',
  },
  {
    file: 'src/network/address.ts',
    code: 'if (text.length > MAX_TEXT) return readAddress(text);',
    change: '> -> >=',
    why: 'a text that is not remembered is read in the same way',
  },
  {
    file: 'src/network/address.ts',
    code: 'if (known.size >= MAX_KNOWN) known.clear();',
    change: '>= -> >',
    why: 'the number of remembered addresses bounds the memory, and all addresses are read all the same',
  },
  {
    file: 'src/network/address.ts',
    code: 'if (before !== undefined || known.has(text)) return before;',
    change: '|| -> &&',
    why: 'a text that is no address is read again, with the same result',
  },
  {
    file: 'src/network/netplan.ts',
    code: 'const index = indexOfName(name) ?? 0;',
    change: '0 -> 1',
    why: 'paths are made of managed names alone, and each of these has an index',
  },
  {
    file: 'src/network/netplan.ts',
    code: "const lines = content.split('\\n', 24 + 2 * MAX_ADDRESSES);",
    change: '24 -> 25',
    why: 'the limit bounds the work on a large file, and is above all lines that are asked for',
  },
  {
    file: 'src/network/netplan.ts',
    code: "const lines = content.split('\\n', 24 + 2 * MAX_ADDRESSES);",
    change: '2 -> 3',
    why: 'the limit bounds the work on a large file, and is above all lines that are asked for',
  },
  {
    file: 'src/network/netplan.ts',
    code: "const lines = content.split('\\n', 24 + 2 * MAX_ADDRESSES);",
    change: '+ -> -',
    why: 'the limit bounds the work on a large file, and is above all lines that are asked for',
  },
  {
    file: 'src/network/netplan.ts',
    code: "const ethernets: unknown = document.getIn(['network', 'ethernets'], true);",
    change: 'true -> false',
    why: 'a map is found as a node in both ways, and anything else is refused',
  },
  {
    file: 'src/history/main-history.ts',
    code: 'let oldest = 0;',
    change: '0 -> 1',
    why: 'the time is only told where commits are left, and then a page was read before',
  },
];

export function isEquivalent(place: Place): boolean {
  return EQUIVALENTS.some((each) => matches(each, place));
}

export function matches(
  { file, code, change }: Equivalent,
  { file: path, source, mutation }: Place,
): boolean {
  const { at, from, to } = mutation;
  const begin = source.lastIndexOf('\n', at) + 1;
  const line = source.slice(begin, source.indexOf('\n', at)).trim();
  return file === path && code === line && change === `${from.trim()} -> ${to.trim()}`;
}
