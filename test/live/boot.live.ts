// The next boot: the agent predicts, before any change, which file wins, and a reboot proves the prediction.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RendererKind } from '../../src/network/node.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic } from '../support/agent.ts';
import { HOSTS, linksOf, LiveHost } from '../support/live-host.ts';

const MAC = nic(0).mac;
type Foreign = [what: string, file: string, content: string];
const LINK: Foreign = [
  'a link',
  '/etc/systemd/network/05-foo.link',
  `[Match]\nMACAddress=${MAC}\n[Link]\nName=foo0\n`,
];
const RULE: Foreign = [
  'a rule',
  '/etc/udev/rules.d/70-persistent-net.rules',
  `SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="${MAC}", NAME="foo0"\n`,
];
const NAMES = [LINK, RULE];
const SCRIPTS = '/etc/sysconfig/network-scripts';
/** netplan merges this with our definition of the NIC. */
const SHARED = `network: {version: 2, ethernets: {multinic0: {match: {macaddress: "${MAC}"}, dhcp4: true}}}\n`;
const WINNERS: Record<RendererKind, Foreign[]> = {
  netplan: [
    ...NAMES,
    ['a renderer', '/etc/netplan/01-foo.yaml', 'network: {version: 2, renderer: NetworkManager}\n'],
    ['a network', '/etc/systemd/network/05-foo.network', `[Match]\nMACAddress=${MAC}\n[Network]\nDHCP=yes\n`],
    ['a netplan file of a program,', '/run/netplan/99-foo.yaml', SHARED],
    ['a netplan file of the OS,', '/lib/netplan/99-foo.yaml', SHARED],
  ],
  keyfile: [
    ...NAMES,
    [
      'a profile',
      '/etc/NetworkManager/system-connections/foo.nmconnection',
      `[connection]\nid=foo\ntype=ethernet\nautoconnect-priority=999\n[ethernet]\nmac-address=${MAC}\n[ipv4]\nmethod=auto\n`,
    ],
  ],
  ifcfg: [
    RULE,
    ['an ifcfg file, after ours,', `${SCRIPTS}/ifcfg-tenant`, `DEVICE=foo0\nHWADDR=${MAC}\nONBOOT=no\n`],
    ['an ifcfg file, of the first name,', `${SCRIPTS}/ifcfg-ens5`, `DEVICE=ens5\nHWADDR=${MAC}\nONBOOT=no\n`],
    [
      'a profile',
      `${SCRIPTS}/ifcfg-foo`,
      'TYPE=Ethernet\nNAME=foo\nBOOTPROTO=dhcp\nONBOOT=yes\nAUTOCONNECT_PRIORITY=999\n',
    ],
  ],
};
/** cloud-init's file for a NIC that it saw when the machine was made, under the name that udev had given it. */
const CLOUD_INIT: Partial<Record<RendererKind, [file: string, content: string]>> = {
  keyfile: [
    '/etc/NetworkManager/system-connections/cloud-init-ens3.nmconnection',
    `[connection]\nid=cloud-init\ntype=ethernet\nautoconnect-priority=120\n[ethernet]\nmac-address=${MAC}\n[ipv4]\nmethod=auto\n`,
  ],
  ifcfg: [
    `${SCRIPTS}/ifcfg-ens3`,
    `AUTOCONNECT_PRIORITY=120\nBOOTPROTO=dhcp\nDEVICE=ens3\nHWADDR=${MAC}\nNAME=cloud-init\nONBOOT=yes\nTYPE=Ethernet\nUSERCTL=no\n`,
  ],
};

