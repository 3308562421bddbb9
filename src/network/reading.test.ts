import { describe, expect, test } from 'vitest';
import { parseAddress } from './address.ts';
import { Reading, readInterfaces } from './reading.ts';
import { thrownBy } from '../../test/support/thrown-by.ts';
import { compareKeys, compareLines, shown, type Keys } from './vocabulary.ts';
import type { Interface } from './interface.ts';
import { mac } from '../../test/support/mac.ts';

const map = (keys: Record<string, string>): Keys => new Map(Object.entries(keys));
const reading = (keys: Record<string, string>): Reading => new Reading('f', map(keys));
const flaws = ({ problems }: Reading): string[] =>
  problems.map(({ path, code, message }) => `${path} ${code}: ${message}`);

describe('values of a file', () => {
  test.each([
    ['32', '10.0.0.1', 32],
    ['33', '10.0.0.1', undefined],
    ['128', '2001:db8::1', 128],
    ['129', '2001:db8::1', undefined],
    ['0', '10.0.0.1', 0],
    ['99999', 'none', 99_999],
    ['100000', 'none', undefined],
    ['024', '10.0.0.1', undefined],
    ['', '10.0.0.1', undefined],
  ])('prefix %j of %s is %s', (text, address, prefix) => {
    const values = reading({ p: text });
    expect(values.prefix('p', parseAddress(address))).toBe(prefix);
    expect(values.problems).toHaveLength(prefix === undefined ? 1 : 0);
  });

  test('a value that is missing, and one that is none, with the form to write', () => {
    const values = reading({ a: 'x' });
    expect([values.mac('a'), values.mac('b'), values.has('a'), values.has('b')]).toEqual([
      undefined,
      undefined,
      true,
      false,
    ]);
    expect(flaws(values)).toEqual([
      'f: a InvalidMac: is "x"; write a MAC such as "fa:16:3e:5e:62:3e"',
      'f: b InvalidMac: is missing; write a MAC such as "fa:16:3e:5e:62:3e"',
    ]);
    expect([...values.read]).toEqual(['a', 'b']);
  });

  test('addresses under consecutive keys are a sorted set, up to the first key that is missing', () => {
    const values = reading({
      a0: '10.0.0.9/24',
      a1: '10.0.0.1/24',
      a2: '10.0.0.9/24',
      a4: '10.0.0.4/24',
    });
    expect(values.cidrs((index) => `a${index}`)).toEqual(['10.0.0.1/24', '10.0.0.9/24']);
    expect(values.problems).toEqual([]);
    expect(values.cidrs((index) => `b${index}`)).toEqual([]);
  });

  test('a list of addresses in one value; an absent key is no list', () => {
    const values = reading({ l: '10.0.0.1/24 2001:db8::1/64', bad: '10.0.0.1/24  10.0.0.2/24' });
    expect(values.cidrList('l').map(({ text, prefix }) => `${text}/${prefix}`)).toEqual([
      '10.0.0.1/24',
      '2001:db8::1/64',
    ]);
    expect([values.cidrList('none'), values.problems]).toEqual([[], []]);
    expect([values.cidrList('bad'), values.problems.length]).toEqual([[], 1]);
  });
});

const NIC: Interface = { name: 'multinic0', mac: mac('02:00:00:00:00:01'), mtu: 1500 };

/** Names of the NICs that are read from one file each, `multinic1.a` among them. */
function namesIn(paths: readonly string[]): string[] {
  return readInterfaces(
    new Map(paths.map((path) => [path, ''])),
    (path) => (path.startsWith('multinic') ? path.split('.')[0] : undefined),
    (name) => ({ ...NIC, name }),
  ).map(({ name }) => name);
}

/** Reads files as NICs; each file has the given number of problems. */
const refused = (files: Record<string, number>) =>
  thrownBy(() =>
    readInterfaces(
      new Map(Object.keys(files).map((path) => [path, ''])),
      (path) => path,
      (name, problems) => {
        for (let line = 1; line <= files[name]!; line += 1)
          problems.push({ path: `${name}: k${line}`, code: 'ForeignKey', message: 'is no key of ours' });
        return NIC;
      },
    ),
  ).problems.map(({ path, message }) => `${path} ${message}`);

describe('files of a node', () => {
  test.each([
    [1, 1, undefined],
    [8, 8, undefined],
    [9, 9, 'f has 1 more such line; compare the file with the one of the commit before'],
    [20, 9, 'f has 12 more such lines; compare the file with the one of the commit before'],
  ])('%d problems of one file are %d lines', (count, lines, last) => {
    const told = refused({ f: count });
    expect(told).toHaveLength(lines);
    expect(told.slice(0, 8)).toEqual(
      Array.from({ length: Math.min(count, 8) }, (_, index) => `f: k${index + 1} is no key of ours`),
    );
    expect(told[8]).toBe(last);
  });

  test.each([
    [7, 3, 49],
    [7, 4, 50],
    [7, 5, 50],
  ])('of many files, at most fifty lines: %d with six and one with %d', (files, more, lines) => {
    const all = Object.fromEntries(Array.from({ length: files }, (_, index) => [`f${index}`, 6]));
    expect(refused({ ...all, g: more + 4 })).toHaveLength(lines);
  });

  test('a file of nobody is named, and the NICs are in the order of their numbers', () => {
    expect(namesIn(['multinic10.a', 'multinic9.a', 'multinic10.b'])).toEqual(['multinic9', 'multinic10']);
    expect(thrownBy(() => namesIn(['x'])).problems).toMatchObject([{ path: 'x', code: 'ForeignFile' }]);
  });
});

describe('a file beside the rendered one', () => {
  test.each([
    [80, `"${'x'.repeat(80)}"`],
    [81, `"${'x'.repeat(80)}…"`],
  ])('a value of %d characters is shown as %s', (length, text) => {
    expect(shown('x'.repeat(length))).toBe(text);
  });

  test('keys that are foreign, other, and missing; a value that was read may have any spelling', () => {
    const actual = map({ foreign: '1', other: '2', read: 'A', same: '4' });
    const expected = map({ other: '3', read: 'a', same: '4', missing: '5' });
    const all = compareKeys('f', actual, expected, new Set(['read']), false);
    expect(all.map(({ path, code, message }) => `${path} ${code} ${message}`)).toEqual([
      'f: foreign ForeignKey is no key of ours; remove it',
      'f: other ForeignValue is "2"; write 3',
      'f: missing MissingKey is missing; write 5',
    ]);
    const lenient = compareKeys('f', actual, expected, new Set(['read']), true);
    expect(lenient.map(({ code }) => code)).toEqual(['ForeignKey', 'ForeignValue']);
  });

  test.each([
    ['a\nb\n', 'a\nb\n', undefined],
    ['# note\n\na\nb', 'a\n# other\nb\n', undefined],
    ['a\nc\n', 'a\nb\n', 'has "c" where "b" belongs; '],
    ['a\n', 'a\nb\n', 'has no line where "b" belongs; '],
    ['a\nb\nc\n', 'a\nb\n', 'has "c", which the other lines do not need; remove it'],
    ['c\nb\n', 'a\nb\n', 'has "c" where "a" belongs; '],
  ])('lines %j beside %j', (actual, expected, message) => {
    const found = compareLines('f', actual, expected);
    expect(found.map(({ path, code }) => `${path} ${code}`)).toEqual(
      message === undefined ? [] : ['f RoutingMismatch'],
    );
    expect(found[0]?.message.startsWith(message ?? '')).toBe(message === undefined ? undefined : true);
  });
});
