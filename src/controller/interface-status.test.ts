import { expect, test } from 'vitest';
import type { Difference } from '../api/observation.ts';
import type { Network } from '../network/interface.ts';
import type { NodeFacts } from '../scheduler/due.ts';
import { interfacesOf } from './interface-status.ts';

const NETWORK = [
  { name: 'multinic0', mac: '02:00:00:00:00:01', address: '192.168.100.10', prefix: 24, mtu: 1500 },
  { name: 'multinic1', mac: '02:00:00:00:00:02', address: '192.168.200.10', prefix: 24, mtu: 1500 },
] as unknown as Network;
const first = { name: 'multinic0', macAddress: '02:00:00:00:00:01', address: '192.168.100.10/24' };
const second = { name: 'multinic1', macAddress: '02:00:00:00:00:02', address: '192.168.200.10/24' };

function of(history: object[], state: Parameters<typeof interfacesOf>[2]): object[] {
  return interfacesOf(NETWORK, { history } as unknown as NodeFacts, state);
}

test('those of a node that is configured are configured', () => {
  expect(of([{ result: 'Applied', missing: [] }], { state: 'Configured' })).toEqual([
    { ...first, state: 'Configured' },
    { ...second, state: 'Configured' },
  ]);
});

test('those of a node that failed as a whole have its state and reason', () => {
  expect(of([{ result: 'Failed', missing: [] }], { state: 'Failed', reason: 'NicInUse' })).toEqual([
    { ...first, state: 'Failed', reason: 'NicInUse' },
    { ...second, state: 'Failed', reason: 'NicInUse' },
  ]);
});

test('one that is missing waits, and the others are configured', () => {
  const history = [{ result: 'Pending', missing: ['02:00:00:00:00:02'] }];
  expect(of(history, { state: 'Pending', reason: 'InterfacesMissing' })).toEqual([
    { ...first, state: 'Configured' },
    { ...second, state: 'Pending', reason: 'InterfacesMissing' },
  ]);
});

test('one that a run left out waits, and the others are configured', () => {
  const history = [{ result: 'Pending', missing: [], leftOut: ['02:00:00:00:00:02'] }];
  expect(of(history, { state: 'Pending', reason: 'WaitsForAddress' })).toEqual([
    { ...first, state: 'Configured' },
    { ...second, state: 'Pending', reason: 'AddressFreed' },
  ]);
});

test('one that drifted says how, and the others are configured', () => {
  const difference: Difference = { kind: 'LinkDown', name: 'multinic0', mac: '02:00:00:00:00:01' };
  const history = [
    { result: 'Drifted', differences: [difference] },
    { result: 'Applied', missing: [] },
  ];
  expect(of(history, { state: 'Failed', reason: 'Drifted' })).toEqual([
    { ...first, state: 'Failed', reason: 'LinkDown' },
    { ...second, state: 'Configured' },
  ]);
});
