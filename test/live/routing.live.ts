// NICs that carry traffic, behind OpenStack's port security: each address answers by its own NIC, and the node's own
// NIC goes on answering.
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Network } from '../../src/network/interface.ts';
import type { RendererKind } from '../../src/network/node.ts';
import { run } from '../nodes/command.ts';
import type { RootfsKind } from '../nodes/rootfs.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic } from '../support/agent.ts';
import { HOSTS, LiveHost, losing, startPing } from '../support/live-host.ts';

/** The matrix has each kind of host, each way to the primary address and each repetition. */
const IS_MATRIX = process.env['MATRIX'] !== undefined;
const WAYS = ['dhcp', 'static'] as const;
const TIER: readonly (readonly [RootfsKind, (typeof WAYS)[number], RendererKind])[] = [
  ['netplan', 'dhcp', 'netplan'],
  ['networkmanager', 'static', 'keyfile'],
];

/** Everything that source routing is about, with the counters and neighbours of nobody. */
const STATE = `ip -br addr; ip route; ip -6 route | grep -v fe80; ip -N rule; ip -N -6 rule
  for table in 20000 20001 29999; do ip route show table $table; ip -6 route show table $table; done 2>/dev/null
  grep -H . /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/conf/*/arp_ignore /proc/sys/net/ipv4/conf/*/arp_announce
  find /etc -name "*multinic*" -not -path "*/backup/*" | sort`;
const OURS = `ip -N rule | grep -E '^2000[0-2]:' ; ip -N -6 rule | grep -E '^2000[0-2]:'
  for table in 20000 20001 29999; do ip route show table $table; done 2>/dev/null; true`;
/** What somebody has for another purpose, in the same ranges of the kernel. */
const FOREIGN = `ip rule show | grep -q 10.77 || ip rule add from 10.77.0.0/16 lookup 77 priority 20001
  ip route replace blackhole 10.78.0.0/16 table 20077`;
const FOREIGN_SHOWN = `ip rule show priority 20001 | grep 10.77; ip route show table 20077`;

/** Settings of the NICs that are not ours. */
const SETTINGS = `cd /proc/sys/net/ipv4/conf; grep . all/[ar]* default/[ar]* eth0/[ar]* lo/[ar]* | sort`;
/** A server that sends back what it receives, on all addresses. */
const ECHO = {
  '/etc/systemd/system/echo.socket':
    '[Socket]\nListenStream=7777\nAccept=yes\n[Install]\nWantedBy=sockets.target\n',
  '/etc/systemd/system/echo@.service': '[Service]\nExecStart=-/bin/cat\nStandardInput=socket\n',
};
const POD = '10.244.0.2';
const SERVICE = '10.96.0.10';
/** A pod with the server, as the plugin `bridge` makes it, in a network namespace of its own. */
const POD_SCRIPT = `ip netns add pod && ip link add cni0 type veth peer name eth0 netns pod
  ip addr add 10.244.0.1/24 dev cni0; ip link set cni0 up
  ip -n pod addr add ${POD}/24 dev eth0; ip -n pod link set eth0 up
  ip -n pod route add default via 10.244.0.1
  systemctl daemon-reload; systemctl start pod.socket`;
const POD_UNITS = {
  '/etc/systemd/system/pod.socket':
    '[Socket]\nListenStream=7777\nAccept=yes\nNetworkNamespacePath=/run/netns/pod\n',
  '/etc/systemd/system/pod@.service': '[Service]\nExecStart=-/bin/cat\nStandardInput=socket\n',
};
/** The Service of that pod, as kube-proxy makes it in nftables mode. */
const SERVICE_RULES = `add table ip services
  add chain ip services output { type nat hook output priority -100; }
  add rule ip services output ip daddr ${SERVICE} dnat to ${POD}`;
/** Sends a word from the pod. @param $1 the server's address */
const FROM_POD = `exec 3<>/dev/tcp/$1/7777 && echo word >&3 && read -t 4 word <&3 && echo $word`;
/** Commands by which somebody makes the network manager read all of its files again. */
const AGAIN: Readonly<Record<RendererKind, readonly string[]>> = {
  netplan: [
    'networkctl reload',
    'networkctl reconfigure multinic0',
    'systemctl restart systemd-networkd',
    'netplan apply',
  ],
  keyfile: ['nmcli con reload', 'systemctl restart NetworkManager'],
  ifcfg: ['nmcli con reload', 'systemctl restart NetworkManager'],
};

