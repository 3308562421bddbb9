// A tree that a host would apply, judged again by the agent.

import { describe, expect, test } from 'vitest';
import { identity, nic } from '../../../test/support/agent.ts';
import { oid } from '../../../test/support/oid.ts';
import { InvalidInputError } from '../../api/errors.ts';
import { renderTree } from '../../network/tree.ts';
import type { Applied } from '../files/host-record.ts';
import { expectNoNewLinkLocal, readDesired, without, type Checkout } from './desired.ts';

const COMMIT = oid('c'.repeat(40));
const TREE = renderTree(identity('netplan', 'w'), [nic(0), nic(1)]);
const FILE = 'etc/netplan/90-multinic0.yaml';

/** A checkout of the tree. @param more modes of further files, or of other ones */
function checkout(more: Readonly<Record<string, string>> = {}): Checkout {
  const entries = [...TREE].map(([path, content]) => [path, { mode: '100644', content }] as const);
  const others = Object.entries(more).map(
    ([path, mode]) => [path, { mode, content: TREE.get(path) ?? '' }] as const,
  );
  return { tip: COMMIT, entries: new Map([...entries, ...others]) };
}

function problems(tree: Checkout, node = 'w'): readonly string[] {
  try {
    readDesired(COMMIT, node, tree);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
}

const crowd = (size: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: size - TREE.size }, (_, index) => [`x${index}`, '100644']));

test('a new link-local address is refused, and one that the host has is told', () => {
  const own = nic(0, { address: '169.254.1.1', prefix: 16 });
  const of = { commit: COMMIT, kind: 'netplan', network: [own, nic(1)], files: TREE } as const;
  expect(() => expectNoNewLinkLocal(of, undefined, [])).toThrow(
    expect.objectContaining({ code: 'InvalidTree', problems: [expect.objectContaining({ path: FILE })] }),
  );
  const applied = { nics: { [own.mac]: { name: 'multinic0', address: '169.254.1.1/16' } } };
  expect(expectNoNewLinkLocal(of, applied as unknown as Applied, [])).toEqual([own]);
});

describe('a tree', () => {
  test('of plain files is read, and node.yaml is no file of the host', () => {
    const { desired, node } = readDesired(COMMIT, 'w', checkout());
    expect([node.name, desired.network]).toEqual(['w', [nic(0), nic(1)]]);
    expect([...desired.files.keys()]).toEqual([FILE, 'etc/netplan/91-multinic1.yaml']);
  });

  test.each([
    ['120000', `${FILE}: is a link; commit a plain file`],
    ['100755', `${FILE}: has mode 100755; commit it with mode 100644`],
  ])('with a file of mode %s is refused', (mode, problem) => {
    expect(problems(checkout({ [FILE]: mode }))).toEqual([problem]);
  });

  test.each([
    [256, []],
    [257, [': has 257 files, more than 256; revert the commit']],
  ])('of %d files', (size, expected) => {
    expect(problems(checkout(crowd(size))).filter((each) => each.includes('more than 256'))).toEqual(
      expected,
    );
  });

  test('of another node is refused', () => {
    expect(problems(checkout(), 'v')).toEqual(['node.yaml: is that of w, not of v; revert the commit']);
  });
});

test('without some of its NICs it has neither these nor their files', () => {
  const { desired } = readDesired(COMMIT, 'w', checkout());
  const rest = without(desired, [nic(0).mac]);
  expect([rest.network, [...rest.files.keys()]]).toEqual([[nic(1)], ['etc/netplan/91-multinic1.yaml']]);
  expect(without(desired, [nic(5).mac])).toBe(desired);
});
