import { oid } from '../../../test/support/oid.ts';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { identity, machine, nic, NODE } from '../../../test/support/agent.ts';
import { nameOfIndex, type Interface, type Network } from '../../network/interface.ts';
import { byNetworkManager, type RendererKind } from '../../network/node.ts';
import { RENDERER_KINDS, rendererOf } from '../../network/renderers.ts';
import { managedFiles, renderTree } from '../../network/tree.ts';
import type { Applied } from '../files/host-record.ts';
import type { HostState, Link } from '../host/machine.ts';
import { knownRouting, onlyIn, wantedRouting } from '../host/routing.ts';
import { nameIn, parseOne, RENDERERS, type ManagedNic } from '../files/managed-files.ts';
import { CARRIER_WAIT_PATH, carrierWait } from '../files/carrier-wait.ts';
import { noAutoDefaultMac, noAutoDefaultPath } from '../files/no-auto-default.ts';
import { decide, needsReload, type Desired, type Plan, type Situation } from './plan.ts';
import { mac } from '../../../test/support/mac.ts';
import type { Mac } from '../../network/mac.ts';

const COMMIT = oid('1'.repeat(40));

function desired(network: Network, kind: RendererKind = 'netplan'): Desired {
  return { commit: COMMIT, kind, network, files: managedFiles(renderTree(identity(kind), network)) };
}

/** Result of `readManaged` on a host that has these files. */
function managed(files: ReadonlyMap<string, string>): ManagedNic[] {
  return RENDERERS.flatMap((renderer) =>
    [
      ...Map.groupBy(
        [...files].filter(([path]) => renderer.manages(path)),
        ([path]) => nameIn(path),
      ),
    ].map(([name, entries]) => ({
      renderer,
      name,
      files: new Map(entries),
      ignored: new Set<string>(),
      nic: parseOne(renderer, new Map(entries)),
    })),
  );
}

function situation(changes: Partial<Situation> & { files?: ReadonlyMap<string, string> }): Situation {
  const { files = new Map<string, string>(), ...rest } = changes;
  return {
    desired: desired([]),
    host: machine(4),
    managed: managed(files),
    described: [],
    noAutoDefault: [],
    metricFiles: new Map(),
    carrierWait: undefined,
    applied: undefined,
    expectedRecord: null,
    links: true,
    ...rest,
  };
}

function planOf(changes: Parameters<typeof situation>[0]): Plan {
  const decision = decide(situation(changes));
  if (decision.kind !== 'apply') throw new Error(`decided to ${decision.kind}`);
  return decision.plan;
}

/** The decision of a run that wants `nic(0)`. The host has the record of another network, and the files of `found`. */
function decided(found: Interface, links = false): string {
  const { files } = desired([found]);
  return decide(situation({ desired: desired([nic(0)]), files, expectedRecord: COMMIT, links })).kind;
}

describe('a host whose record is not of the expected commit', () => {
  test('diverged where one file differs, or the name of a NIC', () => {
    expect(decided(nic(0, { mtu: 1400 }))).toBe('diverged');
    expect(decided(nic(0), true)).toBe('diverged');
  });

  test('is as wanted where no file differs, and the run is about files', () => {
    expect(decided(nic(0))).toBe('apply');
  });
});

test.each<[RendererKind, string, object | undefined]>([
  ['keyfile', 'takes router advertisements off alone', { acceptRa: 0, addrGenMode: 0 }],
  ['netplan', 'takes link-local addresses off too', { acceptRa: 0, addrGenMode: 1 }],
])('%s: a NIC of IPv4 %s', (kind, _, ipv6) => {
  const [, ens5] = machine(1).links;
  const links = [{ ...ens5!, networkManager: kind === 'keyfile', ipv6: { acceptRa: 1, addrGenMode: 0 } }];
  const { targets } = planOf({ desired: desired([nic(0)], kind), host: { ...machine(1), links } });
  expect(targets).toMatchObject([{ mac: nic(0).mac, ipv6 }]);
});