describe.each(HOSTS)('%s', (rootfs, kind) => {
  const RUNNING = linksOf(kind);
  const STATE = `${RUNNING}; find /etc/netplan /etc/NetworkManager /etc/systemd/network /etc/sysconfig || true`;

  let host: LiveHost;

  beforeAll(async () => {
    host = await LiveHost.boot(rootfs);
    for (const index of [0, 1])
      await host.machine.attachNic({ mac: nic(index).mac, network: `tenant-${index}` });
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  test.each(WINNERS[kind])(
    '%s of somebody else would win: refused, and nothing is touched',
    async (what, file, content) => {
      // On the running machine: its /run is no folder of the disk.
      const base64 = Buffer.from(content).toString('base64');
      await host.sh(`mkdir -p $(dirname ${file}); echo ${base64} | base64 -d >${file}; chmod 600 ${file}`);
      await host.settled();
      const before = await host.sh(STATE);
      const { outcome } = await host.apply(kind, [nic(0), nic(1)]);
      expect(outcome).toMatchObject({ result: 'Failed', step: 'validate' });
      // Two .link files for one MAC are refused for that reason.
      expect(outcome?.reason).toMatch(/NotAtNextBoot|ValidationFailed/);
      const said = file.includes('netplan/99-') ? '/run/netplan and /lib/netplan' : file.slice(1);
      expect(outcome?.message).toContain(what === 'a renderer' ? 'renderer: networkd' : said);
      expect(await host.sh(STATE)).toBe(before);
      await host.sh(`rm ${file}`);
    },
  );

  test.runIf(kind === 'netplan')('the remedy for another renderer of netplan works', async () => {
    await host.machine.write(
      '/etc/netplan/01-foo.yaml',
      'network: {version: 2, renderer: NetworkManager}\n',
      0o600,
    );
    const refused = await host.apply(kind, [nic(0)]);
    const [, file = '', content = ''] =
      /(\/etc\/netplan\/\S+) with `(.*?)`/.exec(refused.outcome?.message ?? '') ?? [];
    await host.machine.write(file, `${content}\n`, 0o600);
    expect((await host.apply(kind, [nic(0)])).outcome).toMatchObject({ result: 'Applied' });
    await host.sh(`rm ${file} /etc/netplan/01-foo.yaml`);
    expect((await host.apply(kind, [])).outcome).toMatchObject({ result: 'Applied' });
  });

  test('the file that would have won does win, after a reboot without our files', async () => {
    const [, file, content] = WINNERS[kind][0]!;
    await host.machine.write(file, content, 0o644);
    await host.machine.reboot();
    await waitFor('the name', async () => (await host.sh('ip -br link')).includes('foo0'), {
      timeoutMs: 30_000,
    });
    expect(await host.sh('cat /sys/class/net/foo0/address')).toBe(MAC);
    await host.sh(`rm ${file}`);
    await host.reboot(0);
  }, 300_000);

  test('mode files: running NICs stay as they are until the next boot', async () => {
    // Only NetworkManager brings such a NIC up.
    const isAsEver = async (): Promise<boolean> =>
      (await host.sh(`ip -br link | grep ${MAC}`)).includes('DOWN') === (kind === 'netplan');
    await waitFor('its manager to do with the NIC what it does', isAsEver, { timeoutMs: 30_000 });
    await host.settled();
    const before = await host.sh(RUNNING);
    const { outcome } = await host.apply(kind, [nic(0), nic(1)], { mode: 'files' });
    expect(outcome).toMatchObject({ result: 'Applied' });
    expect(await host.sh(RUNNING)).toBe(before);
    await host.reboot(2);
    expect((await host.apply(kind, [nic(0), nic(1)])).outcome).toMatchObject({ written: [] });
    expect(host.log).toContain('nothing to change');
  }, 300_000);

  test('a foreign file that appeared later is a warning when the run changes nothing', async () => {
    const [, file, content] = WINNERS[kind][0]!;
    await host.machine.write(file, content, 0o644);
    const { outcome } = await host.apply(kind, [nic(0), nic(1)]);
    expect(outcome).toMatchObject({
      result: 'Applied',
      warnings: [expect.stringMatching(/NotAtNextBoot|ValidationFailed/)],
      message: expect.stringContaining(file.slice(1)),
    });
    await host.sh(`rm ${file}`);
    expect((await host.apply(kind, [nic(0), nic(1)])).outcome).not.toHaveProperty('warnings');
  });

  test.runIf(kind !== 'netplan')(
    'a DHCP file as cloud-init writes it gives way, and counts again once the NIC is let go of',
    async () => {
      const [file, content] = CLOUD_INIT[kind]!;
      await host.machine.write(file, content, 0o600);
      await host.reboot(2);
      const { outcome } = await host.apply(kind, [nic(0), nic(1)]);
      expect(outcome).toMatchObject({ result: 'Applied', written: [] });
      expect(outcome).not.toHaveProperty('warnings');

      expect((await host.apply(kind, [nic(0), nic(1, { mtu: 1450 })])).outcome?.result).toBe('Applied');
      expect((await host.apply(kind, [nic(1)])).outcome?.result).toBe('Applied');
      await host.reboot(1);
      await waitFor(
        'their profile',
        async () => (await host.sh('nmcli -g NAME,DEVICE connection show')).includes('cloud-init:e'),
        { timeoutMs: 30_000, hint: () => host.sh('nmcli connection; nmcli device; ip link') },
      );
      await host.sh('nmcli connection delete cloud-init');
      expect((await host.apply(kind, [nic(0), nic(1)])).outcome?.result).toBe('Applied');
    },
    300_000,
  );

  test('a boot does not wait for a NIC without carrier', async () => {
    // A unit that waits for the network, as the kubelet's unit does.
    const unit = `[Unit]
Wants=network-online.target
After=network-online.target
[Service]
Type=oneshot
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
`;
    await host.machine.write('/etc/systemd/system/online.service', unit);
    const waits = kind === 'netplan' ? 'systemd-networkd-wait-online' : 'NetworkManager-wait-online';
    await host.sh(`systemctl enable online.service ${waits}`);
    /** Seconds that the boot waited for the network. */
    const boot = async (): Promise<number> => {
      await host.machine.reboot();
      const times = await host.sh(
        `systemctl show --value -p ExecMainStartTimestampMonotonic -p ExecMainExitTimestampMonotonic ${waits}`,
      );
      const [start = 0, end = 0] = times.trim().split('\n').map(Number);
      return (end - start) / 1e6;
    };
    const before = await boot();
    await host.machine.setCarrier(nic(1).mac, false);
    const without = await boot();
    console.log(`waited for the network: ${before} s; with a NIC without carrier: ${without} s`);
    expect(without).toBeGreaterThan(0);
    // networkd would wait for two minutes, NetworkManager for six seconds.
    expect(without).toBeLessThan(before + (kind === 'netplan' ? 60 : 4));
    await waitFor('multinic0', async () => 'multinic0' in (await host.configured()), { timeoutMs: 60_000 });
    await host.machine.setCarrier(nic(1).mac, true);
  }, 300_000);

  test.runIf(kind === 'ifcfg')(
    'what names a NIC by its ifcfg file comes before a link',
    async () => {
      const [, file, content] = LINK;
      await host.machine.write(file, content, 0o644);
      expect((await host.apply(kind, [nic(0, { mtu: 1400 }), nic(1)])).outcome?.result).toBe('Applied');
      await host.reboot(2);
    },
    300_000,
  );

  test.runIf(kind === 'ifcfg')(
    'an ifcfg file of the name that a NIC has keeps it there',
    async () => {
      const [, file, content] = WINNERS.ifcfg[2]!;
      await host.machine.write(file, content, 0o644);
      await host.machine.reboot();
      await host.sh('udevadm settle');
      expect(await host.sh('cat /sys/class/net/ens5/address')).toBe(MAC);
    },
    300_000,
  );
});
