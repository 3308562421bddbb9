import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Problem } from '../api/errors.ts';
import { admitConfig, admitEntry } from './admission.ts';
import { thrownBy } from '../../test/support/thrown-by.ts';

const NIC = { macAddress: 'FA:16:3e:5e:62:3e', address: '192.168.1.100', cidr: '192.168.1.100/24' };
const WANTED = { mac: 'fa:16:3e:5e:62:3e', address: '192.168.1.100', prefix: 24, mtu: 1500 };
const OTHER = { macAddress: '02:00:00:00:00:02', cidr: '192.168.2.2/24' };

const admit = (spec: unknown) => admitConfig({ spec });
const entry = (...interfaces: unknown[]) => ({ attachedNodeId: 'i-1', interfaces });
const inSixtyFour = (address: string) => ({ ...OTHER, address, cidr: `${address}/64` });
const named = (attachedNodeName: string, index: number) => ({
  attachedNodeId: `i-${index}`,
  attachedNodeName,
  interfaces: [],
});
/** A spec whose JSON has this number of bytes. */
const ofBytes = (bytes: number): object => ({
  nodeConfigs: ['x'.repeat(bytes - '{"nodeConfigs":[""]}'.length)],
});
const refusals = (problems: readonly Problem[]) => problems.map(({ path, code }) => `${path} ${code}`);
const refused = (...interfaces: unknown[]) => {
  const admitted = admitEntry(entry(...interfaces), 'spec.nodeConfigs[0]');
  expect('wanted' in admitted).toBe(admitted.problems.length === 0);
  return refusals(admitted.problems).map((text) => text.replace('spec.nodeConfigs[0].', ''));
};