const text = (plan: Plan): string[] => plan.files.map((step) => `${step.op} ${step.path}`);

describe('files', () => {
  test('a fresh host gets all of them', () => {
    expect(text(planOf({ desired: desired([nic(0), nic(1)]) }))).toEqual([
      'write etc/netplan/90-multinic0.yaml',
      'write etc/netplan/91-multinic1.yaml',
    ]);
  });

  test('one NIC less: one file less, nothing else', () => {
    const files = desired([nic(0), nic(1), nic(2)]).files;
    const plan = planOf({ desired: desired([nic(0), nic(2)]), files });
    expect(text(plan)).toEqual(['remove etc/netplan/91-multinic1.yaml']);
    expect(plan.orphans).toEqual([{ path: 'etc/netplan/91-multinic1.yaml', why: 'NotInCommit' }]);
  });

  test('a NIC that is not on the machine: its file is an orphan, or is not written', () => {
    const wanted = desired([nic(0), nic(1)]);
    const host = machine(1);
    expect(planOf({ desired: wanted, host })).toMatchObject({ missing: [nic(1).mac], orphans: [] });
    expect(planOf({ desired: wanted, host, files: wanted.files })).toMatchObject({
      missing: [nic(1).mac],
      orphans: [{ path: 'etc/netplan/91-multinic1.yaml', why: 'NicGone' }],
    });
  });

  test('orphans go before others take over what they held', () => {
    const files = desired([nic(0), nic(1)]).files;
    const moved = nic(2, { address: nic(0).address });
    expect(text(planOf({ desired: desired([nic(1), moved]), files }))).toEqual([
      'remove etc/netplan/90-multinic0.yaml',
      'write etc/netplan/92-multinic2.yaml',
    ]);
  });

  test('a file that takes over an address waits until the other has let go', () => {
    const files = desired([nic(0), nic(1)]).files;
    const next = [nic(0, { address: nic(1).address }), nic(1, { address: '192.168.101.99' })];
    expect(text(planOf({ desired: desired(next), files }))).toEqual([
      'write etc/netplan/91-multinic1.yaml',
      'write etc/netplan/90-multinic0.yaml',
    ]);
  });

  test('of two that change places one goes away for the moment', () => {
    const files = desired([nic(0), nic(1)]).files;
    const next = [nic(0, { address: nic(1).address }), nic(1, { address: nic(0).address })];
    expect(text(planOf({ desired: desired(next), files }))).toEqual([
      'remove etc/netplan/91-multinic1.yaml',
      'write etc/netplan/90-multinic0.yaml',
      'write etc/netplan/91-multinic1.yaml',
    ]);
  });
});

describe('a keyfile NIC of which one of its two files is gone', () => {
  const whole = desired([nic(0)], 'keyfile');
  const half = new Map([...whole.files].slice(0, 1));

  test('is completed', () => {
    expect(text(planOf({ desired: whole, files: half }))).toEqual([
      'write etc/systemd/network/70-multinic0.link',
      `write ${CARRIER_WAIT_PATH}`,
    ]);
  });

  test('is not ours to remove if nothing says that we wrote it', () => {
    const wanted = desired([], 'keyfile');
    expect(() => decide(situation({ desired: wanted, files: half }))).toThrow(
      expect.objectContaining({ code: 'ForeignFile' }),
    );
  });
});

test('with source routing each subnet of the NIC yields; a single address has no route that could', () => {
  const routed = nic(0, {
    sourceRouting: true,
    furtherAddresses: ['192.168.100.11/32', '192.168.100.12/31'],
  });
  const [target] = planOf({ desired: desired([routed]) }).targets;
  expect(target!.yields).toEqual(['192.168.100.10/24', '192.168.100.12/31']);
});

