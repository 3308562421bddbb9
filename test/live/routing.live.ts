// NICs that carry traffic, behind OpenStack's port security: each address answers by its own NIC, and the node's own
// NIC goes on answering.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Network } from '../../src/network/interface.ts';
import type { RendererKind } from '../../src/network/node.ts';
import type { RootfsKind } from '../nodes/rootfs.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic } from '../support/agent.ts';
import { LiveHost, startPing } from '../support/live-host.ts';

const CASES: readonly (readonly [RootfsKind, RendererKind])[] = [
  ['netplan', 'netplan'],
  ['networkmanager', 'keyfile'],
  ['networkmanager-ifcfg', 'ifcfg'],
  ['netplan-bullseye', 'netplan'],
  ['netplan-trixie', 'netplan'],
];

/** Everything that source routing is about, with the counters and neighbours of nobody. */
const STATE = `ip -br addr; ip route; ip -6 route | grep -v fe80; ip -N rule; ip -N -6 rule
  for table in 20000 20001 20002; do ip route show table $table; ip -6 route show table $table; done 2>/dev/null
  grep -H . /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/conf/*/arp_ignore /proc/sys/net/ipv4/conf/*/arp_announce
  find /etc -name "*multinic*" -not -path "*/backup/*" | sort`;
const OURS = `ip -N rule | grep -E '^2000[0-2]:' ; ip -N -6 rule | grep -E '^2000[0-2]:'
  for table in 20000 20001 20002; do ip route show table $table; done 2>/dev/null; true`;
/** What somebody has for another purpose, in the same ranges of the kernel. */
const FOREIGN = `ip rule add from 10.77.0.0/16 lookup 77 priority 20001
  ip route add 10.78.0.0/16 via 192.0.2.254 dev lo table 20077 onlink 2>/dev/null || ip route add blackhole 10.78.0.0/16 table 20077`;
const FOREIGN_SHOWN = `ip rule show priority 20001 | grep 10.77; ip route show table 20077`;

