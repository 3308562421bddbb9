// A home of thirty nodes in every state, for a look at the web UI.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

export const DEMO_NODES = 30;
/** Arguments of `multinic local`: drift is only reported, and failures stop no change. */
export const DEMO_ARGS = ['--drift', 'report', '--stop-after', '20', '--jobs', '6'];

const SYSTEMS = [
  'Ubuntu 22.04.4 LTS',
  'Rocky Linux 8.9 (Green Obsidian)',
  'Red Hat Enterprise Linux 9.4 (Plow)',
];
/** The entry of this number has no machine. */
const NOBODY = 999;
/** Nodes, by the state that the demo brings them to. */
export const FATES = {
  missing: [4, 5],
  foreign: [9],
  inUse: [13],
  invalid: [17],
  paused: [21, 22],
  drifted: [25, 26, 27],
  held: [29],
} as const;

const pad = (number: number): string => String(number).padStart(2, '0');
export const demoNode = (number: number): string => `edge-worker-${pad(number)}`;
const idOf = (number: number): string => `i-0f00dbabe0000${pad(number)}`;
/** The middle of a MAC. */
const placeOf = (number: number): string => `${pad(Math.floor(number / 100))}:${pad(number % 100)}`;
const macOf = (number: number, nic: number): string => `02:00:00:${placeOf(number)}:0${nic}`;
const primaryMac = (number: number): string => `fa:16:3e:${placeOf(number)}:00`;

/** Writes the folder, without any history. @param count at most 240: each has an address of one /24 */
export async function makeDemoHome(dir: string, count = DEMO_NODES): Promise<void> {
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  await mkdir(join(dir, 'crs'), { recursive: true });
  const nodes = numbers.map((number) => ({
    name: demoNode(number),
    systemUUID: idOf(number),
    osImage: SYSTEMS[number % 3],
    ...(isOf('paused', number) && { paused: true }),
  }));
  await writeFile(join(dir, 'inventory.yaml'), stringify({ nodes }));
  for (const number of numbers) {
    const root = join(dir, 'nodes', demoNode(number), 'root');
    await mkdir(root, { recursive: true });
    await writeFile(join(root, 'host.yaml'), stringify(hostOf(number)));
  }
  await writeFile(join(dir, 'crs/edge-network.yaml'), stringify(configOf(numbers)));
}

function isOf(fate: keyof typeof FATES, number: number): boolean {
  return (FATES[fate] as readonly number[]).includes(number);
}

function hostOf(number: number): object {
  const nics = isOf('missing', number) ? [1] : [1, 2];
  return {
    osImage: SYSTEMS[number % 3],
    machineId: `8b3c1f0e5d9a4c7b92e61a0f3d7c${String(number).padStart(4, '0')}`,
    bootId: `3f1c8d52-6a0e-4d3b-9b77-0c5e2a91${String(number).padStart(4, '0')}`,
    nodeAddresses: [`10.10.0.${number + 10}`],
    links: [
      {
        name: 'eth0',
        mac: primaryMac(number),
        up: true,
        mtu: 1500,
        addresses: [`10.10.0.${number + 10}/24`],
      },
      ...nics.map((nic) => ({ name: `ens${nic + 5}`, mac: macOf(number, nic), up: false, mtu: 1500 })),
    ],
    routes: [{ to: 'default', via: '10.10.0.1', dev: 'eth0' }],
  };
}

function configOf(numbers: readonly number[]): object {
  return {
    apiVersion: 'multinic.okestro.io/v1',
    kind: 'MultiNicBizConfig',
    metadata: { name: 'edge-network', namespace: 'multinic-system' },
    spec: {
      nodeConfigs: [
        ...numbers.map((number) => ({
          attachedNodeId: idOf(number),
          attachedNodeName: demoNode(number),
          interfaces: [1, 2].map((nic) => ({
            portId: `port-${pad(number)}-${nic}`,
            macAddress: isOf('inUse', number) && nic === 2 ? primaryMac(number) : macOf(number, nic),
            address:
              isOf('invalid', number) && nic === 2 ? '192.168.2000.1' : `192.168.${nic}00.${number + 10}`,
            cidr: `192.168.${nic}00.${number + 10}/24`,
            mtu: 1500,
          })),
        })),
        {
          attachedNodeId: idOf(NOBODY),
          attachedNodeName: demoNode(NOBODY),
          interfaces: [
            {
              macAddress: macOf(NOBODY, 1),
              address: '192.168.100.254',
              cidr: '192.168.100.254/24',
              mtu: 1500,
            },
          ],
        },
      ],
    },
  };
}

/** Gives nodes another MTU in the CR: a second commit of main. */
export async function changeDemoConfig(dir: string, mtu: number, count: number): Promise<void> {
  const file = join(dir, 'crs/edge-network.yaml');
  const config = parse(await readFile(file, 'utf8')) as {
    spec: { nodeConfigs: { interfaces: { mtu: number }[] }[] };
  };
  for (const { interfaces } of config.spec.nodeConfigs.slice(0, count)) interfaces[0]!.mtu = mtu;
  await writeFile(file, stringify(config));
}

/** Edits a managed file on some hosts, as somebody might by hand. */
export async function driftDemoHosts(
  dir: string,
  drifted: readonly number[] = FATES.drifted,
  mtu = 1400,
): Promise<void> {
  for (const number of drifted) {
    const root = join(dir, 'nodes', demoNode(number), 'root');
    const files = (await readdir(join(root, 'etc'), { recursive: true })).filter((path) =>
      /multinic0(\.yaml|\.nmconnection)?$/.test(path),
    );
    for (const path of files) {
      const file = join(root, 'etc', path);
      const text = await readFile(file, 'utf8');
      await writeFile(file, text.replaceAll(/(mtu[:=] ?)\d+/gi, `$1${mtu}`));
    }
  }
}
