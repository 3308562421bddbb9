import { describe, expect, it } from 'vitest';
import { describeDifference, describeRemedy, differenceKey, isRepairable } from './difference-words.ts';
import {
  Difference,
  DIFFERENCE_KINDS,
  HOST_TREE_BODY_MAX_BYTES,
  HostTree,
  needsRun,
  Observation,
} from './observation.ts';
import { readReason } from './reasons/reasons.ts';

const MAC = '02:00:00:00:01:01';
const PATH = 'etc/netplan/91-multinic1.yaml';

const OBSERVED = {
  version: 1,
  mode: 'observe',
  node: 'worker-1',
  job: 'multinic-observe-worker-1-20260101000000',
  commit: 'a'.repeat(40),
  result: 'Observed',
  step: 'report',
  machineId: 'm1',
  bootId: 'b1',
  startedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 40,
};

describe('an observation', () => {
  it('is read as it was written', () => {
    const drifted = {
      ...OBSERVED,
      result: 'Drifted',
      systemUUID: '01234567-89ab-cdef-0123-456789abcdef',
      differences: [{ kind: 'MtuChanged', name: 'multinic1', mac: MAC, wanted: '1500', found: '1400' }],
      omitted: 3,
      digest: 'd'.repeat(64),
      tree: 'e'.repeat(40),
      warnings: ['NetworkdHoldsOldFile'],
    };
    expect(Observation.parse(JSON.parse(JSON.stringify(drifted)))).toEqual(drifted);
    expect(Observation.parse(OBSERVED).differences).toEqual([]);
  });

  it.each([
    ['a result of a run', { result: 'Applied' }],
    ['another mode', { mode: 'apply' }],
    ['a digest that is none', { digest: 'abc' }],
    [
      'a line of its own in a difference',
      { differences: [{ kind: 'FileExtra', path: 'a\nResult: Applied' }] },
    ],
    ['a text without end', { differences: [{ kind: 'FileChanged', path: PATH, found: 'x'.repeat(201) }] }],
    ['an unknown kind', { differences: [{ kind: 'Haunted', path: PATH }] }],
  ])('is refused with %s', (_, part) => {
    expect(Observation.safeParse({ ...OBSERVED, ...part }).success).toBe(false);
  });
});

describe('describeDifference', () => {
  const nic = { name: 'multinic1', mac: MAC };
  it.each<[Difference, string]>([
    [
      { kind: 'FileChanged', path: PATH, ...nic, wanted: 'mtu 1500', found: 'mtu 1400' },
      `${PATH} was changed: mtu 1400 instead of mtu 1500`,
    ],
    [{ kind: 'FileMissing', path: PATH, ...nic }, `${PATH} is missing`],
    [{ kind: 'FileForeign', path: PATH }, `${PATH} is on the host, and multinic-agent did not write it`],
    [{ kind: 'FileExtra', path: PATH }, `${PATH} is on the host and not in the commit`],
    [{ kind: 'LinkMissing', ...nic }, `multinic1 (${MAC}) is not on the machine`],
    [
      { kind: 'LinkRenamed', ...nic, wanted: 'multinic1', found: 'ens7' },
      `${MAC} is named ens7 instead of multinic1`,
    ],
    [{ kind: 'LinkDown', ...nic }, `multinic1 (${MAC}) is down`],
    [
      { kind: 'MtuChanged', ...nic, wanted: '1500', found: '1400' },
      `multinic1 (${MAC}) has MTU 1400 instead of 1500`,
    ],
    [
      { kind: 'AddressMissing', ...nic, wanted: '192.168.100.10/24' },
      `multinic1 (${MAC}) does not have its address 192.168.100.10/24`,
    ],
    [
      { kind: 'AddressExtra', ...nic, found: '192.168.100.9/24' },
      `multinic1 (${MAC}) has the address 192.168.100.9/24, which the agent removed`,
    ],
    [
      { kind: 'MetricChanged', ...nic, wanted: '1001' },
      `the route of multinic1 (${MAC}) to its subnet does not have metric 1001, so it may win over another NIC`,
    ],
    [{ kind: 'RouterAdvertisements', ...nic }, `multinic1 (${MAC}) accepts router advertisements`],
    [
      { kind: 'NetworkManagerManages', ...nic },
      `NetworkManager manages multinic1 (${MAC}) too, so it may take the addresses away`,
    ],
    [
      { kind: 'NextBoot', ...nic, path: 'etc/systemd/network/10-x.link', found: 'is named lan0' },
      `at the next boot multinic1 (${MAC}) is named lan0 by etc/systemd/network/10-x.link`,
    ],
    [
      { kind: 'LinkDown', ...nic, inUse: 'carries net1' },
      `multinic1 (${MAC}) is down; the NIC carries net1, so no run touches it`,
    ],
  ])('says %j', (difference, words) => {
    expect(Difference.parse(difference)).toEqual(difference);
    expect(describeDifference(difference)).toBe(words);
  });

  it('says what the whole host does at the next boot', () => {
    expect(
      describeDifference({ kind: 'NextBoot', found: 'our files may not count: netplan refuses a file' }),
    ).toBe('at the next boot our files may not count: netplan refuses a file');
  });

  it('has words for every kind, also without details', () => {
    for (const kind of DIFFERENCE_KINDS) expect(describeDifference({ kind })).toMatch(/^\S.*\S$/);
  });
});

