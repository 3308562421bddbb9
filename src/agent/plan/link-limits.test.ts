import { describe, expect, test } from 'vitest';
import { machine, nic } from '../../../test/support/agent.ts';
import { MultinicError } from '../../api/errors.ts';
import type { LinkTarget } from '../host/links.ts';
import type { HostState } from '../host/machine.ts';
import { refuseBeyondLimits } from './link-limits.ts';

const { mac } = nic(0);

function target(changes: Partial<LinkTarget> = {}): LinkTarget {
  return { mac, name: 'multinic0', mtu: 1500, up: true, addresses: [], dropped: [], ...changes };
}

/** @returns the code of the refusal; undefined: the change is allowed */
function judge(wanted: LinkTarget, changes: Partial<HostState>): string | undefined {
  try {
    refuseBeyondLimits(wanted, { ...machine(1), ...changes });
    return undefined;
  } catch (error) {
    if (!(error instanceof MultinicError)) throw error;
    return error.code;
  }
}

const limits = (min: number, max: number): Partial<HostState> => ({
  mtuLimits: [{ name: 'ens5', min, max }],
});

describe('the MTU that the driver takes', () => {
  test.each<[string, number, Partial<HostState>, string | undefined]>([
    ['at the upper bound', 1450, limits(68, 1450), undefined],
    ['above the upper bound', 1451, limits(68, 1450), 'MtuOutOfRange'],
    ['at the lower bound', 1280, limits(1280, 9000), undefined],
    ['below the lower bound', 1279, limits(1280, 9000), 'MtuOutOfRange'],
    ['of a driver without an upper bound', 9000, limits(68, 0), undefined],
    ['of a NIC without known bounds', 9000, {}, undefined],
    ['that the NIC has already', 1500, limits(68, 1450), undefined],
  ])('%s', (_, mtu, state, code) => {
    expect(judge(target({ mtu }), state)).toBe(code);
  });

  test('the message names the NIC and its bounds', () => {
    expect(() => refuseBeyondLimits(target({ mtu: 9000 }), { ...machine(1), ...limits(68, 1450) })).toThrow(
      `multinic0 (${mac}) takes an MTU from 68 to 1450, and the commit gives it 9000`,
    );
    expect(() => refuseBeyondLimits(target({ mtu: 1279 }), { ...machine(1), ...limits(1280, 0) })).toThrow(
      `multinic0 (${mac}) takes an MTU of 1280 or more, and the commit gives it 1279`,
    );
  });
});

describe('an IPv6 address on a NIC on which the kernel does no IPv6', () => {
  const withoutIpv6 = ['ens5'];

  const ipv6 = { acceptRa: 0, addrGenMode: 0 };
  const having = machine(1).links.map((link) => ({ ...link, addresses: ['fd00::9/64'] }));

  test.each<[string, string[], Partial<HostState>, string | undefined]>([
    ['is refused', ['fd00::10/64'], { withoutIpv6 }, 'AddressFamilyDisabled'],
    ['is no matter where the other NICs have none', ['fd00::10/64'], { withoutIpv6: ['eth0'] }, undefined],
    ['is no matter where the NIC has it', ['fd00::9/64'], { withoutIpv6, links: having }, undefined],
    ['is no matter for IPv4', ['192.168.100.10/24'], { withoutIpv6 }, undefined],
  ])('%s', (_, addresses, state, code) => {
    expect(judge(target({ addresses, ipv6 }), state)).toBe(code);
  });

  test('is let through where NetworkManager switches IPv6 on by itself', () => {
    expect(judge(target({ addresses: ['fd00::10/64'] }), { withoutIpv6 })).toBeUndefined();
  });
});
