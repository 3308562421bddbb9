// As many NICs as a node may have, each with as many addresses and routes as a NIC may have.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULTS } from '../../src/api/defaults.ts';
import {
  MAX_ADDRESSES,
  MAX_INTERFACES,
  MAX_ROUTES,
  type Interface,
  type Network,
} from '../../src/network/interface.ts';
import { nic } from '../support/agent.ts';
import { HOSTS, LiveHost } from '../support/live-host.ts';
import { waitFor } from '../nodes/wait.ts';

const KINDS = process.env['MATRIX'] === undefined ? HOSTS.slice(0, 1) : HOSTS;

/** Subnet 172.16.<index>.0/24 with a gateway, and routes to networks behind the gateway. */
function largest(index: number, changes: Partial<Interface> = {}): Interface {
  const gateway = `172.16.${index}.254`;
  const further = (each: number): string => `172.16.${index}.${101 + each}/24`;
  return nic(index, {
    address: `172.16.${index}.100`,
    furtherAddresses: Array.from({ length: MAX_ADDRESSES - 1 }, (_, each) => further(each)),
    gateway,
    routes: Array.from({ length: MAX_ROUTES }, (_, each) => ({
      to: `10.${100 + index}.${100 + each}.0/24`,
      via: gateway,
    })),
    sourceRouting: true,
    statedSourceRouting: true,
    ...changes,
  });
}

const network = (changes: Partial<Interface> = {}): Network =>
  Array.from({ length: MAX_INTERFACES }, (_, index) => largest(index, changes));

describe.each(KINDS)('%s', (rootfs, kind) => {
  let host: LiveHost;

  beforeAll(async () => {
    host = await LiveHost.boot(rootfs);
    for (const { mac } of network()) await host.machine.attachNic({ mac, network: 'tenant' });
    await host.managed();
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  /** Numbers of addresses, of routes through gateways, and of NICs with an MTU. */
  async function counts(mtu: number): Promise<number[]> {
    const found = await host.sh(`ip -4 -o address | grep -c " multinic"
      ip route show | grep -c " via 172.16."
      ip -o link | grep -c "multinic.* mtu ${mtu} "`);
    return found.split('\n').map(Number);
  }

  async function expectAll(mtu: number): Promise<void> {
    const all = [MAX_INTERFACES * MAX_ADDRESSES, MAX_INTERFACES * MAX_ROUTES, MAX_INTERFACES];
    expect(await counts(mtu)).toEqual(all);
    expect(await host.observe()).toMatchObject({ result: 'Observed' });
  }

  test('all are configured by one run, changed by the next, and there after a boot', async () => {
    for (const mtu of [1500, 1400]) {
      const { outcome } = await host.apply(kind, network({ mtu }), { deadline: DEFAULTS.deadline });
      expect(outcome).toMatchObject({ result: 'Applied' });
      console.log({ rootfs, mtu, seconds: (outcome?.durationMs ?? 0) / 1000, cpu: host.cpuSeconds });
      await expectAll(mtu);
    }
    await host.reboot(MAX_INTERFACES);
    // The network manager sets the last routes after it has told that the NICs are configured.
    await waitFor(
      'all routes',
      async () => (await counts(1400).catch(() => []))[1] === MAX_INTERFACES * MAX_ROUTES,
      { timeoutMs: 60_000, hint: () => host.sh('ip route show | wc -l; networkctl || nmcli device') },
    );
    await expectAll(1400);
  }, 600_000);

  test('a change that fails leaves all as they were', async () => {
    const before = await host.configured();
    const { outcome } = await host.apply(kind, network({ mtu: 1300 }), {
      probes: ['172.16.0.99'],
      deadline: DEFAULTS.deadline,
    });
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed' });
    expect(await host.configured()).toEqual(before);
    await expectAll(1400);
  });

  test('all leave by one run', async () => {
    expect((await host.apply(kind, [], { deadline: DEFAULTS.deadline })).outcome).toMatchObject({
      result: 'Applied',
    });
    expect(await host.sh('ip -N rule | grep -c "lookup 200" || true')).toBe('0');
    // NetworkManager's settings for freed NICs stay as long as the NICs exist.
    const left = 'find /etc -type f -name "*multinic*" -not -path "*/backup/*" -not -path "*/conf.d/*"';
    expect(await host.sh(`${left} | wc -l`)).toBe('0');
  });
});
