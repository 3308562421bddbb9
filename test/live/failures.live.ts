// Failures on a host: the host ends as it was before, verified, and the report says why. They run on the kinds of host that
// differ most each time, on all of them in the matrix.
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Network } from '../../src/network/interface.ts';
import type { RendererKind } from '../../src/network/node.ts';
import { NETPLAN_GENERATOR, OLD_NETPLAN_GENERATOR } from '../nodes/rootfs.ts';
import { run } from '../nodes/command.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic, type AgentEnd } from '../support/agent.ts';
import {
  atArm,
  foreign,
  foreignState,
  HOSTS,
  linksOf,
  LiveHost,
  NOT_OURS,
  storeSilent,
  type RunOptions,
} from '../support/live-host.ts';

const OLD: Network = [nic(0), nic(1)];
const V6 = nic(1, { address: 'fd00:101::10', prefix: 64 });
/** A new MTU, a new NIC. */
const NEW: Network = [nic(0, { mtu: 1400 }), nic(1), nic(2)];
const FOLDER: Readonly<Record<RendererKind, string>> = {
  netplan: '/etc/netplan',
  keyfile: '/etc/NetworkManager/system-connections',
  ifcfg: '/etc/sysconfig/network-scripts',
};
const kubeconfigOf = (server: string): string =>
  `echo '{clusters: [{cluster: {server: "${server}"}}]}' >/etc/kubernetes/kubelet.conf`;
/** Units of the host's own restore, armed or running. */
const RESTORES = 'systemctl list-units --all --plain --no-legend "multinic-restore*"';