describe('an interface', () => {
  test.each([
    ['the cidr of the address', NIC, WANTED],
    ['the cidr of the subnet', { ...NIC, cidr: '192.168.1.0/24' }, WANTED],
    ['no address, the cidr has it', { ...NIC, address: undefined }, WANTED],
    ['fields left blank', { ...NIC, address: '', portId: null, name: '', mtu: null }, WANTED],
    [
      'everything',
      { ...NIC, mtu: 9000, name: 'multinic7', portId: 'p' },
      { ...WANTED, mtu: 9000, name: 'multinic7', portId: 'p' },
    ],
    [
      'IPv6',
      { ...NIC, address: '2001:DB8::0:1', cidr: '2001:db8::/64' },
      { ...WANTED, address: '2001:db8::1', prefix: 64 },
    ],
    [
      'the lower end of a point-to-point link',
      { ...NIC, address: '10.0.0.0', cidr: '10.0.0.0/31' },
      { ...WANTED, address: '10.0.0.0', prefix: 31 },
    ],
    [
      'the upper end of it, by its subnet',
      { ...NIC, address: '10.0.0.1', cidr: '10.0.0.0/31' },
      { ...WANTED, address: '10.0.0.1', prefix: 31 },
    ],
    [
      'a host prefix',
      { ...NIC, address: '10.0.0.0', cidr: '10.0.0.0/32' },
      { ...WANTED, address: '10.0.0.0', prefix: 32 },
    ],
    [
      'the first of /127',
      { ...NIC, address: undefined, cidr: '2001:db8::/127' },
      { ...WANTED, address: '2001:db8::', prefix: 127 },
    ],
    ['the shortest prefix', { ...NIC, cidr: '192.168.1.100/8' }, { ...WANTED, prefix: 8 }],
    [
      'the shortest prefix of IPv6',
      { ...NIC, address: '', cidr: '2001:db8::1/16' },
      { ...WANTED, address: '2001:db8::1', prefix: 16 },
    ],
    ['the lowest MTU', { ...NIC, mtu: 68 }, { ...WANTED, mtu: 68 }],
    [
      'the lowest MTU of IPv6',
      { ...NIC, address: '', cidr: '2001:db8::1/64', mtu: 1280 },
      { ...WANTED, address: '2001:db8::1', prefix: 64, mtu: 1280 },
    ],
    ['a takeover', { ...NIC, takeover: true }, { ...WANTED, takeover: true }],
    ['no takeover', { ...NIC, takeover: false }, WANTED],
    ['a port in another script', { ...NIC, portId: '포트 1' }, { ...WANTED, portId: '포트 1' }],
  ])('takes %s', (_, nic, wanted) => {
    expect(admitEntry(entry(nic), '')).toMatchObject({ nodeId: 'i-1', wanted: [wanted], problems: [] });
  });

  test.each([
    ['macAddress', { macAddress: undefined }, 'MissingMac'],
    ['macAddress', { macAddress: 'fa-16-3e-5e-62-3e' }, 'InvalidMac'],
    ['macAddress', { macAddress: 123 }, 'InvalidMac'],
    ['macAddress', { macAddress: '00:00:00:00:00:00' }, 'ZeroMac'],
    ['macAddress', { macAddress: '01:00:5e:00:00:01' }, 'MulticastMac'],
    ['macAddress', { macAddress: 'ff:ff:ff:ff:ff:ff' }, 'MulticastMac'],
    ['address', { address: '192.168.1.300' }, 'InvalidAddress'],
    ['address', { address: '192.168.1.100/24' }, 'InvalidAddress'],
    ['address', { address: 3232235876 }, 'InvalidAddress'],
    ['address', { address: 'fe80::1%eth0', cidr: 'fe80::/64' }, 'InvalidAddress'],
    ['address', { address: '192.168.2.100' }, 'OutsideCidr'],
    ['address', { address: '2001:db8::1' }, 'OutsideCidr'],
    ['address', { address: '192.168.1.101' }, 'AddressMismatch'],
    ['address', { address: undefined, cidr: '192.168.1.0/24' }, 'MissingAddress'],
    ['address', { address: '192.168.1.0', cidr: '192.168.1.0/24' }, 'NetworkAddress'],
    ['address', { address: '2001:db8::', cidr: '2001:db8::/64' }, 'NetworkAddress'],
    ['address', { address: '192.168.1.255', cidr: '192.168.1.0/24' }, 'BroadcastAddress'],
    ['address', { address: undefined, cidr: '192.168.1.255/24' }, 'BroadcastAddress'],
    ['address', { address: '127.0.0.1', cidr: '127.0.0.0/8' }, 'UnusableAddress'],
    ['address', { address: '::1', cidr: '::1/128' }, 'UnusableAddress'],
    ['address', { address: '224.0.0.5', cidr: '224.0.0.0/24' }, 'UnusableAddress'],
    ['address', { address: 'ff02::5', cidr: 'ff02::/64' }, 'UnusableAddress'],
    ['address', { address: '0.0.0.0', cidr: '0.0.0.0/32' }, 'UnusableAddress'],
    ['address', { address: '::', cidr: '::/128' }, 'UnusableAddress'],
    ['address', { address: '::ffff:10.0.0.1', cidr: '::ffff:10.0.0.0/120' }, 'UnusableAddress'],
    ['cidr', { cidr: undefined }, 'MissingCidr'],
    ['cidr', { cidr: '192.168.1.100' }, 'InvalidCidr'],
    ['cidr', { cidr: '192.168.1.100/33' }, 'InvalidCidr'],
    ['cidr', { cidr: '192.168.1.100/255.255.255.0' }, 'InvalidCidr'],
    ['cidr', { cidr: 24 }, 'InvalidCidr'],
    ['cidr', { cidr: '192.168.1.100/0' }, 'PrefixTooShort'],
    ['cidr', { cidr: '192.168.1.100/7' }, 'PrefixTooShort'],
    ['cidr', { address: '', cidr: '2001:db8::1/15' }, 'PrefixTooShort'],
    ['mtu', { mtu: 67 }, 'InvalidMtu'],
    ['mtu', { mtu: 9001 }, 'InvalidMtu'],
    ['mtu', { mtu: 9216 }, 'InvalidMtu'],
    ['mtu', { mtu: 1500.5 }, 'InvalidMtu'],
    ['mtu', { mtu: '1500' }, 'InvalidMtu'],
    ['mtu', { address: '2001:db8::1', cidr: '2001:db8::/64', mtu: 1279 }, 'MtuTooSmallForIPv6'],
    ['name', { name: 'eth0' }, 'InvalidName'],
    ['name', { name: 'multinic01' }, 'InvalidName'],
    ['name', { name: 'multinic10000' }, 'InvalidName'],
    ['name', { name: 'multinic0\n' }, 'InvalidName'],
    ['name', { name: 7 }, 'InvalidName'],
    ['portId', { portId: 'a\nb' }, 'InvalidPortId'],
    ['portId', { portId: 'a\u0000' }, 'InvalidPortId'],
    ['portId', { portId: 'a\u2028b' }, 'InvalidPortId'],
    ['portId', { portId: 'a\u202Eb' }, 'InvalidPortId'],
    ['portId', { portId: 'a <b>' }, 'InvalidPortId'],
    ['portId', { portId: ' a' }, 'InvalidPortId'],
    ['portId', { portId: 'a\\' }, 'InvalidPortId'],
    ['portId', { portId: '\uD800' }, 'InvalidPortId'],
    ['portId', { portId: 'a'.repeat(254) }, 'InvalidPortId'],
    ['portId', { portId: 7 }, 'InvalidPortId'],
    ['takeover', { takeover: 'yes' }, 'InvalidTakeover'],
  ])('refuses a %s: %o', (field, change, code) => {
    expect(refused({ ...NIC, ...change })).toEqual([`interfaces[0].${field} ${code}`]);
  });

  test.each([
    ['macAddress', { ...OTHER, macAddress: 'fa:16:3E:5e:62:3e' }, 'DuplicateMac'],
    ['name', { ...OTHER, name: 'multinic1' }, 'DuplicateName'],
    ['address', { ...OTHER, cidr: '192.168.1.100/16' }, 'DuplicateAddress'],
  ])('refuses a %s that the node has already', (field, twin, code) => {
    expect(refused({ ...NIC, name: 'multinic1' }, twin)).toEqual([`interfaces[1].${field} ${code}`]);
  });

  test('IPv6 addresses are compared, not their texts', () => {
    const one = { ...NIC, address: '2001:db8::1', cidr: '2001:db8::/64' };
    expect(refused(one, { ...OTHER, cidr: '2001:DB8:0::0001/64' })).toEqual([
      'interfaces[1].address DuplicateAddress',
    ]);
  });

  test('every problem at once, at its own index, although another interface is unreadable', () => {
    expect(refused(NIC, { mtu: 1 }, 'text', { ...NIC, portId: '<' }, NIC)).toEqual([
      'interfaces[1].mtu InvalidMtu',
      'interfaces[1].macAddress MissingMac',
      'interfaces[1].cidr MissingCidr',
      'interfaces[2] InvalidInterface',
      'interfaces[3].portId InvalidPortId',
      'interfaces[4].macAddress DuplicateMac',
      'interfaces[4].address DuplicateAddress',
    ]);
  });

  test('32 are taken, 33 are not', () => {
    const many = Array.from({ length: 33 }, (_, index) => ({
      macAddress: `02:00:00:00:00:${index.toString(16).padStart(2, '0')}`,
      cidr: `10.0.${index}.1/24`,
    }));
    expect(refused(...many.slice(0, 32))).toEqual([]);
    expect(refused(...many)).toEqual(['interfaces[32] TooManyInterfaces']);
  });
});