/** networkd of Debian 11 does not let the primary NIC come first, so the NICs there have a subnet of their own. */
const BESIDE = IS_MATRIX
  ? HOSTS.filter(([rootfs]) => rootfs !== 'netplan-bullseye').flatMap(([rootfs, kind]) =>
      WAYS.map((primary) => [rootfs, primary, kind] as const),
    )
  : TIER;

describe.each(BESIDE)('%s, primary NIC: %s', (rootfs, primary, kind) => {
  let host: LiveHost;
  /** A peer in another network: this machine, behind the switch. */
  let far: string;
  let settings: string;

  beforeAll(async () => {
    host = await (primary === 'static' ? LiveHost.boot(rootfs) : LiveHost.bootWithDhcp(rootfs));
    far = `198.18.${host.lab.slot.number}.1`;
    await run('ip', ['address', 'replace', `${far}/32`, 'dev', 'lo']);
    await host.lab.switch.route(`${far}/32`, host.lab.slot.address('0.254'));
    await host.machine.secure([host.machine.address]);
    for (const index of [0, 1, 2]) {
      await host.machine.attachNic({ mac: nic(index).mac });
      await host.machine.secure([address(index)], nic(index).mac);
    }
    await host.managed();
    for (const [path, content] of Object.entries(ECHO)) await host.machine.write(path, content);
    await host.sh('systemctl daemon-reload; systemctl enable --now echo.socket');
    await host.sh(FOREIGN);
    settings = await host.sh(SETTINGS);
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(async () => {
    await run('ip', ['address', 'delete', `${far}/32`, 'dev', 'lo']);
    await host?.[Symbol.asyncDispose]();
  });

  const address = (index: number): string => host.lab.slot.address(`0.${77 + index}`);
  /** All three NICs are in the node's own subnet; the last has the last name of all. */
  const network = (changes: Parameters<typeof nic>[1] = {}): Network =>
    [0, 1, 2].map((index) =>
      nic(index, { address: address(index), ...(index === 2 && { name: 'multinic9999' }), ...changes }),
    );
  const routed = network.bind(undefined, { sourceRouting: true, statedSourceRouting: true });

  /** Another address, and a gateway. */
  const next = (): Network => {
    const [first, second, third] = three();
    return [{ ...first, address: host.lab.slot.address('0.87') }, { ...second, gateway: gateway() }, third];
  };
  const three = (): [Network[number], Network[number], Network[number]] =>
    routed() as ReturnType<typeof three>;
  /** The switch, which forwards. */
  const gateway = (): string => host.lab.slot.address('0.1');

  /** Sorted, because the order of rules with one priority says nothing. */
  const linesOf = async (command: string): Promise<string[]> =>
    (await host.sh(command)).split('\n').toSorted();
  const state = (): Promise<string[]> => linesOf(STATE);
  const ours = (): Promise<string[]> => linesOf(OURS);

  /** Which addresses answer a peer of their subnet now: the node's own, and those of the NICs. */
  async function answering(): Promise<string[]> {
    const all = [host.machine.address, ...ownAddresses()];
    const answered = await Promise.all(
      all.map(async (each) => {
        const stop = await startPing(host.lab, each, 'peer');
        await host.sh('sleep 1.5');
        return (await stop()).answered > 0.5;
      }),
    );
    return all.filter((_, index) => answered[index]);
  }

  /** An IPv6 address of the lab's network. */
  const sixth = (end: string): string => `2001:db8:${770 + host.lab.slot.number}::${end}`;

  /** The IPv6 addresses of two NICs answer ping and TCP of a peer of their subnet. */
  async function expectSixth(): Promise<void> {
    for (const each of [sixth('10'), sixth('11')]) {
      await run('ping', ['-n', '-c', '3', '-i', '0.3', '-W', '4', each]);
      expect(await echoes(each)).toBe(true);
    }
  }

  const ownAddresses = (): string[] => [0, 1, 2].map(address);

  /** Each address answers ping and TCP of a peer, and programs that bind themselves to it reach the peer. */
  async function expectAll(): Promise<void> {
    await waitFor('all addresses', async () => (await answering()).length === 4, {
      timeoutMs: 60_000,
      hint: () => host.sh(STATE),
    });
    const all = [host.machine.address, ...ownAddresses()];
    // The server is a process for each connection, which starts late on a busy machine.
    await waitFor(
      'TCP of all addresses',
      async () => (await Promise.all(all.map((each) => echoes(each)))).every(Boolean),
      { timeoutMs: 30_000, hint: () => host.sh(STATE) },
    );
    expect(await host.reachesStoreFrom(all)).toEqual(all);
  }

  /** Whether an address answers the peer in another network. */
  async function answersFar(to: string): Promise<boolean> {
    const ping = ['-n', '-c', '4', '-i', '0.3', '-W', '2', '-I', far, to];
    const pinged = await run('ping', ping).then(
      () => true,
      () => false,
    );
    expect(await echoes(to, far)).toBe(pinged);
    return pinged;
  }

  /** Messages about lost state but for that of rules by addresses of ours. */
  const notOurs = (lines: readonly string[]): string[] =>
    lines.filter((line) => !ownAddresses().some((each) => line.includes(`from ${each} `)));

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
    const [{ outcome }, gone] = await losing(host, () => host.apply(kind, routed()));
    expect(outcome).toMatchObject({ result: 'Applied' });
    expect(notOurs(gone)).toEqual([]);
    await expectAll();
    await expectNothingToDo();
    expect(await host.observe()).toMatchObject({ result: 'Observed' });
  });

  test('a change that fails leaves rules, tables and settings as they were', async () => {
    const before = await state();
    const probes = [host.lab.slot.address('0.99')];
    const [first, ...others] = three();
    const failing = [{ ...first, address: host.lab.slot.address('0.88'), mtu: 1400 }, ...others];
    const { outcome } = await host.apply(kind, failing, { probes });
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed', step: 'verify' });
    await host.settled();
    expect(await state()).toEqual(before);
  });

  test('with gateways two answer a peer two hops away, and the default route of the node stays', async () => {
    const [first, second, third] = three();
    const before = await host.sh('ip route show default');
    expect(await answersFar(host.machine.address)).toBe(true);
    expect(await answersFar(address(0))).toBe(false);
    const both = [{ ...first, gateway: gateway() }, { ...second, gateway: gateway() }, third];
    const [{ outcome }, gone] = await losing(host, () => host.apply(kind, both));
    expect(outcome).toMatchObject({ result: 'Applied' });
    expect(notOurs(gone)).toEqual([]);
    expect(await answersFar(address(0))).toBe(true);
    expect(await answersFar(address(1))).toBe(true);
    expect(await answersFar(address(2))).toBe(false);
    expect(await host.sh('ip route show default')).toBe(before);
    await expectAll();
  });

  test('pods and Services are reached from its address, and reach it', async () => {
    for (const [path, content] of Object.entries(POD_UNITS)) await host.machine.write(path, content);
    await host.sh(POD_SCRIPT);
    await run('ip', ['netns', 'exec', `${host.lab.slot.name}-host`, 'nft', SERVICE_RULES]);
    const all = [host.machine.address, ...ownAddresses()];
    expect(await host.reachesFrom(all, POD, 7777)).toEqual(all);
    expect(await host.reachesFrom(all, SERVICE, 7777)).toEqual(all);
    for (const each of all)
      expect(await host.sh(`ip netns exec pod bash -c '${FROM_POD}' sh ${each}`)).toBe('word');
    await host.sh('systemctl stop pod.socket; ip link del cni0; ip netns del pod');
    expect((await host.apply(kind, routed())).outcome).toMatchObject({ result: 'Applied' });
    expect(await answersFar(address(0))).toBe(false);
  });

  describe.runIf(IS_MATRIX || rootfs === 'netplan')('a run that is killed', () => {
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

    test.each(IS_MATRIX ? ['activate.link', 'verify'] : ['activate.link'])(
      'at %s: the host restores itself',
      async (step) => {
        const before = await state();
        const commit = await host.store.commit(kind, isNext ? routed() : next());
        expect((await host.run(commit, { killAt: `agent.${step}`, deadline: 30 })).code).toBe(137);
        await waitFor('the restore', () => host.sh('[ ! -e /var/lib/multinic/restore.sh ]'), {
          timeoutMs: 120_000,
          hint: () =>
            host.sh('journalctl -u "multinic-restore*" --no-pager; cat /var/lib/multinic/restore.sh'),
        });
        await host.settled();
        expect(await state()).toEqual(before);
        isNext = !isNext;
        expect((await host.run(commit)).outcome).toMatchObject({ result: 'Applied' });
        expect(await ours()).toEqual(states.get(isNext));
      },
    );

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

  test.each(IS_MATRIX ? [1, 2, 3] : [1])('boot %i', async () => {
    await host.reboot(3);
    await expectAll();
    await expectNothingToDo();
    expect(await host.observe()).toMatchObject({ result: 'Observed' });
    await host.sh(FOREIGN);
  });

  test.each(AGAIN[kind])('somebody runs `%s`', async (command) => {
    await host.sh(`${command}; sleep 2`);
    await host.managed();
    await expectAll();
    await expectNothingToDo();
    await host.sh(FOREIGN);
  });

  test('NICs and the primary lose their carrier and get it back', async () => {
    for (const mac of [nic(0).mac, ...(IS_MATRIX ? [nic(2).mac] : []), host.machine.mac]) {
      await host.machine.setCarrier(mac, false);
      await host.sh('sleep 8');
      await host.machine.setCarrier(mac, true);
      await host.sh('sleep 4');
      await expectAll();
    }
    await expectNothingToDo();
  });

  test('addresses of both families and a gateway, now and after a boot', async () => {
    const further = [`${host.lab.slot.address('0.97')}/24`, `${sixth('10')}/64`];
    const [first, second, third] = three();
    const several = [
      { ...first, furtherAddresses: further, gateway6: sixth('1') },
      { ...second, furtherAddresses: [`${sixth('11')}/64`] },
      third,
    ];
    await host.machine.secure([address(0), host.lab.slot.address('0.97'), sixth('10')], nic(0).mac);
    await host.machine.secure([address(1), sixth('11')], nic(1).mac);
    await run('ip', ['address', 'replace', `${sixth('254')}/64`, 'dev', host.lab.slot.uplink, 'nodad']);
    const { outcome } = await host.apply(kind, several);
    expect(outcome).toMatchObject({ result: 'Applied' });
    const now = await host.sh(OURS);
    expect(now).toContain(`from ${sixth('10')} lookup 254 suppress_prefixlength 0`);
    await host.settled();
    await expectSixth();
    // networkd manages the NICs since the boot, by files without the new routes.
    expect(outcome?.warnings).toEqual(kind === 'netplan' ? ['NetworkdHoldsOldFile'] : undefined);
    await host.reboot(3);
    await expectSixth();
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
      await host.reboot(3);
      await expectNothingToDo();
    },
  );

  test.runIf(IS_MATRIX)('a NIC with 16 addresses and 64 routes, now and after a boot', async () => {
    const [first, ...others] = three();
    const large = {
      ...first,
      furtherAddresses: Array.from({ length: 15 }, (_, index) => `192.168.77.${10 + index}/24`),
      routes: [
        ...Array.from({ length: 63 }, (_, index) => ({ to: `10.99.${100 + index}.0/24`, via: gateway() })),
        { to: '10.99.163.1/32', via: gateway() },
      ],
    };
    const shown = `ip rule | grep -cF 192.168.77.; ip route | grep -cF 10.99.; ip route show table 20000 | wc -l`;
    expect((await host.apply(kind, [large, ...others])).outcome).toMatchObject({ result: 'Applied' });
    expect(await host.sh(shown)).toBe('15\n64\n66');
    await host.reboot(3);
    const { outcome } = await host.apply(kind, [large, ...others]);
    expect(outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
    expect(await host.observe()).toMatchObject({ result: 'Observed' });
    expect(await host.sh(shown)).toBe('15\n64\n66');
    expect((await host.apply(kind, routed())).outcome).toMatchObject({ result: 'Applied' });
    expect(await host.sh(`${shown}; true`)).toBe('0\n0\n1');
    await host.reboot(3);
    await expectNothingToDo();
  });

  test('names change places', async () => {
    const [first, second, third] = three();
    const swapped = [{ ...second, name: first.name }, { ...first, name: second.name }, third];
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
    await host.sh(FOREIGN);
    const foreign = await host.sh(FOREIGN_SHOWN);
    const [{ outcome }, gone] = await losing(host, () => host.apply(kind, []));
    expect(outcome).toMatchObject({ result: 'Applied' });
    expect(notOurs(gone)).toEqual([]);
    const left = await host.sh(OURS);
    expect(left).not.toContain(address(0));
    expect(left).not.toContain(address(1));
    expect(
      await host.sh(
        'find /etc -type f -name "*multinic*" -not -path "*/backup/*" -not -name "90-multinic-0*"',
      ),
    ).toBe('');
    expect(await host.sh(FOREIGN_SHOWN)).toBe(foreign);
    expect(foreign).toContain('10.77.0.0/16');
    expect(foreign).toContain('10.78.0.0/16');
    expect(await answering()).toEqual([host.machine.address]);
    expect(await host.sh(SETTINGS)).toBe(settings);
  });
});

describe.runIf(IS_MATRIX)('netplan-bullseye', () => {
  const NETWORK = 'tenant';
  const PEER = '192.0.2.1';
  const routed: Network = [0, 1, 2].map((index) =>
    nic(index, { address: `192.0.2.${10 + index}`, sourceRouting: true }),
  );
  let host: LiveHost;

  beforeAll(async () => {
    host = await LiveHost.boot('netplan-bullseye');
    await host.machine.secure([host.machine.address]);
    for (const { mac, address = '' } of routed) {
      await host.machine.attachNic({ mac, network: NETWORK });
      await host.machine.secure([address], mac);
    }
    await host.lab.switch.peer(NETWORK, `${PEER}/24`);
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  /** The addresses that answer the peer of their subnet. */
  async function answering(): Promise<(string | undefined)[]> {
    const all = routed.map(({ address }) => address);
    const answered = await Promise.all(
      all.map(async (each) => {
        const stop = await startPing(host.lab, each ?? '');
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
    expect(await host.observe()).toMatchObject({ result: 'Observed', differences: [] });
    const { outcome } = await host.apply('netplan', routed);
    expect(outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
    expect(host.log).toContain('nothing to change');
  }

  test('with addresses alone the first NIC answers alone', async () => {
    const bare = routed.map(({ sourceRouting: _, ...each }) => each);
    expect((await host.apply('netplan', bare)).outcome).toMatchObject({ result: 'Applied' });
    expect((await answering()).length).toBeLessThan(2);
  });

  test('three NICs of one subnet answer, each by itself', async () => {
    expect((await host.apply('netplan', routed)).outcome).toMatchObject({ result: 'Applied' });
    await expectAll();
    await expectNothingToDo();
  });

  test.each([1, 2, 3])('boot %i', async () => {
    await host.reboot(3);
    await expectAll();
    await expectNothingToDo();
  });

  test.each(AGAIN.netplan)('somebody runs `%s`', async (command) => {
    await host.sh(`${command}; sleep 2`);
    await host.managed();
    await expectAll();
    await expectNothingToDo();
  });

  test('a NIC loses its carrier and gets it back', async () => {
    await host.machine.setCarrier(nic(0).mac, false);
    await host.sh('sleep 8');
    await host.machine.setCarrier(nic(0).mac, true);
    await host.sh('sleep 4');
    await expectAll();
    await expectNothingToDo();
  });

  test('names change places, and the NICs leave', async () => {
    const [first, second, third] = routed as [Network[number], Network[number], Network[number]];
    const swapped = [{ ...second, name: first.name }, { ...first, name: second.name }, third];
    expect((await host.apply('netplan', swapped)).outcome).toMatchObject({ result: 'Applied' });
    await expectAll();
    expect((await host.apply('netplan', [])).outcome).toMatchObject({ result: 'Applied' });
    expect(await host.sh(OURS)).not.toContain('192.0.2.1');
  });
});

const WAIT_MS = 4_000;

/** Whether the server of a host sends back a word. @param from an address of this machine */
function echoes(host: string, from?: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port: 7777, ...(from !== undefined && { localAddress: from }) });
  const timer = setTimeout(() => resolve(false), WAIT_MS);
  socket.once('connect', () => socket.write('word'));
  socket.once('data', (data) => resolve(data.toString() === 'word'));
  socket.once('error', () => resolve(false));
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}