test('a manager reads its files again in the mode full, for one file or for what it still holds', () => {
  const none = planOf({});
  const file = planOf({ desired: desired([nic(0)]) });
  const held = { ...none, lingering: [{ mac: nic(0).mac, name: 'multinic0', addresses: [] }] };
  expect([none, file, held].map((plan) => needsReload(plan, 'full'))).toEqual([false, true, true]);
  expect([none, file, held].map((plan) => needsReload(plan, 'live'))).toEqual([false, false, false]);
});

test('a released NIC gets a name from its MAC when its own is taken', () => {
  const host = machine(2);
  const links = host.links.map((link) => (link.mac === nic(0).mac ? { ...link, name: 'multinic0' } : link));
  const applied = {
    node: 'worker-1',
    commit: COMMIT,
    machineId: '',
    appliedAt: '',
    nics: { [nic(0).mac]: { name: 'multinic0', address: '', origin: { name: 'ens6', mtu: 1450, up: true } } },
    files: {},
  };
  const [target] = planOf({ host: { ...host, links }, applied, expectedRecord: COMMIT }).targets;
  expect(target).toMatchObject({ name: 'enx020000000100', mtu: 1450, up: true });
});

test('a NIC that left the machine needs no word to NetworkManager any more, one that is configured keeps it', () => {
  const gone = mac('02:00:00:00:01:77');
  const wanted = desired([nic(0)], 'keyfile');
  const right = { files: wanted.files, carrierWait: carrierWait(wanted.network) };
  const plan = planOf({ ...right, desired: wanted, noAutoDefault: [gone, nic(0).mac] });
  expect(text(plan)).toEqual(['remove etc/NetworkManager/conf.d/90-multinic-020000000177.conf']);
});

describe('NetworkManager beside netplan', () => {
  const [mine, ...rest] = machine(1).links.toReversed();
  const link = { ...mine!, networkManager: true };
  const host = { ...machine(1), links: [...rest, link] };
  const targetOf = (changes: Parameters<typeof situation>[0]) =>
    planOf({ host, ...changes }).targets.find((each) => each.mac === link.mac);

  test.each([
    ['lets go of a NIC of netplan', 'netplan', true, false],
    ['is told nothing where it has let go', 'netplan', false, undefined],
    ['keeps a NIC of its own files', 'keyfile', true, undefined],
  ] as const)('%s', (_, kind, networkManager, expected) => {
    const links = [...rest, { ...link, networkManager }];
    const wanted = desired([nic(0)], kind);
    expect(targetOf({ host: { ...host, links }, desired: wanted })?.networkManager).toBe(expected);
  });

  test.each([
    ['takes a NIC that netplan’s file of ours had', false, 'netplan', true],
    ['has such a NIC already, where somebody gave it one', true, 'netplan', undefined],
    ['is told nothing of a NIC that it let go for another reason', false, 'keyfile', undefined],
  ] as const)('with a commit of keyfiles, it %s', (_, networkManager, before, expected) => {
    const links = [...rest, { ...link, networkManager }];
    const { files } = desired([nic(0)], before);
    const wanted = desired([nic(0)], 'keyfile');
    expect(targetOf({ host: { ...host, links }, desired: wanted, files })?.networkManager).toBe(expected);
  });

  test('a profile that gives a NIC more than DHCP is refused as long as NetworkManager manages the NIC', () => {
    const profile = {
      id: 'lan',
      match: { mac: nic(0).mac },
      file: 'etc/NetworkManager/system-connections/lan.nmconnection',
      by: 'profile' as const,
      more: ['ipv4.method=manual'],
    };
    const wanted = desired([nic(0)]);
    const described = [profile];
    expect(() => decide(situation({ host, desired: wanted, described }))).toThrow(profile.file);
    const links = [...rest, { ...link, networkManager: false }];
    const left = decide(situation({ host: { ...host, links }, desired: wanted, described }));
    expect(left.kind).toBe('apply');
  });

  test.each([
    [
      'gets no automatic profile',
      true,
      link,
      ['write etc/NetworkManager/conf.d/90-multinic-020000000100.conf'],
    ],
    ['that was never its own needs no word', undefined, link, []],
    ['of a NetworkManager that is gone needs no word', true, mine!, []],
  ])('a NIC that leaves the commit %s', (_, networkManager, now, expected) => {
    const origin = { name: 'ens6', mtu: 1500, up: true, ...(networkManager && { networkManager }) };
    const applied = {
      node: 'worker-1',
      commit: COMMIT,
      machineId: '',
      appliedAt: '',
      nics: { [nic(0).mac]: { name: 'multinic0', address: '192.168.100.10/24', origin } },
      files: {},
    };
    const { files } = desired([nic(0)]);
    const links = [...rest, now];
    const plan = planOf({ host: { ...host, links }, files, applied, expectedRecord: COMMIT });
    expect(text(plan)).toEqual(['remove etc/netplan/90-multinic0.yaml', ...expected]);
  });
});