describe('an entry', () => {
  test('an empty list of interfaces means none', () => {
    expect(admitEntry(entry(), '')).toMatchObject({ nodeId: 'i-1', wanted: [], problems: [] });
  });

  test.each([
    ['no list', { attachedNodeId: 'i-1' }, 'e.interfaces MissingInterfaces'],
    ['null', { attachedNodeId: 'i-1', interfaces: null }, 'e.interfaces MissingInterfaces'],
    ['a map', { attachedNodeId: 'i-1', interfaces: {} }, 'e.interfaces InvalidInterfaces'],
    ['no ID', { interfaces: [] }, 'e.attachedNodeId MissingNodeId'],
    ['a number as ID', { attachedNodeId: 5, interfaces: [] }, 'e.attachedNodeId InvalidNodeId'],
    ['an ID with a path', { attachedNodeId: '../x', interfaces: [] }, 'e.attachedNodeId InvalidNodeId'],
    ['an ID with dots', { attachedNodeId: 'a..b', interfaces: [] }, 'e.attachedNodeId InvalidNodeId'],
    ['an ID ending in .lock', { attachedNodeId: 'a.LOCK', interfaces: [] }, 'e.attachedNodeId InvalidNodeId'],
    ['an ID like an option', { attachedNodeId: '--help', interfaces: [] }, 'e.attachedNodeId InvalidNodeId'],
    ['an ID of two lines', { attachedNodeId: 'a\nb', interfaces: [] }, 'e.attachedNodeId InvalidNodeId'],
    ['an ID too long', { attachedNodeId: 'a'.repeat(254), interfaces: [] }, 'e.attachedNodeId InvalidNodeId'],
    [
      'a name of two lines',
      { attachedNodeId: 'a', attachedNodeName: 'a\nb', interfaces: [] },
      'e.attachedNodeName InvalidNodeName',
    ],
    ['a text', 'worker-1', 'e InvalidEntry'],
    ['null', null, 'e InvalidEntry'],
    ['a list', [], 'e InvalidEntry'],
  ])('refuses %s', (_, raw, problem) => {
    const admitted = admitEntry(raw, 'e');
    expect(refusals(admitted.problems)).toEqual([problem]);
    expect(admitted).not.toHaveProperty('wanted');
    expect(admitted.raw).toBe(raw);
  });
});