describe.each(HOSTS)('%s', (rootfs, kind) => {
  const folder = FOLDER[kind];
  const STATE = `${linksOf(kind)}; ${NOT_OURS}; find ${folder} -maxdepth 1 -type f | sort | xargs sha256sum`;

  let host: LiveHost;

  beforeAll(async () => {
    host = await LiveHost.boot(rootfs);
    for (const index of [0, 1, 2])
      await host.machine.attachNic({ mac: nic(index).mac, network: `tenant-${index}` });
    await host.apply(kind, OLD);
    await foreign(host);
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  /** Runs the agent, which fails and leaves the host as before. @param amid an action during the run */
  async function fails(
    network: Network,
    options: RunOptions = {},
    amid = (change: () => Promise<AgentEnd>): Promise<AgentEnd> => change(),
  ) {
    await host.settled();
    await foreignState(host);
    const before = await host.sh(STATE);
    const { outcome, code } = await amid(() => host.apply(kind, network, options));
    await host.settled();
    expect(await host.sh(STATE)).toBe(before);
    expect(code).toBe(1);
    // The text in the form of a JSON line.
    expect(host.log).toContain(JSON.stringify(outcome?.message).slice(1, -1));
    expect(await host.sh(RESTORES)).toBe('');
    return outcome;
  }

  test('an address that a peer knows under another MAC is corrected there', async () => {
    const address = '192.168.100.77';
    const peer = (...args: string[]): Promise<string> => run('ip', ['-n', host.lab.slot.name, ...args]);
    await host.lab.switch.peer('tenant-0', '192.168.100.2/24');
    const [bridge = ''] = (await peer('-br', 'addr', 'show', 'to', '192.168.100.2')).split(/[@ ]/);
    await peer('neigh', 'replace', address, 'lladdr', '02:00:00:00:99:99', 'nud', 'stale', 'dev', bridge);
    expect((await host.apply(kind, [nic(0, { address }), nic(1)])).outcome).toMatchObject({
      result: 'Applied',
    });
    expect(await peer('neigh', 'show', address)).toContain(nic(0).mac);
    await host.lab.switch.peer('tenant-0', '192.168.100.2/24', false);
    expect((await host.apply(kind, OLD)).outcome).toMatchObject({ result: 'Applied' });
  });

  describe('an address that a peer has', () => {
    test.each<[string, Network, string]>([
      ['IPv4', NEW, '192.168.102.10/24'],
      ['IPv4, on a NIC that runs', [nic(0, { address: '192.168.100.77' }), nic(1)], '192.168.100.77/24'],
      ['IPv6', [nic(0), V6], 'fd00:101::10/64'],
    ])('%s', async (_, network, address) => {
      const tenant = `tenant-${network.findIndex((each) => `${each.address}/${each.prefix}` === address)}`;
      await host.lab.switch.peer(tenant, address);
      const outcome = await fails(network);
      expect(outcome?.result).toBe('Failed');
      // NetworkManager itself gives up an IPv6 address that is in use.
      const byManager = kind !== 'netplan' && address.includes(':');
      const said = `AddressTaken: ${address}`;
      expect(`${outcome?.reason}: ${outcome?.message}`).toMatch(
        byManager ? /^(AddressTaken|NetworkManagerRefused): / : said,
      );
      await host.lab.switch.peer(tenant, address, false);
    });
  });

  test('an address that a peer swaps with the host: a run frees it, and the next one takes the other', async () => {
    const [mine, theirs] = ['192.168.100.10/24', '192.168.100.77/24'];
    const swapped: Network = [nic(0, { address: '192.168.100.77' }), nic(1)];
    await host.lab.switch.peer('tenant-0', theirs);
    expect((await fails(swapped))?.message).toContain('192.168.100.77');
    const commit = await host.store.commit(kind, swapped);
    const freed = await host.run(commit, { leaveOut: [nic(0).mac] });
    expect(freed.outcome).toMatchObject({ result: 'Pending', reason: 'AddressFreed', leftOut: [nic(0).mac] });
    expect(await host.configured()).toEqual({ multinic1: '1500 192.168.101.10/24' });
    await host.lab.switch.peer('tenant-0', theirs, false);
    await host.lab.switch.peer('tenant-0', mine);
    expect((await host.run(commit)).outcome).toMatchObject({ result: 'Applied' });
    expect((await host.configured())['multinic0']).toContain(theirs);
    await host.lab.switch.peer('tenant-0', mine, false);
    expect((await host.apply(kind, OLD)).outcome).toMatchObject({ result: 'Applied' });
  });

  test('a port that is down', async () => {
    await host.machine.setCarrier(nic(2).mac, false);
    const outcome = await fails(NEW);
    // NetworkManager activates nothing on such a NIC.
    expect(outcome?.reason).toMatch(
      kind === 'netplan' ? /^NoCarrier$/ : /^(NoCarrier|NetworkManagerRefused)$/,
    );
    await host.machine.setCarrier(nic(2).mac, true);
  });

  describe('a probe', () => {
    test.each([['192.168.102.1'], ['192.168.102.1:9']])('%s is silent, then answers', async (probe) => {
      const outcome = await fails(NEW, { probes: [probe] });
      expect(outcome).toMatchObject({ reason: 'ProbeFailed', step: 'verify' });
      await host.lab.switch.peer('tenant-2', '192.168.102.1/24');
      for (const network of [NEW, OLD])
        expect((await host.apply(kind, network, { probes: [probe] })).outcome?.result).toBe('Applied');
      await host.lab.switch.peer('tenant-2', '192.168.102.1/24', false);
    });
  });

  test.runIf(kind === 'netplan')(
    'others’ routes go with a NIC that is renamed, and come back with it',
    async () => {
      const [name] = (await host.sh(`ip -br link | grep ${nic(2).mac}`)).split(/[@ ]/);
      await host.sh(`ip link set ${name} up; ip addr add 192.168.102.99/24 dev ${name}
      ip route add 10.77.0.0/16 via 192.168.102.1 dev ${name} proto bird
      ip route add 10.78.0.0/16 via 192.168.102.1 dev ${name} table 77`);
      const routes = 'ip route show 10.77.0.0/16; ip route show table 77';
      const before = await host.sh(routes);
      await fails(NEW, { probes: ['192.168.102.3'] });
      expect(await host.sh(routes)).toBe(before);
      expect((await host.apply(kind, NEW)).outcome?.result).toBe('Applied');
      expect(await host.sh(routes)).toBe(before.replaceAll(`dev ${name}`, 'dev multinic2'));
      await host.sh('ip addr del 192.168.102.99/24 dev multinic2; ip route flush table 77');
      expect((await host.apply(kind, OLD)).outcome?.result).toBe('Applied');
    },
  );

  test.runIf(kind === 'netplan')(
    'a NIC gets its name back, though udev makes its old name another one of it with each rename',
    async () => {
      const name = async (): Promise<string> =>
        (await host.sh(`ip -br link | grep ${nic(2).mac}`)).split(/[@ ]/)[0]!;
      const before = await name();
      // Alternative names, as systemd 245 to 253 give NICs with a slot or a path.
      await host.machine.write(
        '/etc/udev/rules.d/90-altname.rules',
        `ACTION=="move", ATTR{address}=="${nic(2).mac}", RUN+="/usr/sbin/ip link property add dev $name altname ${before}"\n`,
      );
      await host.sh('udevadm control --reload');
      const run = (killAt?: string) =>
        host.apply(kind, NEW, { probes: ['192.168.102.3'], ...(killAt !== undefined && { killAt }) });

      expect((await run()).outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed' });
      expect(await name()).toBe(before);

      expect((await run('agent.verify')).code).toBe(137);
      await host.sh('udevadm settle');
      expect(await host.sh('ip link show multinic2')).toContain(`altname ${before}`);
      await host.sh('systemctl start --wait $(cat /var/lib/multinic/restore.unit).service');
      expect(await name()).toBe(before);

      expect((await host.apply(kind, NEW)).outcome?.result).toBe('Applied');
      expect((await host.apply(kind, OLD)).outcome?.result).toBe('Applied');
      expect(await name()).toBe(before);
      await host.sh('rm /etc/udev/rules.d/90-altname.rules; udevadm control --reload');
    },
  );

  test.runIf(kind === 'netplan')('a name that somebody takes during the change', async () => {
    // A new NIC has no link-local address, which setting it down would remove.
    const [name] = (await host.sh(`ip -br link | grep ${nic(2).mac}`)).split(/[@ ]/);
    await host.sh(`ip link set ${name} down`);
    await host.settled();
    const before = await host.sh(STATE);
    const take = 'ip link add multinic2 type veth peer name other';
    const { outcome } = await atArm(host, take, () => host.apply(kind, NEW));
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'LinkRefused', step: 'activate' });
    await host.sh('ip link del multinic2');
    await host.settled();
    expect(await host.sh(STATE)).toBe(before);
  });

  test('the API server no longer answers', async () => {
    const server = createServer().listen(0, host.lab.slot.address('0.254'));
    await once(server, 'listening');
    const { port, address } = server.address() as AddressInfo;
    const outcome = await fails(NEW, { apiServer: { host: address, port } }, (change) =>
      storeSilent(host, change),
    );
    expect(outcome).toMatchObject({ reason: 'ApiServerLost', step: 'verify' });
    server.close();
  });

  test.each([
    ['the Job says', 'true', { peers: ['203.0.113.5'] }],
    ['the kubelet knows', kubeconfigOf('https://203.0.113.5:6443'), {}],
    [
      'the kubelet knows by a name of /etc/hosts, with a slash at the end',
      `${kubeconfigOf('https://api.cluster.test:6443/')}; echo 203.0.113.5 api.cluster.test >>/etc/hosts`,
      {},
    ],
  ])('a NIC that would change carries the route to an API server that %s', async (_, prepare, options) => {
    const rule = 'to 203.0.113.5 lookup 77 priority 100';
    const [name] = (await host.sh(`ip -br link | grep ${nic(2).mac}`)).split(/[@ ]/);
    await host.sh(`mkdir -p /etc/kubernetes; ${prepare}; ip link set ${name} up; ip rule add ${rule}
      ip route add 203.0.113.0/24 via 192.168.102.1 onlink dev ${name} table 77`);
    const outcome = await fails(NEW, options);
    expect(outcome).toMatchObject({ reason: 'NicInUse', step: 'preflight' });
    expect(outcome?.message).toContain(`(${nic(2).mac}) is the way to 203.0.113.5`);
    await host.sh(`ip rule del ${rule}; ip route flush table 77; ip link set ${name} down
      rm -f /etc/kubernetes/kubelet.conf; sed -i /cluster.test/d /etc/hosts`);
  });

  describe.runIf(kind === 'netplan')('a command of the OS', () => {
    const GENERATOR = rootfs === 'netplan-bullseye' ? OLD_NETPLAN_GENERATOR : NETPLAN_GENERATOR;
    const replace = (script: string): Promise<string> =>
      host.sh(`cp -a ${GENERATOR} /root/generate; printf '#!/bin/sh\\n${script}\\n' > ${GENERATOR}`);
    const putBack = (): Promise<string> => host.sh(`mv /root/generate ${GENERATOR}`);

    test('refuses', async () => {
      await replace('echo no such key >&2; exit 1');
      const outcome = await fails(NEW);
      await putBack();
      expect(outcome).toMatchObject({ reason: 'ValidationFailed', step: 'validate' });
      expect(outcome?.message).toContain('no such key');
    });

    test('hangs', async () => {
      await replace('exec sleep 1000');
      const outcome = await fails(NEW);
      await putBack();
      expect(outcome).toMatchObject({ reason: 'CommandHangs', step: 'validate' });
    });

    test('a name that is taken meanwhile', async () => {
      await host.sh('ip link add multinic2 type veth peer name other');
      expect(await fails(NEW)).toMatchObject({ reason: 'NameTaken', step: 'preflight' });
      await host.sh('ip link del multinic2');
    });
  });

  test.runIf(kind === 'netplan')('an IPv6 address where the kernel does no IPv6', async () => {
    const [name] = (await host.sh(`ip -br link | grep ${nic(2).mac}`)).split(/[@ ]/);
    await host.sh(`sysctl -qw net.ipv6.conf.${name}.disable_ipv6=1`);
    const outcome = await fails([nic(0), nic(1), nic(2, { address: 'fd00:102::10', prefix: 64 })]);
    await host.sh(`sysctl -qw net.ipv6.conf.${name}.disable_ipv6=0`);
    expect(outcome).toMatchObject({ reason: 'AddressFamilyDisabled', step: 'preflight' });
  });

  test.each([
    [
      'is part of br7',
      `ip link add br7 type bridge; ip link add tap7 type veth peer name tap8; ip link set tap7 master br7
       ip link set multinic1 master br7; ip link set br7 address ${nic(1).mac} up
       ip addr del 192.168.101.10/24 dev multinic1; ip addr add 192.168.101.10/24 dev br7`,
      'ip link del br7; ip link del tap7',
    ],
    [
      'carries mv7',
      `ip link add mv7 link multinic1 type macvlan; ip link set mv7 up
       ip addr del 192.168.101.10/24 dev multinic1`,
      'ip link del mv7',
    ],
  ])('a managed NIC that is now %s stays as it is, and the others change', async (use, take, free) => {
    await host.sh(take);
    const seen = async (): Promise<string> =>
      (await host.sh('ip addr show dev multinic1; ip -br addr show dev br7 2>&1 || true')).replace(
        / qlen.*/,
        '',
      );
    await host.settled();
    const before = await seen();
    const { outcome } = await host.apply(kind, [nic(0, { mtu: 1400 }), nic(1)]);
    await host.settled();
    expect(outcome).toMatchObject({ result: 'Applied', warnings: ['NicLeft'] });
    expect(outcome?.message).toContain(`multinic1 (${nic(1).mac}) ${use}`);
    expect(await seen()).toBe(before);
    expect(await host.configured()).toMatchObject({ multinic0: '1400 192.168.100.10/24' });
    await host.sh(free);
    const end = await host.apply(kind, OLD);
    expect(end.outcome).toMatchObject({ result: 'Applied' });
    expect(end.outcome).not.toHaveProperty('warnings');
    expect(await host.configured()).toMatchObject({ multinic1: '1500 192.168.101.10/24' });
  });

  describe('refused before anything is touched', () => {
    const { mac } = nic(2);
    const peer = '192.168.102.1';
    const NODE_ADDRESS = '192.168.102.50';
    const rich: Record<RendererKind, [file: string, content: string]> = {
      netplan: [
        `${FOLDER.netplan}/60-somebody.yaml`,
        `network: {version: 2, ethernets: {tenant: {match: {macaddress: "${mac}"}, addresses: [192.168.102.60/24]}}}\n`,
      ],
      keyfile: [
        `${FOLDER.keyfile}/somebody.nmconnection`,
        `[connection]\nid=somebody\ntype=ethernet\nautoconnect=false\n[ethernet]\nmac-address=${mac}\n[ipv4]\nmethod=manual\naddress1=192.168.102.60/24\n`,
      ],
      ifcfg: [
        `${FOLDER.ifcfg}/ifcfg-somebody`,
        `TYPE=Ethernet\nNAME=somebody\nHWADDR=${mac}\nONBOOT=no\nBOOTPROTO=none\nIPADDR=192.168.102.60\nPREFIX=24\n`,
      ],
    };

    test.each<[what: string, reason: string, prepare: string, undo: string, options?: RunOptions]>([
      [
        'part of a bridge',
        'NicInUse',
        'ip link add br7 type bridge; ip link set $nic master br7',
        'ip link del br7',
      ],
      [
        'under a macvlan of somebody’s',
        'NicInUse',
        'ip link add mv7 link $nic type macvlan; sleep 1',
        'ip link del mv7',
      ],
      [
        'under a macvlan in the network namespace of a pod',
        'NicInUse',
        'ip netns add pod7; ip link add mv7 link $nic netns pod7 type macvlan; sleep 1',
        'ip netns del pod7',
      ],
      [
        'a way to everywhere, though not the first',
        'NicInUse',
        `ip link set $nic up; ip route add default via ${peer} onlink dev $nic metric 9999`,
        `ip route del default via ${peer} dev $nic metric 9999`,
      ],
      [
        'what has the node’s own address',
        'NicInUse',
        `ip addr add ${NODE_ADDRESS}/32 dev $nic`,
        `ip addr del ${NODE_ADDRESS}/32 dev $nic`,
        { nodeAddress: NODE_ADDRESS },
      ],
      [
        'to have an address that is on the loopback device',
        'AddressInUse',
        `ip addr add ${nic(2).address}/32 dev lo`,
        `ip addr del ${nic(2).address}/32 dev lo`,
      ],
      [
        'one of two with its MAC',
        'DuplicateMac',
        `ip link add twin address ${mac} type bridge`,
        'ip link del twin',
      ],
      [
        'what somebody’s file gives an address',
        'ForeignConfig',
        `umask 077; printf '${rich[kind][1].replaceAll('\n', '\\n')}' > ${rich[kind][0]}`,
        `rm ${rich[kind][0]}`,
      ],
    ])('a NIC that is %s: %s', async (_, reason, prepare, undo, options) => {
      const [name] = (await host.sh(`ip -br link | grep ${mac}`)).split(/[@ ]/);
      await host.sh(`nic=${name}; ${prepare}`);
      const outcome = await fails(NEW, options);
      await host.sh(`nic=${name}; ${undo}`);
      expect(outcome).toMatchObject({ result: 'Failed', reason, written: [], removed: [] });
      const said: Record<string, string> = {
        AddressInUse: nic(2).address,
        ForeignConfig: `${rich[kind][0].slice(1)} gives multinic2 (${mac})`,
      };
      expect(outcome?.message).toContain(said[reason] ?? mac);
    });

    test('a NIC with an address in a foreign file is taken over if the CR says so, and the file stays', async () => {
      const file = rich[kind][0];
      const content = rich[kind][1].replace('ONBOOT=no', 'ONBOOT=yes');
      await host.machine.write(file, content, 0o600);
      const tenant = { takeover: true as const, ...(kind === 'netplan' && { netplanId: 'tenant' }) };
      const { outcome } = await host.apply(kind, [nic(0, { mtu: 1400 }), nic(1), nic(2, tenant)]);
      expect(outcome).toMatchObject({ result: 'Applied' });
      expect((await host.apply(kind, OLD)).outcome).toMatchObject({ result: 'Applied' });
      expect(await host.sh(`cat ${file}; echo end`)).toBe(`${content}end`);
      expect(await host.configured()).not.toHaveProperty('multinic2');
      await host.sh(`rm ${file}`);
    });
  });

  test('D-Bus is gone', async () => {
    await host.sh('systemctl stop dbus.socket dbus.service');
    const outcome = await fails(NEW).catch((error: unknown) => error);
    await host.sh(`systemctl start dbus.socket dbus.service
      if systemctl is-enabled --quiet NetworkManager; then systemctl restart NetworkManager; sleep 3; fi`);
    await host.managed();
    await foreign(host);
    expect(outcome).toMatchObject({
      reason: kind === 'netplan' ? 'RestoreNotArmed' : 'NetworkManagerDown',
      step: kind === 'netplan' ? 'arm' : 'preflight',
    });
  });

  test('the disk is full, or read-only', async () => {
    await host.sh(`mkdir -p /root/files && cp -a ${folder}/. /root/files/
      mount -t tmpfs -o size=1M,mode=755 none ${folder} && cp -a /root/files/. ${folder}/
      head -c 1M /dev/zero > ${folder}/filler || true`);
    expect(await fails(NEW)).toMatchObject({ reason: 'DiskFull', step: 'preflight' });
    await host.sh(`rm ${folder}/filler; mount -o remount,ro ${folder}`);
    expect(await fails(NEW)).toMatchObject({ reason: 'HostReadOnly', step: 'preflight' });
    await host.sh(`umount ${folder}`);
  });

  describe('the agent is killed, and no run follows', () => {
    test.each(['agent.write.file', 'agent.activate.link', 'agent.verify', 'agent.finish'])(
      'at %s: the host restores itself when its time is up',
      async (killAt) => {
        await host.settled();
        await foreignState(host);
        const before = await host.sh(STATE);
        const end = await host.apply(kind, NEW, { killAt, deadline: 30 });
        expect(end.code).toBe(137);
        expect(await host.sh(STATE)).not.toBe(before);
        // The state alone may look right for a moment during the restore.
        const restored = async (): Promise<boolean> =>
          (await host.sh(RESTORES)) === '' && (await host.sh(STATE)) === before;
        await waitFor('the host’s own restore', restored, {
          timeoutMs: 90_000,
          everyMs: 500,
          hint: async () =>
            `${before}instead of which there is\n${await host.sh(`${STATE}; systemctl list-timers --all; journalctl -n 30`)}`,
        });
      },
      300_000,
    );

    test.runIf(kind === 'netplan')(
      'an MTU below 1280, which takes IPv6 off a NIC: its settings come back with the MTU',
      async () => {
        await host.settled();
        const settings =
          'cd /proc/sys/net/ipv6/conf/multinic0; cat accept_ra addr_gen_mode; cat /sys/class/net/multinic0/mtu';
        const before = await host.sh(settings);
        const small = OLD.map((each) => (each.name === 'multinic0' ? { ...each, mtu: 1200 } : each));
        await host.apply(kind, small, { killAt: 'agent.verify', deadline: 30 });
        expect(await host.sh('ls /proc/sys/net/ipv6/conf')).not.toContain('multinic0');
        await waitFor('the host’s own restore', async () => (await host.sh(RESTORES)) === '', {
          timeoutMs: 90_000,
          everyMs: 500,
        });
        expect(await host.sh(settings)).toBe(before);
        expect((await host.apply(kind, OLD)).outcome?.result).toBe('Applied');
      },
      300_000,
    );

    test.runIf(kind === 'netplan')(
      'another NIC has the name meanwhile: it keeps it, and what others routed comes back',
      async () => {
        const name = 'ens7';
        const [now] = (await host.sh(`ip -br link | grep ${nic(2).mac}`)).split(/[@ ]/);
        const routes = 'ip route show 10.77.0.0/16; ip route show table 77';
        await host.sh(`[ ${now} = ${name} ] || { ip link set ${now} down; ip link set ${now} name ${name}; }
          ip link set ${name} up; ip addr add 192.168.102.99/24 dev ${name}
          ip route add 10.77.0.0/16 via 192.168.102.1 dev ${name} proto bird
          ip route add 10.78.0.0/16 via 192.168.102.1 dev ${name} table 77`);
        const before = await host.sh(routes);
        await host.apply(kind, NEW, { killAt: 'agent.verify', deadline: 30 });
        await host.sh(`ip link add ${name} type veth peer name other`);
        await waitFor('the host’s own restore', async () => (await host.sh(RESTORES)) === '', {
          timeoutMs: 90_000,
          everyMs: 500,
        });
        const own = `enx${nic(2).mac.replaceAll(':', '')}`;
        expect(await host.sh(`cat /sys/class/net/${own}/address`)).toBe(nic(2).mac);
        expect(await host.addresses(own)).toContain('192.168.102.99/24');
        expect(await host.sh(routes)).toBe(before.replaceAll(`dev ${name}`, `dev ${own}`));
        expect(await host.addresses(name)).toEqual([]);
        await host.sh(
          `ip link del ${name}; ip addr del 192.168.102.99/24 dev ${own}; ip route flush table 77`,
        );
        expect((await host.apply(kind, OLD)).outcome?.result).toBe('Applied');
        expect(host.log).toContain('an interrupted run was undone');
      },
      300_000,
    );

    test('the next run finds nothing left to undo, and goes on', async () => {
      for (const network of [NEW, OLD])
        expect((await host.apply(kind, network)).outcome?.result).toBe('Applied');
    });
  });
});
