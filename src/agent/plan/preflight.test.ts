// The preflight refuses a change that would take a network away from the node or from other software.

import { describe, expect, test } from 'vitest';
import { machine, nic } from '../../../test/support/agent.ts';
import { mac } from '../../../test/support/mac.ts';
import { MultinicError } from '../../api/errors.ts';
import type { LinkTarget } from '../host/links.ts';
import type { HostState, Link } from '../host/machine.ts';
import type { Plan } from './plan.ts';
import { preflight } from './preflight.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const OWN = '192.168.100.10/24';
const OTHER = mac('fa:16:3e:00:09:09');

const target = (index: number, changes: Partial<LinkTarget> = {}): LinkTarget => {
  const { mac: of, name, address, prefix, mtu } = nic(index);
  return { mac: of, name, mtu, up: true, addresses: [`${address}/${prefix}`], dropped: [], ...changes };
};

/** A plan that gives NIC 0 its state and its file. */
function planOf(changes: Partial<Plan> = {}): Plan {
  return {
    files: [{ op: 'write', path: FILE, content: '', mode: 0o600 }],
    kept: [],
    orphans: [],
    missing: [],
    present: [nic(0)],
    targets: [target(0)],
    lingering: [],
    left: [],
    ...changes,
  };
}

/** The machine with its NIC 0 changed, and with a further link if there is one. */
function host(nic0: Partial<Link> = {}, more: Partial<HostState> = {}, further?: Partial<Link>): HostState {
  const state = machine(2);
  const links = state.links.map((link) => (link.mac === nic(0).mac ? { ...link, ...nic0 } : link));
  const beside = { name: 'eth9', mac: OTHER, up: true, mtu: 1500, addresses: [], ...further };
  return { ...state, links: further === undefined ? links : [...links, beside], ...more };
}

interface Case {
  readonly plan?: Plan;
  readonly host?: HostState;
  readonly linkTo?: Readonly<Record<string, string>>;
  readonly ours?: readonly string[];
}

/** @returns the code of the refusal; undefined: the change is allowed */
function judge({ plan = planOf(), host: state = host(), linkTo = {}, ours = [] }: Case): string | undefined {
  try {
    preflight(plan, state, new Map(Object.entries(linkTo)), new Set(ours));
    return undefined;
  } catch (error) {
    if (!(error instanceof MultinicError)) throw error;
    return error.code;
  }
}

const DEFAULT_BY_NIC = { routes: [{ to: 'default', via: '192.168.100.1', dev: 'ens5' }] };
/** The target state of NIC 0. */
const RIGHT = { name: 'multinic0', up: true, addresses: [OWN] };

describe('a NIC that the node uses', () => {
  test.each<[string, string | undefined, Case]>([
    ['none does', undefined, {}],
    ['for its default route', 'NicInUse', { host: host({}, DEFAULT_BY_NIC) }],
    [
      'for its own address',
      'NicInUse',
      { host: host({ addresses: ['10.10.0.12/24'] }, { nodeAddresses: ['10.10.0.12'] }) },
    ],
    ['as the way to a peer', 'NicInUse', { linkTo: { '198.51.100.7': 'ens5' } }],
    ['not as the way of another link', undefined, { linkTo: { '198.51.100.7': 'eth0' } }],
    [
      'with the peer’s own address',
      'NicInUse',
      { host: host({ leases: ['198.51.100.7/24'] }), linkTo: { '198.51.100.7': 'lo' } },
    ],
    [
      'as the way to a peer because of us',
      undefined,
      { linkTo: { '198.51.100.7': 'ens5' }, ours: [nic(0).mac] },
    ],
    ['as a part of a bridge', 'NicInUse', { host: host({ master: 'br0' }) }],
    [
      'as what a VLAN stands on',
      'NicInUse',
      { host: host({}, { uppers: [{ name: 'ens5.7', lower: 'ens5' }] }) },
    ],
    [
      'not as what stands on another',
      undefined,
      { host: host({}, { uppers: [{ name: 'eth0.7', lower: 'eth0' }] }) },
    ],
  ])('%s', (_, code, of) => {
    expect(judge(of)).toBe(code);
  });

  test.each<[string, string | undefined, Case]>([
    ['its link', 'NicInUse', { plan: planOf({ files: [] }), host: host({}, DEFAULT_BY_NIC) }],
    ['its file alone', 'NicInUse', { plan: planOf({ targets: [] }), host: host({}, DEFAULT_BY_NIC) }],
    [
      'its file, which goes with the NIC',
      'NicInUse',
      {
        plan: planOf({ files: [{ op: 'remove', path: FILE }], present: [], targets: [] }),
        host: host({ name: 'multinic0' }, { routes: [{ to: 'default', dev: 'multinic0' }] }),
      },
    ],
    [
      'nothing of it',
      undefined,
      {
        plan: planOf({ files: [] }),
        host: host(RIGHT, { routes: [{ to: 'default', dev: 'multinic0' }] }),
      },
    ],
  ])('counts where the change touches %s', (_, code, of) => {
    expect(judge(of)).toBe(code);
  });
});