describe('a config', () => {
  test('the sample of the README', () => {
    const text = readFileSync(
      new URL('../../fixtures/sample-multinicclusterconfig.yaml', import.meta.url),
      'utf8',
    );
    const admitted = admitConfig(parse(text) as { spec: unknown });
    expect(admitted).toMatchObject({
      providerId: '0c497169-a104-4448-afde-f27b79fca904',
      specHash: 'a1b2c3d4e5f6789a',
      rest: { providerId: '0c497169-a104-4448-afde-f27b79fca904', specHash: 'a1b2c3d4e5f6789a' },
      warnings: [],
    });
    expect(admitted.entries.map(({ nodeName, wanted }) => [nodeName, wanted?.length])).toEqual([
      ['k8s-worker-01', 2],
      ['k8s-worker-02', 1],
      ['k8s-worker-03', 1],
    ]);
  });

  const loop: unknown[] = [];
  loop.push(loop);
  test.each([
    ['no spec', undefined, 'spec InvalidSpec'],
    ['a text', 'x', 'spec InvalidSpec'],
    ['no nodeConfigs', {}, 'spec.nodeConfigs InvalidNodeConfigs'],
    ['null for nodeConfigs', { nodeConfigs: null }, 'spec.nodeConfigs InvalidNodeConfigs'],
    ['a map for nodeConfigs', { nodeConfigs: {} }, 'spec.nodeConfigs InvalidNodeConfigs'],
    ['a provider of two lines', { providerId: 'a\nb', nodeConfigs: [] }, 'spec.providerId InvalidProviderId'],
    ['a number as hash', { specHash: 5, nodeConfigs: [] }, 'spec.specHash InvalidSpecHash'],
    ['too much', { nodeConfigs: ['x'.repeat(1.5 * 1024 * 1024)] }, 'spec SpecTooLarge'],
    ['a list that contains itself', { nodeConfigs: loop }, 'spec InvalidSpec'],
  ])('refuses as a whole %s', (_, spec, problem) => {
    const error = thrownBy(() => admit(spec));
    expect(error.code).toBe('InvalidConfig');
    expect(refusals(error.problems)).toEqual([problem]);
  });

  test('takes 1.5 MiB as JSON, and not a byte more', () => {
    expect(admit(ofBytes(1_572_864)).entries).toHaveLength(1);
    expect(refusals(thrownBy(() => admit(ofBytes(1_572_865))).problems)).toEqual(['spec SpecTooLarge']);
  });

  test.each([
    [null, 'missing'],
    [[], 'a list'],
    [7, '7'],
    ['x'.repeat(78), `"${'x'.repeat(78)}"`],
    ['x'.repeat(79), `"${'x'.repeat(79)}…`],
  ])('says what is there instead of a spec: %j', (spec, words) => {
    expect(thrownBy(() => admit(spec)).problems[0]!.message).toBe(`is ${words}; write nodeConfigs into it`);
  });

  test('says that a map is no list', () => {
    expect(() => admit({ nodeConfigs: {} })).toThrow(/is a map; write a list/);
  });

  test('says how to mean an empty list', () => {
    expect(() => admit({})).toThrow(/write a list, and \[\] to say/);
    expect(admit({ nodeConfigs: [] }).entries).toEqual([]);
  });

  test('a bad entry leaves the others alone', () => {
    const { entries } = admit({
      nodeConfigs: [entry({ ...NIC, mtu: 1 }), { attachedNodeId: 'i-2', interfaces: [OTHER] }],
    });
    expect(entries.map(({ index, wanted }) => [index, wanted?.length])).toEqual([
      [0, undefined],
      [1, 1],
    ]);
    expect(refusals(entries[0]?.problems ?? [])).toEqual([
      'spec.nodeConfigs[0].interfaces[0].mtu InvalidMtu',
    ]);
  });

  test('a node twice is refused at each of its places, however the ID is spelled', () => {
    const { entries } = admit({
      nodeConfigs: [
        { attachedNodeId: '0C497169-A104-4448-AFDE-F27B79FCA904', interfaces: [] },
        { attachedNodeId: 'i-2', interfaces: [] },
        { attachedNodeId: '0c497169a1044448afdef27b79fca904', interfaces: [] },
      ],
    });
    expect(entries.map(({ problems, wanted }) => [refusals(problems), wanted])).toEqual([
      [['spec.nodeConfigs[0].attachedNodeId DuplicateNode'], undefined],
      [[], []],
      [['spec.nodeConfigs[2].attachedNodeId DuplicateNode'], undefined],
    ]);
  });

  test('the same MAC or address on two nodes is a warning only', () => {
    const { entries, warnings } = admit({
      nodeConfigs: [entry(NIC), { attachedNodeId: 'i-2', interfaces: [NIC] }],
    });
    expect(entries.flatMap(({ problems }) => problems)).toEqual([]);
    expect(refusals(warnings)).toEqual([
      'spec.nodeConfigs[1].interfaces[0].macAddress SharedMac',
      'spec.nodeConfigs[1].interfaces[0].address SharedAddress',
    ]);
  });

  test('a field that there is not is a warning', () => {
    const { warnings } = admit({
      node_configs: [],
      nodeConfigs: [{ ...entry({ ...NIC, MTU: 9000 }), extra: 1 }],
    });
    expect(refusals(warnings)).toEqual([
      'spec.node_configs UnknownField',
      'spec.nodeConfigs[0].extra UnknownField',
      'spec.nodeConfigs[0].interfaces[0].MTU UnknownField',
    ]);
  });

  test('forty thousand entries of one node are not compared with each other', () => {
    const nodeConfigs = Array.from({ length: 40_000 }, () => ({ attachedNodeId: 'i', interfaces: [] }));
    const codes = new Set(
      admit({ nodeConfigs }).entries.flatMap(({ problems }) => problems.map(({ code }) => code)),
    );
    expect(codes).toEqual(new Set(['DuplicateNode']));
  });

  test('every problem ends with a remedy', () => {
    const bad = [{ ...NIC, mtu: 1, portId: '<', name: 'x' }, { ...NIC, cidr: 'x' }, 5, {}];
    for (const { message } of admitEntry(entry(...bad), '').problems)
      expect(message).toMatch(/; (write|give|make|remove|correct|split)\b/);
  });
});

