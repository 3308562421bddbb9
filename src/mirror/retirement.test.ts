// Which departed nodes passes leave out, and from when on.

import { describe, expect, test } from 'vitest';
import { nic } from '../../test/support/agent.ts';
import { inventoryNode } from '../../test/support/fleet.ts';
import { oid } from '../../test/support/oid.ts';
import { MultinicError } from '../api/errors.ts';
import type { Branch } from '../history/node-branch.ts';
import type { Claim, Claims } from './claim.ts';
import { Retirement } from './retirement.ts';

const TIP = oid('tip');
const NOW = 100_000;
const NOBODY = { byNode: new Map(), byEntry: new Map(), unclear: new Set() } as unknown as Claims;

/** Whether the node `w` retires, ten seconds after its newest commit unless the test says otherwise. */
function retires(
  branch: Partial<Branch> = {},
  claims: Partial<Claims> = {},
  listed = false,
  time = 90,
): boolean {
  const retirement = new Retirement({ afterMs: 10_000, now: () => NOW });
  const tip = { oid: TIP, committer: { time } };
  const whole = { network: [], base: { network: [] }, tip, ...branch } as unknown as Branch;
  const inventory = listed ? [inventoryNode('w')] : [];
  retirement.note(inventory, { ...NOBODY, ...claims }, new Map([['w', whole]]));
  return retirement.has('w', TIP);
}

describe('a departed node retires', () => {
  test('when its newest commit is old enough, to the second', () => {
    expect(retires()).toBe(true);
    expect(retires({}, {}, false, 91)).toBe(false);
  });

  test('unless it is listed, claimed or in doubt', () => {
    expect(retires({}, {}, true)).toBe(false);
    expect(retires({}, { byNode: new Map([['w', {} as Claim]]) })).toBe(false);
    expect(retires({}, { unclear: new Set(['w']) })).toBe(false);
  });

  test('unless its branch or its base has interfaces, or its tip cannot be read', () => {
    expect(retires({ network: [nic(0)] })).toBe(false);
    expect(retires({ base: { network: [nic(0)] } })).toBe(false);
    expect(retires({ invalid: new MultinicError('InvalidTip', 'odd') })).toBe(false);
  });

  test('until its branch moves, or it comes back', () => {
    const retirement = new Retirement({ afterMs: 10_000, now: () => NOW });
    const tip = { oid: TIP, committer: { time: 90 } };
    const branches = new Map([['w', { network: [], base: { network: [] }, tip } as unknown as Branch]]);
    retirement.note([], NOBODY, branches);
    expect([retirement.has('w', TIP), retirement.has('w', oid('next'))]).toEqual([true, false]);
    retirement.note([inventoryNode('w')], NOBODY, branches);
    expect(retirement.has('w', TIP)).toBe(false);
  });
});
