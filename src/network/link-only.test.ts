// Link-only NICs: a name, an MTU and no address, for other software to use.

import { describe, expect, test } from 'vitest';
import { admitConfig } from './admission.ts';
import { AUTO_ALONE, needOf } from './auto-routing.ts';
import type { Interface } from './interface.ts';
import { RENDERER_KINDS, rendererOf } from './renderers.ts';
import { routingOf } from './source-routing.ts';
import { thrownBy } from '../../test/support/thrown-by.ts';
import { mac } from '../../test/support/mac.ts';

const NIC: Interface = { name: 'multinic0', mac: mac('fa:16:3e:5e:62:3e'), mtu: 9000 };
const AT = 'spec.nodeConfigs[0].interfaces[0]';
const HEADER =
  '# Managed by multinic-agent. Edit it in git (branch of this node) or in the MultiNicBizConfig, not on the host.\n';

function entry(item: object) {
  const interfaces = [{ macAddress: 'fa:16:3e:5e:62:3e', ...item }];
  return admitConfig({ spec: { nodeConfigs: [{ attachedNodeId: 'i-1', interfaces }] } }).entries[0]!;
}

test('a CR asks for one by linkOnly, and by nothing else', () => {
  expect(entry({ linkOnly: true, mtu: 9000, addresses: [], routes: [], address: '' })).toMatchObject({
    problems: [],
    wanted: [{ mac: NIC.mac, mtu: 9000 }],
  });
  expect(entry({ linkOnly: true }).wanted?.[0]).not.toHaveProperty('address');
  expect(entry({}).problems).toMatchObject([{ path: `${AT}.cidr`, code: 'MissingCidr' }]);
  expect(entry({ linkOnly: false }).problems).toMatchObject([{ path: `${AT}.cidr`, code: 'MissingCidr' }]);
  expect(entry({}).problems[0]?.message).toContain('or linkOnly: true');
});

test.each([
  ['address', '192.0.2.10'],
  ['cidr', '192.0.2.10/24'],
  ['addresses', ['192.0.2.11/24']],
  ['gateway', '192.0.2.1'],
  ['gateway6', '2001:db8::1'],
  ['routes', [{ to: '10.0.0.0/8', via: '192.0.2.1' }]],
  ['sourceRouting', true],
])('%s beside linkOnly is refused', (field, value) => {
  const [problem, ...more] = entry({ linkOnly: true, [field]: value }).problems;
  expect(more).toEqual([]);
  expect(problem).toMatchObject({ path: `${AT}.${field}`, code: 'InvalidLinkOnly' });
  expect(problem?.message).toContain(`remove ${field}, or linkOnly`);
});

test('another value is refused', () => {
  expect(entry({ linkOnly: 'yes' }).problems).toMatchObject([
    { path: `${AT}.linkOnly`, code: 'InvalidLinkOnly' },
    { path: `${AT}.cidr`, code: 'MissingCidr' },
  ]);
});

test('it has no source routing, and gives no other NIC a need of it', () => {
  const other: Interface = { ...NIC, mac: mac('fa:16:3e:5e:62:3f'), address: '192.0.2.10', prefix: 24 };
  expect(needOf(NIC, [NIC, other], AUTO_ALONE.nodeAddresses)).toBeUndefined();
  expect(needOf(other, [NIC, other], [])).toBeUndefined();
  expect(routingOf({ ...NIC, sourceRouting: true })).toEqual({ rules: [], routes: [], sysctls: new Map() });
});

describe('files', () => {
  test('netplan: no address, and networkd leaves the NIC in the bridge of another program', () => {
    const files = rendererOf('netplan').render(NIC);
    expect(Object.fromEntries(files)).toEqual({
      'etc/netplan/90-multinic0.yaml': `${HEADER}# Link only: true
network:
  version: 2
  ethernets:
    multinic0:
      match:
        macaddress: "fa:16:3e:5e:62:3e"
      dhcp4: false
      set-name: multinic0
      dhcp6: false
      accept-ra: false
      link-local: []
      optional: true
      mtu: 9000
`,
      'etc/systemd/network/10-netplan-multinic0.network.d/multinic0-link.conf': `${HEADER}
[Network]
KeepMaster=yes
`,
    });
  });

  test('NetworkManager: neither family has a method', () => {
    const profile = [...rendererOf('keyfile').render(NIC).values()][0];
    expect(profile).toContain('# Link only: true\n');
    expect(profile).toContain('[ipv4]\nmethod=disabled\n');
    expect(profile).toContain('[ipv6]\nmethod=disabled\n');
    expect(profile).not.toContain('address1');
    const ifcfg = [...rendererOf('ifcfg').render(NIC).values()][0];
    expect(ifcfg).toContain('BOOTPROTO=none\n');
    expect(ifcfg).toContain('IPV6_DISABLED=yes\n');
    expect(ifcfg).not.toMatch(/IPADDR|PREFIX|IPV6ADDR/);
  });

  test.each(RENDERER_KINDS)('%s: read back, and refused without the comment', (kind) => {
    const renderer = rendererOf(kind);
    const files = renderer.render(NIC);
    expect(renderer.parse(files)).toEqual([NIC]);
    const [[path, text] = ['', '']] = files;
    const bare = new Map([...files, [path, text.replace('# Link only: true\n', '')]]);
    const { problems } = thrownBy(() => renderer.parse(bare));
    expect(problems[0]).toMatchObject({ code: 'InvalidAddress' });
    const addressed = renderer.render({ ...NIC, address: '192.0.2.10', prefix: 24 });
    const both = new Map([[path, addressed.get(path)!.replace(HEADER, `${HEADER}# Link only: true\n`)]]);
    expect(thrownBy(() => renderer.parse(new Map([...files, ...both]))).problems).toContainEqual(
      expect.objectContaining({ code: 'ForeignKey' }),
    );
    const odd = new Map([...files, [path, text.replace('only: true', 'only: false')]]);
    expect(thrownBy(() => renderer.parse(odd)).problems).toContainEqual(
      expect.objectContaining({ code: 'InvalidLinkOnly' }),
    );
  });
});
