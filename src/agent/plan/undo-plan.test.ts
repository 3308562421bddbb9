import { describe, expect, test } from 'vitest';
import type { Pending } from '../files/host-record.ts';
import type { Link } from '../host/machine.ts';
import { claimedByUndo, planUndo, type UndoFacts } from './undo-plan.ts';
import { mac } from '../../../test/support/mac.ts';

const MAC = mac('fa:16:3e:00:00:01');
const OLD = '10.0.0.1/24';
const NEW = '10.0.0.2/24';
const VIP = '10.0.0.9/32';

const pending: Pending = {
  bootId: 'one',
  startedAt: '2026-01-01T00:00:00.000Z',
  reload: false,
  profiles: { [MAC]: 'uuid' },
  others: [],
  files: [{ path: 'etc/netplan/90-multinic0.yaml', before: null, after: 'a' }],
  links: {
    before: [{ name: 'ens6', mac: MAC, up: true, mtu: 1500, addresses: [OLD] }],
    after: [{ name: 'multinic0', mac: MAC, up: true, mtu: 9000, addresses: [NEW] }],
  },
  machine: { links: [], routes: [] },
  applied: null,
};

/** The NIC as the change left it. */
const changed: Link = { name: 'multinic0', mac: MAC, up: true, mtu: 9000, addresses: [NEW, VIP] };

function facts(links: readonly Link[], changes: { bootId?: string; hasRestored?: boolean } = {}): UndoFacts {
  const { bootId = 'one', hasRestored = false } = changes;
  return { now: { links, bootId }, hasRestored };
}

test('an undo drops the address of the change, and no address that came since', () => {
  const plan = planUndo(pending, facts([changed]), []);
  expect(plan.targets).toEqual([
    { name: 'ens6', mac: MAC, up: true, mtu: 1500, addresses: [OLD], dropped: [NEW] },
  ]);
  expect(plan.manager).toMatchObject({ kind: 'profiles', profiles: { [MAC]: 'uuid' } });
  expect(plan.nics).toEqual([changed]);
});

test('a NIC whose old name another NIC has gets a name of its own, and no profile for the old name', () => {
  const foreign = { ...changed, name: 'ens6', mac: mac('fa:16:3e:00:00:99'), addresses: [] };
  const plan = planUndo(pending, facts([changed, foreign]), []);
  expect(plan.renamed).toMatchObject([{ name: 'enxfa163e000001', mac: MAC }]);
  expect(plan.manager).toMatchObject({ profiles: { [MAC]: null } });
});

test('after a reboot the addresses that come back are asked for, and left to a machine that has them', () => {
  expect(claimedByUndo(pending, facts([changed]))).toEqual([]);
  const booted = facts([changed], { bootId: 'two' });
  expect(claimedByUndo(pending, booted)).toEqual([{ mac: MAC, address: OLD }]);
  expect(planUndo(pending, booted, [{ mac: MAC, address: OLD }]).targets[0]?.addresses).toEqual([]);
});

test('once the host has restored itself, only a NIC that still shows the change is undone', () => {
  const restored: Link = { name: 'ens6', mac: MAC, up: false, mtu: 1400, addresses: [OLD] };
  const plan = planUndo(pending, facts([restored], { hasRestored: true }), []);
  expect(plan).toMatchObject({ targets: [], manager: { kind: 'none' } });
  expect(planUndo(pending, facts([changed], { hasRestored: true }), []).targets).toHaveLength(1);
});

describe('a NIC still shows the change', () => {
  const restored: Link = { name: 'ens6', mac: MAC, up: true, mtu: 1500, addresses: [OLD] };
  const isUndone = (link: Partial<Link>, of: Pending = pending): boolean =>
    planUndo(of, facts([{ ...restored, ...link }], { hasRestored: true }), []).targets.length > 0;

  test.each<[string, boolean, Partial<Link>]>([
    ['by its name', true, { name: 'multinic0' }],
    ['by its MTU', true, { mtu: 9000 }],
    ['by its address', true, { addresses: [OLD, NEW] }],
    ['not by another address', false, { addresses: [OLD, VIP] }],
    ['not by another name and MTU', false, { name: 'lan', mtu: 1400 }],
  ])('%s', (_, is, link) => {
    expect(isUndone(link)).toBe(is);
  });

  test('not where it is gone, nor where the change did not come to it', () => {
    expect(planUndo(pending, facts([], { hasRestored: true }), []).targets).toEqual([]);
    const early = { ...pending, links: { ...pending.links, after: [] } };
    expect(isUndone({ name: 'multinic0', mtu: 9000 }, early)).toBe(false);
  });

  test('not by what it had before', () => {
    const [before] = pending.links.before;
    const same = { ...pending, links: { before: [before!], after: [before!] } };
    expect(isUndone({}, same)).toBe(false);
  });
});

test('a change that came to a reload has its undo reload too', () => {
  expect(planUndo({ ...pending, reload: true }, facts([changed]), []).manager).toEqual({
    kind: 'reload',
    paths: ['etc/netplan/90-multinic0.yaml'],
    macs: [MAC],
  });
});
