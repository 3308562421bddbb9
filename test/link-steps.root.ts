// Processes that a change of a running link starts. The link is in a network namespace, which takes root.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { LinkStep } from '../src/agent/host/machine.ts';
import { mac } from './support/mac.ts';

const MAC = mac('02:00:00:00:01:00');
const PROGRAM = join(import.meta.dirname, 'support/link-step.ts');

function processesOf(...group: LinkStep[]): string[] {
  const script = `mount -t sysfs sysfs /sys
    ip link add ens5 address ${MAC} type veth peer name peer
    ip link set ens5 up
    ip addr add 10.0.0.1/24 brd + dev ens5
    exec "$0" "$@"`;
  const args = ['--net', '--mount', 'sh', '-ec', script, process.execPath, PROGRAM, JSON.stringify(group)];
  return JSON.parse(execFileSync('unshare', args, { encoding: 'utf8' })) as string[];
}

const READ = 'ip -j -d addr show';

test.each<[string, LinkStep, string[]]>([
  ['an address that comes', { op: 'add', mac: MAC, address: '10.0.0.2/24' }, [READ, 'ip -batch -']],
  [
    'an address that leaves',
    { op: 'drop', mac: MAC, address: '10.0.0.1/24' },
    [READ, 'ip addr del 10.0.0.1/24 dev ens5'],
  ],
  [
    'an MTU',
    { op: 'set', mac: MAC, mtu: 9000, up: true },
    [READ, 'ip link set ens5 mtu 9000', 'ip link set ens5 up'],
  ],
  [
    'a name, with the addresses that may go while the link is down',
    { op: 'rename', mac: MAC, from: 'ens5', to: 'multinic0' },
    [
      READ,
      'ip link set ens5 down',
      'ip link set ens5 name multinic0',
      'ip link set multinic0 up',
      'ip addr add 10.0.0.1/24 brd 10.0.0.255 dev multinic0',
    ],
  ],
])('%s reads the links once, and nothing else of the host', (_, step, expected) => {
  expect(processesOf(step)).toEqual(expected);
});

const added = (last: number): LinkStep => ({ op: 'add', mac: MAC, address: `10.0.0.${last}/24` });

test('several addresses of a NIC come by one process', () => {
  expect(processesOf(added(2), added(3), added(4))).toEqual([READ, 'ip -batch -']);
});
