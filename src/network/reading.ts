// Collects the values of one interface from a file, each with the key that it stood under.

import { InvalidInputError, type Problem } from '../api/errors.ts';
import { parseAddress, parseCidr, width, type Address, type Cidr } from './address.ts';
import { byIndex, type Interface } from './interface.ts';
import type { Files } from './renderer.ts';
import { parseMac, type Mac } from './mac.ts';
import { plural } from './text.ts';
import { shown, type Keys } from './vocabulary.ts';
import type { Reason } from '../api/reasons/reasons.ts';

/** Reads values of one file and collects what is wrong with them; a wrong value reads as undefined. */
export class Reading {
  readonly problems: Problem[] = [];
  /** Keys that were read. */
  readonly read = new Set<string>();
  readonly path: string;
  readonly keys: Keys;

  constructor(path: string, keys: Keys) {
    this.path = path;
    this.keys = keys;
  }

  has(key: string): boolean {
    return this.keys.has(key);
  }

  mac(key: string): Mac | undefined {
    return this.#value(key, 'InvalidMac', 'a MAC such as "fa:16:3e:5e:62:3e"', parseMac);
  }

  /** Reads any decimal number. `checkNetwork` checks its range, beside all other rules. */
  mtu(key: string): number | undefined {
    return this.#value(key, 'InvalidMtu', 'an MTU from 68 to 9000, in decimal', decimal);
  }

  /** @param of the address that the prefix belongs to; undefined: the address could not be read */
  prefix(key: string, of: Address | undefined): number | undefined {
    return this.#value(key, 'InvalidPrefix', 'a prefix length such as 24', (text) => {
      const prefix = decimal(text);
      return of !== undefined && prefix !== undefined && prefix > width(of) ? undefined : prefix;
    });
  }

  address(key: string): Address | undefined {
    return this.#value(key, 'InvalidAddress', 'an IP address such as 192.168.1.100', parseAddress);
  }

  /** `192.168.1.100/24`. */
  cidr(key: string): Cidr | undefined {
    return this.#value(key, 'InvalidAddress', 'an address with prefix such as 192.168.1.100/24', parseCidr);
  }

  /**
   * Reads the addresses with prefixes that stand under consecutive keys, as many as there are, as a sorted set.
   * @param key of the address with this index
   */
  cidrs(key: (index: number) => string): string[] {
    const found = new Set<string>();
    for (let index = 0; this.keys.has(key(index)); index += 1) {
      const cidr = this.cidr(key(index));
      if (cidr !== undefined) found.add(`${cidr.text}/${cidr.prefix}`);
    }
    return [...found].sort();
  }

  /** Addresses with prefixes in one value, parted by one blank; none if the key is absent. */
  cidrList(key: string): readonly Cidr[] {
    if (!this.has(key)) return [];
    const list = this.#value(
      key,
      'InvalidAddress',
      'addresses with prefixes, parted by one blank',
      (text) => {
        const cidrs = text.split(' ').map(parseCidr);
        return cidrs.every((cidr) => cidr !== undefined) ? cidrs : undefined;
      },
    );
    return list ?? [];
  }

  #value<T>(
    key: string,
    code: Reason,
    wanted: string,
    parse: (text: string) => T | undefined,
  ): T | undefined {
    this.read.add(key);
    const text = this.keys.get(key);
    const value = text === undefined ? undefined : parse(text);
    if (value === undefined) {
      const found = text === undefined ? 'is missing' : `is ${shown(text)}`;
      this.problems.push({ path: `${this.path}: ${key}`, code, message: `${found}; write ${wanted}` });
    }
    return value;
  }
}

/**
 * Reads a decimal number in a form that all of the OS's readers understand alike. 0x5dc and 01500 are other values to
 * some of these readers.
 */
function decimal(text: string): number | undefined {
  return /^(?:0|[1-9][0-9]{0,4})$/.test(text) ? Number(text) : undefined;
}

/** Number of problems reported at once: as many as a person reads on a terminal. A hostile file may have thousands. */
const MAX_PROBLEMS = 50;
/**
 * Limit on the problems of one file. An added or removed gateway moves all routes of a file, and nobody reads hundreds
 * of problems.
 */
const MAX_OF_FILE = 8;

/**
 * Reads the interfaces that a set of files describes, sorted. Reports at most MAX_PROBLEMS problems, and MAX_OF_FILE of
 * each file.
 * @param nameOf the interface that a path belongs to; undefined: the path is not ours
 * @throws InvalidInputError `InvalidTree`
 */
export function readInterfaces(
  files: Files,
  nameOf: (path: string) => string | undefined,
  read: (name: string, problems: Problem[]) => Interface | undefined,
): Interface[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  for (const path of files.keys()) {
    const name = nameOf(path);
    if (name !== undefined) names.add(name);
    else {
      const message = 'is not a file that multinic-agent manages on this node; remove it from the branch';
      problems.push({ path, code: 'ForeignFile', message });
    }
  }
  const network: Interface[] = [];
  for (const name of names) {
    const nic = read(name, problems);
    if (nic !== undefined) network.push(nic);
  }
  if (problems.length > 0) {
    const told = [...Map.groupBy(problems, ({ path }) => path.split(': ')[0])].flatMap(([file = '', of]) =>
      firstOf(file, of),
    );
    throw new InvalidInputError('InvalidTree', "the node's files", told.slice(0, MAX_PROBLEMS));
  }
  return network.sort(byIndex);
}

function firstOf(path: string, problems: readonly Problem[]): readonly Problem[] {
  const [first] = problems;
  const more = problems.length - MAX_OF_FILE;
  if (first === undefined || more <= 0) return problems;
  const message = `has ${plural(more, 'more such line')}; compare the file with the one of the commit before`;
  return [...problems.slice(0, MAX_OF_FILE), { path, code: first.code, message }];
}