test.each([
  ['is taken back', true, ['remove etc/NetworkManager/conf.d/90-multinic-020000000177.conf']],
  ['stays where no NetworkManager answers', undefined, []],
])('on a host of netplan the word about a NIC that left the machine %s', (_, networkManager, expected) => {
  const host = machine(1);
  const links = host.links.map((link) => ({ ...link, ...(networkManager && { networkManager }) }));
  const plan = planOf({ host: { ...host, links }, noAutoDefault: [mac('02:00:00:00:01:77')] });
  expect(text(plan)).toEqual(expected);
});

/** A NIC that networkd manages since the boot. */
const hostOf = (bootId: string): HostState => {
  const { links, ...host } = machine(1);
  const [eth0, ens5] = links as Link[];
  return {
    ...host,
    bootId,
    links: [eth0!, { ...ens5!, name: 'multinic0', loaded: ['192.168.100.10/24'] }],
  };
};

const lingeringOf = (wanted: Interface, applied: Applied, bootId = 'one'): Plan['lingering'] =>
  planOf({
    desired: desired([wanted]),
    files: new Map(),
    host: hostOf(bootId),
    applied,
    expectedRecord: COMMIT,
  }).lingering;

describe('rules and routes that networkd loaded at boot, before the commit changed them', () => {
  const OLD = nic(0, { sourceRouting: true, gateway: '192.168.100.1' });
  const NEW = nic(0, { sourceRouting: true });
  const held = { ...wantedRouting(OLD), sysctls: {} };
  const appliedOf = (now: Interface, lingering?: Applied['nics'][string]['lingering']): Applied => ({
    node: NODE,
    commit: COMMIT,
    machineId: 'm',
    appliedAt: '2026-01-01T00:00:00.000Z',
    nics: {
      [NEW.mac]: {
        name: 'multinic0',
        address: '192.168.100.10/24',
        routing: wantedRouting(now),
        ...(lingering && { lingering }),
      },
    },
    files: {},
  });
  test('are kept from the change on', () => {
    expect(lingeringOf(NEW, appliedOf(OLD))).toEqual([
      { mac: NEW.mac, name: 'multinic0', addresses: [], heldRouting: held },
    ]);
    expect(lingeringOf(OLD, appliedOf(OLD))).toEqual([]);
  });

  test('are kept until the next boot, or until the commit has them again', () => {
    const later = appliedOf(NEW, { bootId: 'one', addresses: [], routing: held });
    expect(lingeringOf(NEW, later)).toMatchObject([{ heldRouting: held }]);
    expect(lingeringOf(OLD, later)).toEqual([]);
    expect(lingeringOf(NEW, later, 'two')).toEqual([]);
  });

  test('a run looks for them, and takes them away once they are back', () => {
    const later = appliedOf(NEW, { bootId: 'one', addresses: [], routing: held });
    expect(knownRouting([NEW], later).get(NEW.mac)?.rules).toEqual(expect.arrayContaining([...held.rules]));
    const { targets } = planOf({
      desired: desired([NEW]),
      host: hostOf('one'),
      applied: later,
      expectedRecord: COMMIT,
    });
    expect(targets[0]?.unrouted?.rules).toEqual(onlyIn(held, wantedRouting(NEW)).rules);
    expect(targets[0]?.unrouted?.routes).toEqual(['-4 default via 192.168.100.1 table 20000']);
  });
});