/** The links of the machine, on which NIC 1 is changed. */
const withNic1 = (changes: Partial<Link>): HostState['links'] =>
  machine(2).links.map((link) => (link.mac === nic(1).mac ? { ...link, ...changes } : link));

describe('a name', () => {
  const both = planOf({ present: [nic(0), nic(1)], targets: [target(0), target(1)] });
  test.each<[string, string | undefined, Case]>([
    ['that another link has', 'NameTaken', { host: host({}, {}, { name: 'multinic0' }) }],
    ['that the NIC has', undefined, { host: host({ name: 'multinic0' }) }],
    [
      'that another link has as an alternative name',
      'NameTaken',
      { host: host({}, { altnames: [{ name: 'eth9', altname: 'multinic0' }] }, {}) },
    ],
    [
      'that a NIC of the change gives up',
      undefined,
      { plan: both, host: host({}, { links: withNic1({ name: 'multinic0' }) }) },
    ],
  ])('%s', (_, code, of) => {
    expect(judge(of)).toBe(code);
  });
});

describe('an address', () => {
  test.each<[string, string | undefined, Case]>([
    [
      'that another link has, with another prefix',
      'AddressInUse',
      { host: host({}, {}, { addresses: ['192.168.100.10/32'] }) },
    ],
    ['that another link has by DHCP', 'AddressInUse', { host: host({}, {}, { leases: [OWN] }) }],
    [
      'that a tunnel has',
      'AddressInUse',
      { host: host({}, { otherAddresses: [{ name: 'wg0', address: '192.168.100.10/32' }] }) },
    ],
    [
      'that the NIC has already, whoever has it beside',
      undefined,
      { host: host(RIGHT, {}, { addresses: ['192.168.100.10/32'] }) },
    ],
    [
      'that a NIC of the change gives up',
      undefined,
      {
        plan: planOf({ present: [nic(0), nic(1)], targets: [target(0), target(1)] }),
        host: host({}, { links: withNic1({ addresses: [OWN] }) }),
      },
    ],
    [
      'that a NIC of the change keeps',
      'AddressInUse',
      {
        plan: planOf({ present: [nic(0), nic(1)], targets: [target(0), target(1, { addresses: [OWN] })] }),
      },
    ],
  ])('%s', (_, code, of) => {
    expect(judge(of)).toBe(code);
  });
});

test('the message names the peer whose way it is, and the address of the node', () => {
  const ways = new Map([['198.51.100.7', 'ens5']]);
  expect(() => preflight(planOf(), host(), ways, new Set())).toThrow(
    'is the way to 198.51.100.7, where an API server or the store is',
  );
  const own = host({ addresses: [OWN] }, { nodeAddresses: ['192.168.100.10'] });
  expect(() => preflight(planOf(), own, new Map(), new Set())).toThrow(
    `carries the node’s own address ${OWN}`,
  );
});

test('the remedy depends on whether the commit wants the NIC', () => {
  const state = host({}, DEFAULT_BY_NIC);
  const wanted = (): void => preflight(planOf(), state, new Map(), new Set());
  expect(wanted).toThrow(/take this MAC out of the MultiNicBizConfig, or free the NIC first$/);
  const released = planOf({ present: [], files: [] });
  expect(() => preflight(released, state, new Map(), new Set())).toThrow(/or put this MAC back into/);
});
