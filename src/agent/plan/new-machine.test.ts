import type { Oid } from '../../api/oid.ts';
import { oid } from '../../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import { identity, machine, nic } from '../../../test/support/agent.ts';
import { rendererOf } from '../../network/renderers.ts';
import type { Network } from '../../network/interface.ts';
import { managedFiles, renderTree } from '../../network/tree.ts';
import type { Applied } from '../files/host-record.ts';
import { parseOne, type ManagedNic } from '../files/managed-files.ts';
import { isNewMachine, type Traces } from './new-machine.ts';
import { decide } from './plan.ts';

const [RECORDED, WANTED] = ['1', '2'].map((digit) => oid(digit.repeat(40))) as [Oid, Oid];
/** A machine with the MACs of nic(0) to nic(3), and NICs of the machine that it is a copy of. */
const HERE = machine(4);
const ELSEWHERE: Network = [nic(7), nic(8)];

function record(network: Network): Applied {
  const nics = network.map(({ mac, name, address }) => [mac, { name, address: `${address}/24` }]);
  return {
    node: 'w',
    commit: RECORDED,
    machineId: 'm',
    appliedAt: '2025-01-21T10:32:00Z',
    nics: Object.fromEntries(nics) as Applied['nics'],
    files: {},
  };
}

const filesOf = (network: Network): ReadonlyMap<string, string> =>
  managedFiles(renderTree(identity('netplan'), network));

function managed(network: Network): ManagedNic[] {
  const renderer = rendererOf('netplan');
  return network.map((each) => {
    const files = renderer.render(each);
    return { renderer, name: each.name, files, ignored: new Set<string>(), nic: parseOne(renderer, files) };
  });
}

function traces(more: Partial<Traces> = {}): Traces {
  return { host: HERE, managed: [], applied: undefined, ...more };
}

const named = (name: string): Traces['host'] => ({
  links: HERE.links.map((link, index) => (index === 3 ? { ...link, name } : link)),
});

describe('a machine is a new one', () => {
  test.each<[what: string, is: boolean, of: Partial<Traces>]>([
    ['with no record, no file and no link of ours', true, {}],
    ['not with a link that has a name of ours', false, { host: named('multinic3') }],
    ['not with a file of ours and no record', false, { managed: managed(ELSEWHERE) }],
    ['with record and files of NICs that are elsewhere', true, copied()],
    ['with a record that names no NIC', true, { applied: record([]) }],
    ['not with a record that names a NIC that is here', false, { applied: record([nic(8), nic(2)]) }],
    ['not with a file about a NIC that is here', false, { ...copied(), managed: managed([nic(8), nic(2)]) }],
    [
      'not with a clone’s record and a link that has a name of ours',
      false,
      { ...copied(), host: named('multinic9') },
    ],
  ])('%s', (_, is, of) => {
    expect(isNewMachine(traces(of))).toBe(is);
  });

  function copied(): Partial<Traces> {
    return { applied: record(ELSEWHERE), managed: managed(ELSEWHERE) };
  }
});

describe('a new machine is configured without a person, whatever record is expected', () => {
  const network = [nic(0), nic(1)];
  const situation = {
    host: HERE,
    desired: { commit: WANTED, kind: 'netplan', network, files: filesOf(network) },
    described: [],
    noAutoDefault: [],
    carrierWait: undefined,
    metricFiles: new Map(),
    links: true,
  } as const;

  test('a new disk in a machine with the same IDs', () => {
    const decision = decide({ ...situation, ...traces(), host: HERE, expectedRecord: RECORDED });
    expect(decision).toMatchObject({ kind: 'apply', plan: { present: network, orphans: [] } });
  });

  test('a clone: the files of the other machine are orphans', () => {
    const clone = { applied: record(ELSEWHERE), managed: managed(ELSEWHERE) };
    const decision = decide({ ...situation, ...clone, expectedRecord: null });
    expect(decision).toMatchObject({
      kind: 'apply',
      plan: {
        present: network,
        orphans: [...filesOf(ELSEWHERE).keys()].map((path) => ({ path, why: 'NotInCommit' })),
      },
    });
  });
});
