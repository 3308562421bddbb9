// A machine's disk: a layer of its own over its kind's root file system, with what an installer leaves there.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from './command.ts';
import type { Manager, Rootfs } from './rootfs.ts';
import { uuidOf } from './uuid.ts';

export interface DiskOptions {
  readonly name: string;
  readonly systemUUID: string;
  /** MAC and address of the primary NIC, on the primary network. */
  readonly mac: string;
  readonly address: string;
  readonly gateway: string;
  /** The primary NIC asks a DHCP server. */
  readonly dhcp?: boolean;
  /** Further files: path to content. */
  readonly files?: Readonly<Record<string, string>>;
}

/** @returns the root, as a mounted file system below `dir` */
export async function makeDisk(dir: string, rootfs: Rootfs, options: DiskOptions): Promise<string> {
  const { name, systemUUID, mac, address, gateway, dhcp = false, files } = options;
  const [upper, work, root] = ['upper', 'work', 'root'].map((layer) => join(dir, layer)) as [
    string,
    string,
    string,
  ];
  for (const layer of [upper, work, root]) await mkdir(layer, { recursive: true, mode: 0o755 });
  const layers = `lowerdir=${rootfs.dir},upperdir=${upper},workdir=${work}`;
  await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, root]);

  const [path, primary] = (dhcp ? DHCP_FILE : PRIMARY_FILE)[rootfs.manager];
  await writeOnDisk(root, '/etc/hostname', `${name}\n`);
  await writeOnDisk(root, '/etc/hosts', `127.0.0.1 localhost\n::1 localhost\n${address} ${name}\n`);
  await writeOnDisk(root, '/etc/machine-id', `${systemUUID.replaceAll('-', '')}\n`, 0o444);
  await writeOnDisk(root, path, primary(mac, `${address}/24`, gateway), 0o600);
  for (const [path, content] of Object.entries({ ...files })) await writeOnDisk(root, path, content);
  return root;
}

export async function writeOnDisk(
  root: string,
  path: string,
  content: string | Uint8Array,
  mode = 0o644,
): Promise<void> {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content, { mode });
}

type PrimaryFile = readonly [
  path: string,
  content: (mac: string, address: string, gateway: string) => string,
];

/** Configuration of the primary NIC for the boot, as an installer writes it. */
const PRIMARY_FILE: Readonly<Record<Manager, PrimaryFile>> = {
  netplan: [
    '/etc/netplan/50-cloud-init.yaml',
    (mac, address, gateway) => `network:
  version: 2
  ethernets:
    eth0:
      match: {macaddress: "${mac}"}
      set-name: eth0
      addresses: [${address}]
      routes: [{to: 0.0.0.0/0, via: ${gateway}}]
`,
  ],
  networkmanager: [
    '/etc/NetworkManager/system-connections/eth0.nmconnection',
    (mac, address, gateway) => `[connection]
id=eth0
uuid=${uuidOf(mac)}
type=ethernet

[ethernet]
mac-address=${mac}

[ipv4]
method=manual
address1=${address},${gateway}
`,
  ],
  'networkmanager-ifcfg': [
    '/etc/sysconfig/network-scripts/ifcfg-eth0',
    (mac, address, gateway) => `TYPE=Ethernet
DEVICE=eth0
HWADDR=${mac}
ONBOOT=yes
BOOTPROTO=none
IPADDR=${address.split('/')[0]}
PREFIX=${address.split('/')[1]}
GATEWAY=${gateway}
`,
  ],
};

/** The same for a primary NIC that asks a DHCP server. */
const DHCP_FILE: typeof PRIMARY_FILE = {
  netplan: [
    PRIMARY_FILE.netplan[0],
    (mac) => `network:
  version: 2
  ethernets:
    eth0:
      match: {macaddress: "${mac}"}
      set-name: eth0
      dhcp4: true
`,
  ],
  networkmanager: [
    PRIMARY_FILE.networkmanager[0],
    (mac) => `[connection]
id=eth0
uuid=${uuidOf(mac)}
type=ethernet

[ethernet]
mac-address=${mac}

[ipv4]
method=auto
`,
  ],
  'networkmanager-ifcfg': [
    PRIMARY_FILE['networkmanager-ifcfg'][0],
    (mac) => `TYPE=Ethernet
DEVICE=eth0
HWADDR=${mac}
ONBOOT=yes
BOOTPROTO=dhcp
`,
  ],
};
