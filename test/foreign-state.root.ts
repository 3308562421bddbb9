// Reads the foreign state of a network namespace, removes it and restores it. Needs root.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ForeignScope } from '../src/agent/host/foreign-state.ts';

const MAC = '02:00:00:00:01:00';
const PROGRAM = join(import.meta.dirname, 'support/foreign-state.ts');
/** All state that the agent may have to restore. */
const LIST = `ip -o route show table all; ip -o -6 route show table all; ip rule; ip -6 rule
  ip -o addr; ip neigh show nud permanent; ip neigh show proxy; ip -6 neigh show proxy`;
const SETUP = `ip link set lo up
  for nic in eth0 ens5; do
    ip link add $nic type veth peer name p-$nic; for link in $nic p-$nic; do ip link set $link addrgenmode none; done
    ip link set p-$nic up
  done
  ip link set ens5 address ${MAC}
  ip addr add 10.200.0.11/24 brd + dev eth0; ip link set eth0 up; ip route add default via 10.200.0.1
  ip addr add 192.168.100.10/24 brd + dev ens5; ip addr add fd00:100::10/64 dev ens5 nodad; ip link set ens5 up`;

interface Cycle {
  readonly scope: ForeignScope;
  /** Commands of other software. */
  readonly others: string;
  /** Commands that take state away. */
  readonly change: string;
  /** Whether a network manager has reloaded its files in between. */
  readonly isReloaded?: boolean;
}

/** @returns all state before and after, the commands that were read, and those that could not be restored */
function cycle({ scope, others, change, isReloaded = false }: Cycle): {
  before: string[];
  after: string[];
  read: string[];
  lost: string[];
} {
  const list = `{ ${LIST}; } 2>&1 | sed 's/ *$//' | sort`;
  const script = `{ ${SETUP}\n${others}\n} >&2; echo "$(${list})"; echo ----
    "$0" "$@"; echo ----; echo "$(${list})"`;
  const args = [
    '--net',
    'sh',
    '-ec',
    script,
    process.execPath,
    PROGRAM,
    scope,
    change,
    MAC,
    'ens5',
    String(isReloaded),
  ];
  const output = execFileSync('unshare', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const [before = '', result = '', after = ''] = output.split('----\n');
  return {
    before: lines(before),
    after: lines(after),
    ...(JSON.parse(result) as { read: string[]; lost: string[] }),
  };
}

function lines(text: string): string[] {
  return text.trim().split('\n');
}

/** Takes the link down for a moment, and its addresses with it. */
const DOWN = `ip link set ens5 down; ip addr flush dev ens5
  ip addr add 192.168.100.10/24 brd + dev ens5; ip addr add fd00:100::10/64 dev ens5 nodad; ip link set ens5 up`;

const ROUTES = `ip route add 10.1.0.0/16 via 192.168.100.1 proto bird
  ip route add 10.2.0.0/16 via 192.168.100.1 table 77 metric 7 src 192.168.100.10
  ip route add 10.3.0.0/16 dev ens5 scope link
  ip -6 route add fd01::/64 via fd00:100::1 dev ens5 proto bird`;

test.each<[ForeignScope, string]>([
  ['single', ROUTES],
  [
    'ours',
    `${ROUTES}
    ip route add 10.4.0.0/16 proto bird nexthop via 192.168.100.1 dev ens5 nexthop via 10.200.0.9 dev eth0
    ip -6 route add fd02::/64 nexthop via fd00:100::2 dev ens5 nexthop via fd00:100::3 dev ens5`,
  ],
])('scope %s: routes through the NIC are restored', (scope, others) => {
  const { before, after, read, lost } = cycle({ scope, others, change: DOWN });
  expect(read).toHaveLength(others.split('\n').length);
  expect(lost).toEqual([]);
  expect(after).toEqual(before);
});

test.each<ForeignScope>(['single', 'rules', 'all'])(
  'scope %s: routes that look like those of the kernel, and proxy neighbours, come back',
  (scope) => {
    const others = `ip route add 10.5.0.0/16 dev ens5 proto kernel scope link src 192.168.100.10
      ip route add 10.6.0.7 dev ens5 proto kernel scope link
      ip route add 10.7.0.0/16 dev ens5 proto kernel table 77
      ip -6 route add fd05::/64 dev ens5 proto kernel metric 256
      ip neigh add proxy 192.168.100.77 dev ens5
      ip -6 neigh add proxy fd00:100::77 dev ens5
      ip neigh add 192.168.100.78 lladdr 02:00:00:00:07:08 dev ens5 nud permanent`;
    const { before, after, read, lost } = cycle({ scope, others, change: DOWN });
    // Also removes the state of the other NIC: its address and the default route.
    expect(read).toHaveLength(scope === 'all' ? 9 : 7);
    expect(lost).toEqual([]);
    expect(after).toEqual(before);
  },
);

const STATIC = `ip route add 10.8.0.0/16 via 10.200.0.9 dev eth0 proto static
  ip rule add from 10.8.0.1 lookup 77 priority 77 protocol static`;
const STATIC_GOES = 'ip route flush 10.8.0.0/16; ip rule del priority 77';

test('after a reload, state that a network manager may have made itself is reported and not restored', () => {
  const { read, lost, after } = cycle({
    scope: 'all',
    others: STATIC,
    change: STATIC_GOES,
    isReloaded: true,
  });
  expect(read).toContain('-4 route add 10.8.0.0/16 via 10.200.0.9 dev eth0 proto 4');
  expect(lost).toEqual([
    '-4 route add 10.8.0.0/16 via 10.200.0.9 dev eth0 proto 4',
    '-4 rule add from 10.8.0.1 lookup 77 proto 4 priority 77',
  ]);
  expect(after.filter((line) => /10\.8\./.test(line))).toEqual([]);
});

test('after a rename that networkd notices, rules of protocol static are restored', () => {
  const { before, after, lost } = cycle({
    scope: 'rules',
    others: 'ip rule add from 10.8.0.1 lookup 77 priority 77 protocol static',
    change: 'ip rule del priority 77',
  });
  expect(lost).toEqual([]);
  expect(after).toEqual(before);
});

test('beside 100,000 routes of others, only the state of the NIC itself is read', () => {
  const many = `i=0; while [ $i -lt 100000 ]; do
    echo "route add 10.$((64 + i / 65536)).$((i / 256 % 256)).$((i % 256))/32 via 10.200.0.5 dev eth0 proto bird"
    i=$((i + 1)); done | ip -batch -`;
  const { read, lost, before, after } = cycle({
    scope: 'single',
    others: `${ROUTES}\n${many}`,
    change: DOWN,
  });
  expect(read).toHaveLength(4);
  expect(lost).toEqual([]);
  expect(after).toEqual(before);
}, 60_000);