describe.each(CASES)('%s', (rootfs, kind) => {
  let host: LiveHost;

  beforeAll(async () => {
    host = await LiveHost.bootWithDhcp(rootfs);
    await host.machine.secure([host.machine.address]);
    for (const index of [0, 1]) {
      await host.machine.attachNic({ mac: nic(index).mac });
      await host.machine.secure([address(index)], nic(index).mac);
    }
    await host.managed();
    await host.sh(FOREIGN);
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  const address = (index: number): string => host.lab.slot.address(`0.${77 + index}`);
  /** Both NICs are in the node's own subnet. */
  const network = (changes: Parameters<typeof nic>[1] = {}): Network =>
    [0, 1].map((index) => nic(index, { address: address(index), ...changes }));
  const routed = network.bind(undefined, { sourceRouting: true, statedSourceRouting: true });

  /** Another address, and a gateway. */
  const next = (): Network => {
    const [first, second] = routed() as [Network[number], Network[number]];
    const gateway = host.lab.slot.address('0.254');
    return [
      { ...first, address: host.lab.slot.address('0.87') },
      { ...second, gateway },
    ];
  };

  /** Sorted, because the order of rules with one priority says nothing. */
  const linesOf = async (command: string): Promise<string[]> =>
    (await host.sh(command)).split('\n').toSorted();
  const state = (): Promise<string[]> => linesOf(STATE);
  const ours = (): Promise<string[]> => linesOf(OURS);

  /** Which addresses answer a peer of their subnet now: the node's own, and those of the NICs. */
  async function answering(): Promise<string[]> {
    const all = [host.machine.address, address(0), address(1)];
    const answered = await Promise.all(
      all.map(async (each) => {
        const stop = await startPing(host.lab, each, 'peer');
        await host.sh('sleep 1.5');
        return (await stop()).answered > 0.5;
      }),
    );
    return all.filter((_, index) => answered[index]);
  }

  const expectAll = (): Promise<boolean> =>
    waitFor('all addresses', async () => (await answering()).length === 3, {
      timeoutMs: 60_000,
      hint: () => host.sh(STATE),
    });

  async function expectNothingToDo(): Promise<void> {
    const { outcome } = await host.apply(kind, routed());
    expect(outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
    expect(host.log).toContain('nothing to change');
  }

  test.runIf(rootfs === 'netplan')('with addresses alone they do not answer', async () => {
    const { outcome } = await host.apply(kind, network());
    expect(outcome).toMatchObject({ result: 'Applied' });
    expect(await answering()).toEqual([host.machine.address]);
    expect((await host.apply(kind, [])).outcome).toMatchObject({ result: 'Applied' });
  });

  test('each answers by its own NIC, and so does the node', async () => {
    const { outcome } = await host.apply(kind, routed());
    expect(outcome).toMatchObject({ result: 'Applied' });
    await expectAll();
    await expectNothingToDo();
    expect(await host.observe()).toMatchObject({ result: 'Observed' });
  });

  test('a change that fails leaves rules, tables and settings as they were', async () => {
    const before = await state();
    const probes = [host.lab.slot.address('0.99')];
    const [first, ...others] = routed() as [Network[number], ...Network];
    const next = [{ ...first, address: host.lab.slot.address('0.88'), mtu: 1400 }, ...others];
    const { outcome } = await host.apply(kind, next, { probes });
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed', step: 'verify' });
    await host.settled();
    expect(await state()).toEqual(before);
  });

  describe('a run that is killed', () => {
    const states = new Map<boolean, string[]>();
    let isNext = false;

    test('what each of the two networks is, whole', async () => {
      await host.machine.secure([address(0), host.lab.slot.address('0.87')], nic(0).mac);
      for (const is of [true, false]) {
        expect((await host.apply(kind, is ? next() : routed())).outcome).toMatchObject({ result: 'Applied' });
        states.set(is, await ours());
      }
      expect(states.get(true)?.join()).toContain('suppress_prefixlength');
      expect(states.get(false)?.join()).not.toContain('suppress_prefixlength');
    });

    test.each(['write.file', 'activate.link', 'verify', 'finish'])(
      'at %s: the next run ends it',
      async (step) => {
        isNext = !isNext;
        const commit = await host.store.commit(kind, isNext ? next() : routed());
        expect((await host.run(commit, { killAt: `agent.${step}` })).code).toBe(137);
        expect((await host.run(commit)).outcome).toMatchObject({ result: 'Applied' });
        expect(await ours()).toEqual(states.get(isNext));
      },
    );

    test.each(['activate.link', 'verify'])('at %s: the host restores itself', async (step) => {
      const before = await state();
      const commit = await host.store.commit(kind, isNext ? routed() : next());
      expect((await host.run(commit, { killAt: `agent.${step}`, deadline: 30 })).code).toBe(137);
      await waitFor('the restore', () => host.sh('[ ! -e /var/lib/multinic/restore.sh ]'), {
        timeoutMs: 120_000,
        hint: () => host.sh('journalctl -u "multinic-restore*" --no-pager; cat /var/lib/multinic/restore.sh'),
      });
      await host.settled();
      expect(await state()).toEqual(before);
      isNext = !isNext;
      expect((await host.run(commit)).outcome).toMatchObject({ result: 'Applied' });
      expect(await ours()).toEqual(states.get(isNext));
    });

    test('each answers again', async () => {
      expect((await host.apply(kind, routed())).outcome).toMatchObject({ result: 'Applied' });
      await expectAll();
    });
  });

  test('a rule, a route or a setting that somebody takes away is drift, and a run puts it right', async () => {
    await host.sh(`ip rule del from ${address(0)} priority 20002 || true
      ip rule del from ${address(0)} priority 20002 2>/dev/null || true
      ip route flush table 20001; echo 0 > /proc/sys/net/ipv4/conf/multinic1/arp_announce`);
    const { result, differences } = await host.observe();
    expect(result).toBe('Drifted');
    expect(differences.map((each) => each.kind).toSorted()).toEqual([
      'RouteMissing',
      'RuleMissing',
      'SettingChanged',
    ]);
    const { outcome } = await host.apply(kind, routed());
    expect(outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
    await expectAll();
    expect(await host.observe()).toMatchObject({ result: 'Observed' });
  });

  test.each([1, 2])('boot %i', async () => {
    await host.reboot(2);
    await expectAll();
    await expectNothingToDo();
    expect(await host.observe()).toMatchObject({ result: 'Observed' });
    await host.sh(FOREIGN);
  });

  test('NICs and the primary lose their carrier and get it back', async () => {
    for (const mac of [nic(0).mac, nic(1).mac, host.machine.mac]) {
      await host.machine.setCarrier(mac, false);
      await host.sh('sleep 8');
      await host.machine.setCarrier(mac, true);
      await host.sh('sleep 4');
      await expectAll();
    }
    await expectNothingToDo();
  });

  test('addresses of both families and a gateway, now and after a boot', async () => {
    const further = [`${host.lab.slot.address('0.97')}/24`, '2001:db8:77::10/64'];
    const [first, second] = routed() as [Network[number], Network[number]];
    const several = [{ ...first, furtherAddresses: further, gateway6: '2001:db8:77::1' }, second];
    await host.machine.secure([address(0), host.lab.slot.address('0.97'), '2001:db8:77::10'], nic(0).mac);
    const { outcome } = await host.apply(kind, several);
    expect(outcome).toMatchObject({ result: 'Applied' });
    const now = await host.sh(OURS);
    expect(now).toContain('from 2001:db8:77::10 lookup 254 suppress_prefixlength 0');
    // networkd manages the NICs since the boot, by files without the new routes.
    expect(outcome?.warnings).toEqual(kind === 'netplan' ? ['NetworkdHoldsOldFile'] : undefined);
    await host.reboot(2);
    const again = await host.apply(kind, several);
    expect(again.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
    expect(host.log).toContain('nothing to change');
    expect(again.outcome).not.toHaveProperty('warnings');
    expect(await host.observe()).toMatchObject({ result: 'Observed' });
    expect((await host.apply(kind, routed())).outcome).toMatchObject({ result: 'Applied' });
    expect(await host.sh(OURS)).not.toContain('2001:db8');
    await expectAll();
  });

  test.runIf(kind === 'netplan')(
    'routes that networkd does not hold go with a flap, and come with a run',
    async () => {
      // The boot before was with other routes, so networkd takes these away.
      await host.machine.setCarrier(nic(0).mac, false);
      await host.sh('sleep 8');
      await host.machine.setCarrier(nic(0).mac, true);
      await host.sh('sleep 4');
      const { result, differences } = await host.observe();
      expect(result).toBe('Drifted');
      expect(differences.map((each) => each.kind)).toContain('RuleExtra');
      expect((await host.apply(kind, routed())).outcome).toMatchObject({ result: 'Applied' });
      await expectAll();
      expect(await host.sh(OURS)).not.toContain('2001:db8');
      await host.reboot(2);
      await expectNothingToDo();
    },
  );

  test('names change places', async () => {
    const [first, second] = routed() as [Network[number], Network[number]];
    const swapped = [
      { ...second, name: first.name },
      { ...first, name: second.name },
    ];
    expect((await host.apply(kind, swapped)).outcome).toMatchObject({ result: 'Applied' });
    await expectAll();
    expect((await host.apply(kind, routed())).outcome).toMatchObject({ result: 'Applied' });
    await expectAll();
  });

  test('rules of other software for an address of ours are refused by name', async () => {
    expect((await host.apply(kind, network({ mtu: 1450 }))).outcome).toMatchObject({ result: 'Applied' });
    expect(await host.sh(OURS)).not.toContain(address(0));
    await host.sh(`ip rule add from ${address(1)} lookup 999 priority 500`);
    const before = await state();
    const { outcome } = await host.apply(kind, routed());
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'RoutingTaken', step: 'preflight' });
    expect(outcome?.message).toContain(`from ${address(1)} lookup 999`);
    expect(await state()).toEqual(before);
    await host.sh(`ip rule del from ${address(1)} lookup 999 priority 500`);
    expect((await host.apply(kind, routed())).outcome).toMatchObject({ result: 'Applied' });
    await expectAll();
  });

  test('the NICs leave the commit, and so do rules, tables and settings; those of others stay', async () => {
    expect((await host.apply(kind, [])).outcome).toMatchObject({ result: 'Applied' });
    const left = await host.sh(OURS);
    expect(left).not.toContain(address(0));
    expect(left).not.toContain(address(1));
    expect(
      await host.sh(
        'find /etc -type f -name "*multinic*" -not -path "*/backup/*" -not -name "90-multinic-0*"',
      ),
    ).toBe('');
    const shown = await host.sh(FOREIGN_SHOWN);
    expect(shown).toContain('10.77.0.0/16');
    expect(shown).toContain('10.78.0.0/16');
    expect(await answering()).toEqual([host.machine.address]);
  });
});
