import { describe, expect, test } from 'vitest';
import { identity, nic } from '../../test/support/agent.ts';
import { oid } from '../../test/support/oid.ts';
import { InvalidInputError, MultinicError } from '../api/errors.ts';
import type { Branch } from '../history/node-branch.ts';
import type { OutcomeRecord } from '../history/outcome-branch.ts';
import type { Network } from '../network/interface.ts';
import { renderTree } from '../network/tree.ts';
import type { JobStatus } from '../scheduler/job-port.ts';
import type { Reader } from '../store/model/store-port.ts';
import { HostAddresses } from './host-addresses.ts';

const AT_TIP: Network = [nic(0, { address: '192.168.100.20' }), nic(1)];
/** Networks of commits. */
const COMMITS = new Map<string, Network>([
  [oid('old'), [nic(0), nic(1)]],
  [oid('tip'), AT_TIP],
  [oid('other'), [nic(0, { address: '192.168.100.30' })]],
]);

let reads = 0;
const reader = {
  files: async (commit: string) => {
    reads += 1;
    if (commit === oid('refused')) throw new InvalidInputError('InvalidTree', 'the tree', []);
    const network = COMMITS.get(commit);
    if (network === undefined) throw new MultinicError('NotFound', `no ${commit}`);
    return renderTree(identity('netplan'), network);
  },
} as unknown as Reader;

const branch = {
  name: 'w',
  tip: { oid: oid('tip') },
  tree: oid('tree of tip'),
  network: AT_TIP,
} as unknown as Branch;

function run(
  result: OutcomeRecord['result'],
  tried: string,
  more: Partial<OutcomeRecord> = {},
): OutcomeRecord {
  const tree = oid(`tree of ${tried}`);
  return {
    oid: oid(`outcome ${tried}`),
    time: 1,
    result,
    tried: oid(tried),
    attempt: 1,
    tree,
    missing: [],
    found: [],
    ...more,
  };
}

const job = (name: string, commit: string): JobStatus => ({
  name,
  node: 'w',
  commit: commit === 'none' ? commit : oid(commit),
  attempt: 1,
  phase: 'running',
});
const OLD = ['192.168.100.10', '192.168.101.10'];
const TIP = ['192.168.100.20', '192.168.101.10'];
const OTHER = '192.168.100.30';
const before = run('Applied', 'old');

describe('what a host has, and may have', () => {
  test.each<[string, OutcomeRecord[], JobStatus[], string[], string[]]>([
    ['nothing was ever applied', [], [], [], []],
    ['the tip', [run('Applied', 'tip')], [], TIP, TIP],
    ['an earlier commit', [before], [], OLD, OLD],
    ['a request changes nothing', [run('Requested', 'x', { tree: before.tree }), before], [], OLD, OLD],
    ['a failed run changes nothing', [run('Failed', 'tip', { tree: before.tree }), before], [], OLD, OLD],
    [
      'a run whose end nobody knows',
      [run('Failed', 'tip', { tree: before.tree }), run('Unknown', 'other', { tree: before.tree }), before],
      [],
      OLD,
      [...OLD, OTHER],
    ],
    [
      'a run before the newest known one',
      [run('Applied', 'tip'), run('Unknown', 'other', { tree: before.tree }), before],
      [],
      TIP,
      TIP,
    ],
    [
      'a host that could not be restored',
      [run('Failed', 'other', { tree: before.tree, reason: 'RestoreFailed' }), before],
      [],
      OLD,
      [...OLD, OTHER],
    ],
    [
      'a host with another commit of ours',
      [run('Diverged', 'tip', { tree: before.tree, record: oid('other') }), before],
      [],
      OLD,
      [...OLD, OTHER],
    ],
    [
      'NICs that are missing or left out',
      [run('Pending', 'old', { missing: [nic(1).mac], leftOut: [nic(0).mac] })],
      [],
      [],
      [],
    ],
    ['a host that drifted', [run('Drifted', 'old', { tree: oid('by hand') }), before], [], OLD, OLD],
    ['a job', [before], [job('j', 'tip')], OLD, [...OLD, '192.168.100.20']],
    ['a job of an earlier tip', [before], [job('j', 'other')], OLD, [...OLD, OTHER]],
    ['a job that somebody edited', [before], [job('j', 'none')], OLD, OLD],
    ['a job that is recorded', [{ ...before, job: 'j' }], [job('j', 'tip')], OLD, OLD],
    [
      'commits that cannot be read',
      [run('Unknown', 'refused', { tree: before.tree }), run('Applied', 'gone')],
      [],
      [],
      [],
    ],
  ])('%s', async (_, history, jobs, applied, possible) => {
    const hosts = new HostAddresses(reader);
    const read = await hosts.read(branch, history, jobs, [nic(7)]);
    expect([...read.applied].toSorted()).toEqual(applied.toSorted());
    expect([...read.asked]).toEqual(['192.168.107.10']);
    expect(read.nics).toEqual([
      { mac: nic(0).mac, addresses: ['192.168.100.20'] },
      { mac: nic(1).mac, addresses: ['192.168.101.10'] },
    ]);
    const all = [...OLD, ...TIP, OTHER].filter((address) => hosts.holders.of(address).has('w'));
    expect([...new Set(all)].toSorted()).toEqual([...new Set(possible)].toSorted());
  });

  test('a node that did not change is not read again, and a node that left is forgotten', async () => {
    const hosts = new HostAddresses(reader);
    const asked = [nic(0)];
    const first = await hosts.read(branch, [before], [], asked);
    const before1 = reads;
    expect(await hosts.read(branch, [before], [], asked)).toBe(first);
    expect(reads).toBe(before1);
    expect(await hosts.read(branch, [before], [], [nic(0)])).not.toBe(first);
    hosts.keep(new Map());
    expect(hosts.holders.of('192.168.100.10').size).toBe(0);
  });

  test('a store that is away is an error of the node', async () => {
    const away = {
      files: async () => {
        throw new MultinicError('Fenced', 'the store is another one');
      },
    } as unknown as Reader;
    await expect(new HostAddresses(away).read(branch, [before], [], [])).rejects.toThrow('another one');
  });
});