describe('a difference that comes back', () => {
  it('is recognised whatever was found', () => {
    const name = { kind: 'LinkRenamed', name: 'multinic1', mac: MAC, wanted: 'multinic1' } as const;
    expect(differenceKey({ ...name, found: 'eth1' })).toBe(differenceKey({ ...name, found: 'eth2' }));
    expect(differenceKey(name)).not.toBe(differenceKey({ ...name, mac: '02:00:00:00:01:02' }));
  });

  it('differs by its address and by its file', () => {
    const missing = { kind: 'AddressMissing', mac: MAC } as const;
    expect(differenceKey({ ...missing, wanted: '10.0.0.1/24' })).not.toBe(
      differenceKey({ ...missing, wanted: '10.0.0.2/24' }),
    );
    const file = { kind: 'FileMissing', mac: MAC } as const;
    expect(differenceKey({ ...file, path: 'a' })).not.toBe(differenceKey({ ...file, path: 'b' }));
  });

  it('is no work for a run if the file is foreign', () => {
    expect(DIFFERENCE_KINDS.filter((kind) => !isRepairable({ kind }))).toEqual(['FileForeign', 'NextBoot']);
  });

  it('is no work for a run if other software stands on the NIC, whatever stands there', () => {
    const down = { kind: 'LinkDown', mac: MAC } as const;
    const used = { ...down, inUse: 'carries net1' };
    expect(isRepairable(down)).toBe(true);
    expect(isRepairable(used)).toBe(false);
    expect(differenceKey(used)).toBe(differenceKey(down));
  });
});

describe('what to do about a drift', () => {
  const boot = { kind: 'NextBoot', path: 'etc/x.link' } as const;
  const used = { kind: 'LinkDown', mac: MAC, inUse: 'carries net1' } as const;
  const foreign = { kind: 'FileForeign', path: PATH } as const;
  const retry = 'multinic retry w repairs the host, multinic accept w keeps its files';

  it.each([
    [[], retry],
    [[{ kind: 'LinkDown', mac: MAC }, used], retry],
    [
      [{ kind: 'LinkDown', mac: MAC }, foreign],
      'no run can repair that; move the foreign file away, then run multinic retry w',
    ],
    [[boot], 'no run can repair that; remove the file that the message names'],
    [[used], 'no run can repair that; free the NIC, then run multinic retry w'],
    [
      [used, boot],
      'no run can repair that; remove the file that the message names, and free the NIC, then run multinic retry w',
    ],
  ] as const)('%j', (differences, words) => {
    expect(describeRemedy('w', differences)).toBe(words);
  });
});

describe('an Unclear observation', () => {
  it.each(['NamesFound', 'RecordDiffers', 'NewMachine', 'RunInterrupted', 'InterfacesFound', 'DuplicateMac'])(
    'with %s needs a run',
    (reason) => {
      expect(needsRun(readReason(reason))).toBe(true);
    },
  );

  it.each(['StoreUnreachable', 'Unauthorized', 'DeadlineExceeded', 'Interrupted', 'CommandHangs', 'HostIo'])(
    'with %s is made again',
    (reason) => {
      expect(needsRun(readReason(reason))).toBe(false);
    },
  );

  it('without a code is made again', () => {
    expect(needsRun(undefined)).toBe(false);
  });
});

describe('a host tree', () => {
  const tree = { version: 1, node: 'n', job: 'j', commit: 'a'.repeat(40), digest: 'd'.repeat(64) };
  const judge = (files: Record<string, string | null>): boolean =>
    HostTree.safeParse({ ...tree, tree: 'e'.repeat(40), files }).success;

  it('has changed and missing files', () => {
    expect(judge({ [PATH]: 'network: {}\n', 'etc/netplan/90-multinic0.yaml': null })).toBe(true);
  });

  it('has files of at most 64 KiB, 256 KiB in all', () => {
    const full = 'ä'.repeat(32 * 1024);
    expect(judge({ a: full })).toBe(true);
    expect(judge({ a: `${full}x` })).toBe(false);
    expect(judge({ a: full, b: full, c: full, d: full })).toBe(true);
    expect(judge({ a: full, b: full, c: full, d: full, e: 'x' })).toBe(false);
  });

  it('fits the body of a request, also if each of its lines is a letter long', () => {
    const file = 'x\n'.repeat(32 * 1024);
    const body = JSON.stringify({
      ...tree,
      tree: 'e'.repeat(40),
      files: { a: file, b: file, c: file, d: file },
    });
    expect(Buffer.byteLength(body)).toBeLessThanOrEqual(HOST_TREE_BODY_MAX_BYTES);
  });
});
