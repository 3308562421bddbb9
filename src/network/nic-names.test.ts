import { expect, test } from 'vitest';
import type { Interface, WantedInterface } from './interface.ts';
import { assignNames } from './nic-names.ts';
import { mac } from '../../test/support/mac.ts';

type Nic = Omit<WantedInterface, 'sourceRouting'>;

const want = (letter: string, name?: string): Nic => ({
  mac: mac(`02:00:00:00:00:0${letter}`),
  address: `10.0.0.${letter.codePointAt(0)}`,
  prefix: 24,
  mtu: 1500,
  ...(name !== undefined && { name }),
});
const has = (letter: string, index: number, netplanId?: string): Interface => ({
  ...want(letter),
  name: `multinic${index}`,
  ...(netplanId !== undefined && { netplanId }),
});
/** Last letter of each MAC and index of its name: `a0 b2`. */
const names = (network: readonly Interface[]): string =>
  network.map(({ mac, name }) => `${mac.at(-1)}${name.slice('multinic'.length)}`).join(' ');

test.each([
  ['a new node: in the order of the CR', [want('b'), want('a')], [], [], 'b0 a1'],
  [
    'removing the middle one renames nobody',
    [want('a'), want('c')],
    [has('a', 0), has('b', 1), has('c', 2)],
    [],
    'a0 c2',
  ],
  [
    'a new MAC takes the lowest free index',
    [want('a'), want('c'), want('d')],
    [has('a', 0), has('c', 2)],
    [],
    'a0 d1 c2',
  ],
  ['the order in the CR does not matter', [want('c'), want('a')], [has('a', 0), has('c', 2)], [], 'a0 c2'],
  [
    'a name that a revert took away comes back from the base',
    [want('a'), want('b'), want('d')],
    [has('a', 0)],
    [has('a', 0), has('b', 1)],
    'a0 b1 d2',
  ],
  [
    'the tip goes before the base',
    [want('a'), want('b')],
    [has('a', 3)],
    [has('a', 0), has('b', 3)],
    'b0 a3',
  ],
  ['an explicit name wins', [want('a'), want('b', 'multinic0')], [has('a', 0), has('b', 1)], [], 'b0 a1'],
  [
    'an explicit name is not given to a new NIC before it',
    [want('a'), want('b', 'multinic0')],
    [],
    [],
    'b0 a1',
  ],
  [
    'two names change places',
    [want('a', 'multinic1'), want('b', 'multinic0')],
    [has('a', 0), has('b', 1)],
    [],
    'b0 a1',
  ],
  [
    'a later NIC’s name of the tip is not taken by the base',
    [want('a'), want('b')],
    [has('b', 0)],
    [has('a', 0)],
    'b0 a1',
  ],
] as const)('%s', (_, wanted, tip, base, expected) => {
  expect(names(assignNames(wanted, tip, base))).toBe(expected);
});

test('the netplan ID stays with its MAC; the port is the wish’s', () => {
  const tip = [{ ...has('a', 0, 'ens6'), portId: 'old' }, has('b', 1)];
  const [a, b] = assignNames([{ ...want('a'), portId: 'new' }, want('b')], tip, []);
  expect(a).toMatchObject({ name: 'multinic0', netplanId: 'ens6', portId: 'new' });
  expect(b).not.toHaveProperty('netplanId');
  expect(assignNames([want('a')], tip, [])[0]).not.toHaveProperty('portId');
});

test('assigning again changes nothing', () => {
  const wanted = [want('d'), want('a'), want('c', 'multinic7')];
  const once = assignNames(wanted, [has('a', 1)], []);
  expect(assignNames(wanted, once, [])).toEqual(once);
});

test('sorted by index, not by text', () => {
  const tip = [has('a', 2), has('b', 10)];
  expect(names(assignNames([want('b'), want('a')], tip, []))).toBe('a2 b10');
});

test("source routing is what the CR says, else what auto says; the CR's word is kept beside it", () => {
  const nics = [want('a'), { ...want('b'), sourceRouting: false }, { ...want('c'), sourceRouting: true }];
  const routing = (auto: boolean) =>
    assignNames(nics, [], [], () => auto).map(({ sourceRouting, statedSourceRouting }) => [
      sourceRouting,
      statedSourceRouting,
    ]);
  expect(routing(true)).toEqual([
    [true, undefined],
    [undefined, false],
    [true, true],
  ]);
  expect(routing(false)).toEqual([
    [undefined, undefined],
    [undefined, false],
    [true, true],
  ]);
});