describe('a link-local address', () => {
  const v4 = { ...NIC, address: '169.254.3.4', cidr: '169.254.3.4/16' };

  test.each([v4, inSixtyFour('fe80::1'), inSixtyFour('fe91:2::1')])(
    '$address is refused where it is new',
    (item) => {
      const good = { ...entry({ ...OTHER, macAddress: '02:00:00:00:00:09' }), attachedNodeId: 'i-2' };
      const { entries, warnings } = admit({ nodeConfigs: [entry(item), good] });
      expect(refusals(entries[0]!.problems)).toEqual([
        'spec.nodeConfigs[0].interfaces[0].address LinkLocalAddress',
      ]);
      expect(entries.map(({ wanted }) => wanted?.length)).toEqual([undefined, 1]);
      expect(warnings).toEqual([]);
    },
  );

  test('is a warning where an earlier version took it, also when the entry changes elsewhere', () => {
    const { index: _, raw: __, ...stored } = { ...admitEntry(entry(v4, OTHER), ''), index: 0 };
    const judged = new Map([[JSON.stringify(entry(v4, OTHER)), stored]]);
    for (const items of [[v4, OTHER], [{ ...v4, mtu: 1400 }]]) {
      const { entries, warnings } = admitConfig({ spec: { nodeConfigs: [entry(...items)] } }, judged);
      expect(entries[0]!.wanted).toHaveLength(items.length);
      expect(refusals(warnings)).toEqual(['spec.nodeConfigs[0].interfaces[0].address LinkLocalAddress']);
    }
    const moved = { ...v4, address: '169.254.3.5', cidr: '169.254.3.5/16' };
    expect(admitConfig({ spec: { nodeConfigs: [entry(moved)] } }, judged).entries[0]!.wanted).toBeUndefined();
  });
});

test('names that no node can have are one warning, which names the first', () => {
  const names = ['worker-1', 'worker-1.example.org', 'Worker_1', '../../etc', 'Worker eins'];
  const { entries, warnings } = admit({ nodeConfigs: names.map(named) });
  expect(entries.every(({ wanted }) => wanted !== undefined)).toBe(true);
  expect(refusals(warnings)).toEqual(['spec.nodeConfigs[3].attachedNodeName ImpossibleNodeName']);
  expect(warnings[0]!.message).toMatch(
    /^"\.\.\/\.\.\/etc" can be no node's name, nor 1 more name of this CR;/,
  );
});
