import { describe, expect, test } from 'vitest';
import { machine, nic } from '../../../test/support/agent.ts';
import { MultinicError } from '../../api/errors.ts';
import type { Interface } from '../../network/interface.ts';
import type { HostState, Link } from '../host/machine.ts';
import { refuseOverlaps, sharesSubnet } from './overlap.ts';
import type { Plan } from './plan.ts';
import { mac } from '../../../test/support/mac.ts';
import type { Mac } from '../../network/mac.ts';

const MAC = nic(0).mac;
const ETH1: Link = {
  name: 'eth1',
  mac: mac('fa:16:3e:00:01:01'),
  up: true,
  mtu: 9000,
  addresses: ['172.16.0.5/24'],
};

/** The node has 10.10.0.11/24 on eth0, by DHCP or not. */
function host(changes: Partial<HostState> = {}, eth0: Partial<Link> = {}): HostState {
  const state = machine(2);
  const links = state.links.map((link) => (link.name === 'eth0' ? { ...link, ...eth0 } : link));
  return { ...state, links: [...links, ETH1], ...changes };
}

/** @returns the code, or none: the change is let through */
function judge(
  nics: readonly Interface[],
  state: HostState,
  linkTo: Readonly<Record<string, string>> = {},
  macs: readonly Mac[] = [MAC],
): string | undefined {
  const plan: Plan = {
    files: [],
    kept: [],
    orphans: [],
    missing: [],
    present: nics,
    targets: [],
    lingering: [],
    left: [],
  };
  try {
    refuseOverlaps(plan, state, new Set(macs), new Map(Object.entries(linkTo)));
    return undefined;
  } catch (error) {
    if (!(error instanceof MultinicError)) throw error;
    return `${error.code} ${error.message.startsWith('multinic0') ? String(error.data['other']) : error.message}`;
  }
}

const at = (address: string, prefix = 24): Interface[] => [nic(0, { address, prefix })];

describe('a subnet that takes packets of another NIC is refused', () => {
  test.each<[string, Interface[], HostState, string]>([
    ['the node’s own subnet, inside', at('10.10.0.130', 25), host(), '10.10.0.11/24'],
    ['the node’s own subnet, around', at('10.10.1.1', 16), host(), '10.10.0.11/24'],
    [
      'the node’s own subnet, by DHCP, inside',
      at('10.10.0.130', 25),
      host({}, { addresses: [], leases: ['10.10.0.11/24'] }),
      '10.10.0.11/24',
    ],
    [
      'around the node’s address of its own',
      at('10.10.0.130'),
      host({}, { addresses: ['10.10.0.11/32'] }),
      '10.10.0.11/32',
    ],
    ['the subnet of another NIC, inside', at('172.16.0.130', 25), host(), '172.16.0.5/24'],
    [
      'of IPv6, inside',
      at('fd00::1:10', 112),
      host({}, { addresses: ['10.10.0.11/24', 'fd00::5/64'] }),
      'fd00::5/64',
    ],
    [
      'a tunnel’s, inside',
      at('10.99.0.10'),
      host({ otherAddresses: [{ name: 'wg0', address: '10.99.0.1/16' }] }),
      '10.99.0.1/16',
    ],
  ])('%s', (_, nics, state, other) => {
    expect(judge(nics, state)).toBe(`SubnetOverlaps ${other}`);
  });

  test('a gateway that the node reaches without a subnet of its own', () => {
    const state = host({ nodeAddresses: [] }, { addresses: ['10.20.0.11/32'] });
    expect(judge(at('10.10.0.130'), state)).toBe('SubnetOverlaps 10.10.0.1');
  });

  test.each([
    ['by the default route', { '198.51.100.7': 'eth0' }],
    ['by what is no NIC', { '198.51.100.7': 'wg0' }],
  ])('a peer that the node reaches %s', (_, linkTo) => {
    expect(judge(at('198.51.100.10'), host(), linkTo)).toBe('SubnetOverlaps 198.51.100.7');
  });
});

describe('let through', () => {
  test.each<[string, Interface[], HostState, Readonly<Record<string, string>>?]>([
    ['a subnet of its own', at('192.168.100.10'), host(), { '198.51.100.7': 'eth0' }],
    ['a subnet below a route with a gateway', at('198.51.100.10'), host()],
    ['a single address: the kernel makes no route of it', at('10.10.0.12', 32), host()],
    ['around another NIC’s network, which stays the longer one', at('172.16.1.1', 16), host()],
    [
      'two NICs of the commit in one subnet',
      [...at('192.168.100.10'), nic(1, { address: '192.168.100.11' })],
      host(),
    ],
    ['a peer behind a longer route of another NIC', at('172.16.1.1', 16), host(), { '172.16.0.9': 'eth1' }],
    [
      'a peer that is reached through a NIC of the commit',
      at('192.168.100.10'),
      host(),
      { '192.168.100.1': 'ens5' },
    ],
    [
      'an address of the node’s own',
      at('192.168.100.10'),
      host({ otherAddresses: [{ name: 'lo', address: '192.168.100.9/32' }] }),
      { '192.168.100.9': 'lo' },
    ],
    ['a store by its name', at('192.168.100.10'), host(), { 'store.example': 'eth0' }],
  ])('%s', (_, nics, state, linkTo) => {
    expect(judge(nics, state, linkTo)).toBeUndefined();
  });

  test('a NIC that has the address already, and one that does not change', () => {
    const nics = at('10.10.0.130', 25);
    expect(judge(nics, host(), {}, [])).toBeUndefined();
    const links = host().links.map((link) =>
      link.mac === MAC ? { ...link, addresses: ['10.10.0.130/25'] } : link,
    );
    expect(judge(nics, host({ links }))).toBeUndefined();
  });
});

const route = (metric: number): HostState =>
  host({ connected: [{ to: '10.10.0.0/24', dev: 'eth0', metric }] });

describe('an equal subnet of another NIC', () => {
  test.each([0, 100, 999])('is let through: our route has a larger metric than %s', (metric) => {
    expect(judge(at('10.10.0.130'), route(metric), { '10.10.0.9': 'eth0' })).toBeUndefined();
  });

  test.each([1000, 1024])('is refused where that route has metric %s', (metric) => {
    expect(judge(at('10.10.0.130'), route(metric))).toBe('SubnetOverlaps 10.10.0.0/24');
  });

  test('is no other NIC where the route is that of the NIC itself', () => {
    const own = host({ connected: [{ to: '192.168.100.0/24', dev: 'ens5', metric: 1024 }] });
    const nics = at('192.168.100.10');
    expect(judge(nics, own)).toBeUndefined();
    expect(sharesSubnet(nics[0]!, nics, [], own)).toBe(false);
    const others = host({ connected: [{ to: '192.168.100.0/24', dev: 'eth1', metric: 1024 }] });
    expect(judge(nics, others)).toBe('SubnetOverlaps 192.168.100.0/24');
    expect(sharesSubnet(nics[0]!, nics, [], others)).toBe(true);
  });

  test.each([
    [at('10.10.0.130'), true],
    [at('10.10.0.130', 25), false],
    [at('10.10.0.130', 32), false],
    [at('192.168.100.10'), false],
  ])('%o: shares it %s', ([one], shares) => {
    expect(sharesSubnet(one!, [one!], [], host())).toBe(shares);
  });
});