describe('whatever is on the host and whatever is wanted', () => {
  const macs = ['a', 'b', 'c', 'd', 'e'].map((digit) => mac(`02:00:00:00:00:0${digit}`));
  const network = fc
    .tuple(
      fc.shuffledSubarray(macs),
      fc.shuffledSubarray([0, 1, 2, 3, 9, 10, 11], { minLength: 5 }),
      fc.shuffledSubarray([10, 11, 12, 13, 14, 15], { minLength: 5 }),
      fc.array(fc.constantFrom(1400, 1500), { minLength: 5, maxLength: 5 }),
    )
    .map(([chosen, indexes, hosts, mtus]): Network =>
      chosen.map((mac, at): Interface => ({
        mac,
        name: nameOfIndex(indexes[at] ?? 0),
        address: `192.168.0.${hosts[at] ?? 0}`,
        prefix: 24,
        mtu: mtus[at] ?? 1500,
      })),
    );
  const situations = fc.record({
    before: network,
    after: network,
    kinds: fc.tuple(fc.constantFrom(...RENDERER_KINDS), fc.constantFrom(...RENDERER_KINDS)),
    there: fc.subarray(macs),
  });

  test('the plan leads from the one to the other, and no MAC or address is in two files on the way', () => {
    fc.assert(
      fc.property(situations, ({ before, after, kinds: [old, kind], there }) => {
        const host = hostWith(there);
        const wanted = desired(after, kind);
        const files = new Map(desired(before, old).files);
        const plan = planOf({ desired: wanted, host, files });
        for (const step of plan.files) {
          if (step.op === 'write') files.set(step.path, step.content);
          else files.delete(step.path);
          expectNoneTwice(files);
        }
        const present = after.filter((each) => there.includes(each.mac));
        const ignored = [...files.keys()].flatMap((path) => noAutoDefaultMac(path) ?? []);
        const released = before.filter(
          ({ mac }) => there.includes(mac) && !after.some((nic) => nic.mac === mac),
        );
        expect(ignored.sort()).toEqual(byNetworkManager(old) ? released.map(({ mac }) => mac).sort() : []);
        for (const mac of ignored) files.delete(noAutoDefaultPath(mac));
        const setting = files.get(CARRIER_WAIT_PATH);
        files.delete(CARRIER_WAIT_PATH);
        expect(files).toEqual(new Map(present.flatMap((each) => [...rendererOf(kind).render(each)])));
        expect([...plan.missing, ...present.map((each) => each.mac)].sort()).toEqual(
          after.map((each) => each.mac).sort(),
        );
        // A second run has nothing to do.
        const right = { host, files, noAutoDefault: ignored, carrierWait: setting };
        expect(planOf({ ...right, desired: wanted }).files).toEqual([]);
        // Only NICs of NetworkManager need the file, so it is removed with the last of them.
        const removed = text(planOf({ ...right, desired: desired([]) })).includes(
          `remove ${CARRIER_WAIT_PATH}`,
        );
        expect(removed).toBe(setting !== undefined);
        expect(setting === undefined || (byNetworkManager(kind) && present.length > 0)).toBe(true);
      }),
      { seed: 3, numRuns: 1000 },
    );
    // Allows many times the usual time, because the machine may have other work.
  }, 120_000);
});

function hostWith(present: readonly Mac[]): HostState {
  const links = present.map((mac, index) => ({
    name: `ens${index}`,
    mac,
    up: true,
    mtu: 1500,
    addresses: [],
  }));
  return { ...machine(0), links };
}

function expectNoneTwice(files: ReadonlyMap<string, string>): void {
  const nics = managed(files).flatMap((group) => group.nic ?? []);
  for (const values of [nics.map((each) => each.mac), nics.map((each) => each.address)]) {
    expect(values.length).toBe(new Set(values).size);
  }
}
