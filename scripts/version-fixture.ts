// Makes the fixture of a version: a local home in which that version's own program brought nodes into every state
// that a later version has to take over. fixtures/versions/README.md says when to run it.
//
//   node scripts/version-fixture.ts BUNDLE OUT.tar.gz      BUNDLE: the version's dist/multinic.js

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import { parse, stringify } from 'yaml';

const [bundle = '', out = ''] = process.argv.slice(2).map((path) => resolve(path));
const HOUR = 3_600_000;
/** The fixture's clock begins in the past, so that no machine that runs its tests is behind it. */
let now = Date.parse('2025-01-21T10:32:00Z');

interface Nic {
  macAddress: string;
  address?: string;
  cidr?: string;
  mtu?: number;
  portId?: string;
}
interface Entry {
  attachedNodeId: string;
  attachedNodeName: string;
  interfaces: Nic[];
}
interface Link {
  name: string;
  mac: string;
  up: boolean;
  mtu: number;
  addresses?: string[];
}
interface View {
  node?: string;
  state: string;
  reason?: string;
}

const UBUNTU = 'Ubuntu 22.04.4 LTS';
const ROCKY = 'Rocky Linux 8.9 (Green Obsidian)';
const RHEL = 'Red Hat Enterprise Linux 9.4 (Plow)';

/** Number, name, OS, CR and first NICs of each node. The name tells the node's later state. */
const NODES: readonly (readonly [number, string, string, string, number])[] = [
  [1, 'ubuntu-plain', UBUNTU, 'fleet', 2],
  [2, 'rocky-plain', ROCKY, 'fleet', 2],
  [3, 'rhel-plain', RHEL, 'fleet', 2],
  [4, 'ubuntu-held', UBUNTU, 'fleet', 1],
  [5, 'rocky-held', ROCKY, 'fleet', 1],
  [6, 'rhel-rolled-back', RHEL, 'fleet', 1],
  [7, 'rocky-failed', ROCKY, 'fleet', 1],
  [8, 'ubuntu-missing', UBUNTU, 'fleet', 2],
  [9, 'rhel-cleaned', RHEL, 'fleet', 2],
  [10, 'ubuntu-paused', UBUNTU, 'fleet', 1],
  [11, 'ubuntu-adopted', UBUNTU, 'fleet', 2],
  [12, 'ubuntu-orphan', UBUNTU, 'fleet', 2],
  [13, 'debian-released', 'Debian GNU/Linux 12 (bookworm)', 'fleet', 1],
  [14, 'rocky-rerendered', ROCKY, 'fleet', 1],
  [15, 'rhel-reinstalled', RHEL, 'fleet', 1],
  [16, 'ubuntu-interrupted', UBUNTU, 'fleet', 1],
  [17, 'rocky-diverged', ROCKY, 'fleet', 1],
  [18, 'ubuntu-retired', UBUNTU, 'retired', 1],
  [19, 'rhel-retired', RHEL, 'retired', 1],
  [20, 'ubuntu-lab.lock', UBUNTU, 'lab', 1],
];

const dir = join(await mkdtemp(join(tmpdir(), 'multinic-version-')), 'home');
try {
  await make();
  await describe();
  await pack();
} finally {
  await rm(join(dir, '..'), { recursive: true });
}

async function make(): Promise<void> {
  for (const [n, name, osImage] of NODES) await makeHost(n, name, osImage);
  await save('inventory.yaml', {
    nodes: NODES.map(([n, name, osImage]) => ({ name, systemUUID: id(n), osImage })),
  });
  await makeConfigs();
  await save('tokens.yaml', {
    operator: 'a-token-of-a-fixture-which-opens-nothing',
    nodes: Object.fromEntries(NODES.map(([n, name]) => [name, `a-token-of-a-fixture-for-node-${n}`])),
  });
  await settle();

  await editFleet((entries) => {
    for (const name of ['ubuntu-held', 'rhel-rolled-back']) nics(entries, name).push(nic(number(name), 2));
    nics(entries, 'ubuntu-orphan').pop();
    entries.splice(
      entries.findIndex(({ attachedNodeName }) => attachedNodeName === 'rhel-cleaned'),
      1,
    );
  });
  await editHost('rhel-reinstalled', (host) => {
    host.machineId = 'f'.repeat(32);
    host.bootId = bootId(115);
  });
  await settle();

  await serving(async () => {
    await push('ubuntu-held', ['revert', '--no-edit', 'HEAD']);
    await push('rocky-held', mtu('etc/sysconfig/network-scripts/ifcfg-multinic0', 'MTU=1500', 'MTU=1400'));
    await push('debian-released', mtu('etc/netplan/90-multinic0.yaml', 'mtu: 1500', 'mtu: 1400'));
    await cli('rollback', 'rhel-rolled-back');
    await cli('rerender', 'rocky-rerendered', '--renderer', 'keyfile');
  });
  await serving(() => cli('release', 'debian-released'));

  await editInventory('ubuntu-paused', { paused: true });
  await editFleet((entries) => (nics(entries, 'ubuntu-paused')[0]!.mtu = 1450));
  await settle();

  await editFleet((entries) => nics(entries, 'ubuntu-interrupted').push(nic(16, 2)));
  await settle({ MULTINIC_KILL_AT: 'agent.write.file' });
  await editInventory('ubuntu-interrupted', { paused: true });

  await editText(
    'rocky-diverged',
    'var/lib/multinic/record.json',
    /"commit": "[0-9a-f]{40}"/,
    `"commit": "${'d'.repeat(40)}"`,
  );
  await editText('rocky-diverged', 'etc/sysconfig/network-scripts/ifcfg-multinic0', /MTU=1500/, 'MTU=1480');
  await serving(() => cli('retry', 'rocky-diverged'));

  await rm(join(dir, 'crs/retired.yaml'));
  for (let tries = 0; tries < 12; tries += 1) await settle();
}

// The machines and their wanted networks.

async function makeHost(n: number, name: string, osImage: string): Promise<void> {
  const links: Link[] = [
    { name: 'eth0', mac: primary(n), up: true, mtu: 1500, addresses: [`10.10.0.${n}/24`] },
    { name: 'ens6', mac: mac(n, 1), up: false, mtu: 1500 },
    { name: 'ens7', mac: mac(n, 2), up: false, mtu: 1500 },
  ];
  if (name === 'ubuntu-missing') links.pop();
  if (name === 'ubuntu-adopted') links[1]!.name = 'multinic3';
  await save(`nodes/${name}/root/host.yaml`, {
    osImage,
    machineId: n.toString(16).padStart(32, '8'),
    bootId: bootId(n),
    nodeAddresses: [`10.10.0.${n}`],
    links,
    routes: [{ to: 'default', via: '10.10.0.254', dev: 'eth0' }],
  });
  const adopted = { match: { macaddress: mac(n, 2) }, dhcp4: true, 'set-name': 'ens7' };
  await save(`nodes/${name}/root/etc/netplan/50-cloud-init.yaml`, {
    network: {
      version: 2,
      ethernets: { eth0: { dhcp4: true }, ...(name === 'ubuntu-adopted' && { ens7: adopted }) },
    },
  });
}

async function makeConfigs(): Promise<void> {
  const entries = (config: string): Entry[] =>
    NODES.filter(([, , , of]) => of === config).map(([n, name, , , count]) => ({
      attachedNodeId: id(n),
      attachedNodeName: name,
      interfaces: Array.from({ length: count }, (_, index) => nic(n, index + 1)),
    }));
  const fleet = entries('fleet');
  nics(fleet, 'rocky-failed')[0]!.macAddress = primary(7);
  nics(fleet, 'rhel-plain')[1] = { macAddress: mac(3, 2), cidr: 'fd00:200::3/64' };
  await saveConfig('multinic.okestro.io', 'fleet', fleet);
  await saveConfig('multinic.okestro.io', 'retired', entries('retired'));
  await saveConfig('multinic.io', 'lab', [
    ...entries('lab'),
    { attachedNodeId: 'i-nowhere', attachedNodeName: 'nowhere', interfaces: [nic(30, 1)] },
    { attachedNodeId: 'i-bad', attachedNodeName: 'bad', interfaces: [{ ...nic(31, 1), cidr: '10.0.0.0/8' }] },
  ]);
}

function saveConfig(group: string, name: string, nodeConfigs: Entry[]): Promise<void> {
  const metadata = { name, namespace: 'multinic-system' };
  const spec = {
    providerId: '0c497169-a104-4448-afde-f27b79fca904',
    specHash: `hash-of-${name}-1`,
    nodeConfigs,
  };
  return save(`crs/${name}.yaml`, { apiVersion: `${group}/v1`, kind: 'MultiNicBizConfig', metadata, spec });
}

function nic(n: number, index: number): Nic {
  const address = `192.168.${index}00.${n}`;
  const port = { portId: `port-${n}-${index}` };
  return { ...port, macAddress: mac(n, index), address, cidr: `${address}/24`, mtu: 1500 };
}

function nics(entries: readonly Entry[], name: string): Nic[] {
  return entries.find((entry) => entry.attachedNodeName === name)!.interfaces;
}

function number(name: string): number {
  return NODES.find(([, each]) => each === name)![0];
}

function hex(n: number): string {
  return n.toString(16).padStart(2, '0');
}

function mac(n: number, index: number): string {
  return `02:00:00:00:${hex(n)}:${hex(index)}`;
}

function primary(n: number): string {
  return `fa:16:3e:00:${hex(n)}:00`;
}

function id(n: number): string {
  return `4c4c4544-0043-4a10-8056-b4c04f4e4d${hex(n)}`;
}

function bootId(n: number): string {
  return `3f1c8d52-6a0e-4d3b-9b77-0c5e2a91${n.toString().padStart(4, '0')}`;
}

// Files that people edit.

async function save(path: string, value: unknown): Promise<void> {
  await mkdir(join(dir, path, '..'), { recursive: true });
  await writeFile(join(dir, path), stringify(value), { mode: path === 'tokens.yaml' ? 0o600 : 0o644 });
}

async function editFile<T>(path: string, edit: (value: T) => unknown): Promise<void> {
  const value = parse(await readFile(join(dir, path), 'utf8')) as T;
  edit(value);
  await save(path, value);
}

function editFleet(edit: (entries: Entry[]) => unknown): Promise<void> {
  return editFile<{ spec: { nodeConfigs: Entry[] } }>('crs/fleet.yaml', ({ spec }) => edit(spec.nodeConfigs));
}

function editHost(
  node: string,
  edit: (host: { machineId: string; bootId: string }) => unknown,
): Promise<void> {
  return editFile(`nodes/${node}/root/host.yaml`, edit);
}

function editInventory(node: string, more: object): Promise<void> {
  return editFile<{ nodes: { name: string }[] }>('inventory.yaml', ({ nodes }) =>
    Object.assign(
      nodes.find(({ name }) => name === node)!,
      more,
    ),
  );
}

async function editText(node: string, path: string, from: RegExp, to: string): Promise<void> {
  const file = join(dir, 'nodes', node, 'root', path);
  await writeFile(file, (await readFile(file, 'utf8')).replace(from, to));
}

function mtu(path: string, from: string, to: string) {
  return async (clone: string): Promise<void> => {
    const text = await readFile(join(clone, path), 'utf8');
    await writeFile(join(clone, path), text.replace(from, to));
  };
}

/** A person clones, reverts or edits, commits and pushes. */
async function push(
  node: string,
  act: readonly string[] | ((clone: string) => Promise<void>),
): Promise<void> {
  const clone = await mkdtemp(join(dir, '../clone-'));
  const date = new Date(now).toISOString();
  const git = (...args: string[]) =>
    execa('git', ['-C', clone, '-c', 'user.name=Alice', '-c', 'user.email=alice@example.com', ...args], {
      env: { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date, GIT_CONFIG_GLOBAL: '/dev/null' },
    });
  const { url } = JSON.parse(await readFile(join(dir, 'controller.json'), 'utf8')) as { url: string };
  const branch = `node/${node.replace(/\.lock$/, '.lock_')}`;
  const remote = url.replace('://', '://multinic:a-token-of-a-fixture-which-opens-nothing@');
  await git('clone', '-q', '-b', branch, `${remote}/git`, '.');
  if (typeof act === 'function') {
    await act(clone);
    await git('commit', '-qam', `${node}: another MTU`);
  } else await git(...act);
  await git('push', '-q', 'origin', branch);
  await rm(clone, { recursive: true });
}

// The version's program.

function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  now += HOUR + 60_000;
  const clock = `const real = Date; const ahead = ${now - Date.now()};
    globalThis.Date = class extends real {
      constructor(...args) { if (args.length === 0) super(real.now() + ahead); else super(...args); }
      static now() { return real.now() + ahead; }
    };`;
  const NODE_OPTIONS = `--import data:text/javascript,${encodeURIComponent(clock)}`;
  return { NODE_OPTIONS, NO_COLOR: '1', GIT_CONFIG_GLOBAL: '/dev/null', ...more };
}

/** Sets the clock an hour later, and runs a controller until nothing is left to do. */
async function settle(more?: Readonly<Record<string, string>>): Promise<void> {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [bundle, 'local', dir, '--once'], {
    env: environment(more),
    reject: false,
  });
  if (exitCode !== 0 && exitCode !== 4) throw new Error(`${stdout}\n${stderr}`);
  console.log(stdout);
}

/** Runs a controller one hour later while `act` runs, and then until nothing changes. */
async function serving(act: () => Promise<unknown>): Promise<void> {
  const child = spawn(process.execPath, [bundle, 'local', dir, '--port', '0'], {
    env: { ...process.env, ...environment() },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.stdout.pipe(process.stdout);
  await quiet();
  await act();
  await quiet();
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function quiet(): Promise<void> {
  for (let still = 0; still < 4; still = (await moving()) ? 0 : still + 1) await pause(500);
}

async function moving(): Promise<boolean> {
  const ended = await execa(process.execPath, [bundle, 'status', '-C', dir, '-o', 'json'], { reject: false });
  if (ended.stdout === '') return true;
  const { nodes } = JSON.parse(ended.stdout) as { nodes: View[] };
  return nodes.some(({ state, reason = '' }) => state === 'InProgress' || /^(Queued|Adopt)$/.test(reason));
}

/** A person at the command line. */
async function cli(...args: string[]): Promise<string> {
  const ended = await execa(process.execPath, [bundle, ...args, '-C', dir], {
    cwd: dir,
    env: {
      NO_COLOR: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_COUNT: '2',
      GIT_CONFIG_KEY_0: 'user.name',
      GIT_CONFIG_VALUE_0: 'Alice',
      GIT_CONFIG_KEY_1: 'user.email',
      GIT_CONFIG_VALUE_1: 'alice@example.com',
    },
  });
  return ended.stdout;
}

/** Keeps the answers of the version's own command line about each node. */
async function describe(): Promise<void> {
  const nodes: Record<string, object> = {};
  for (const [, name] of NODES) {
    const [log, show, diff, host] = await Promise.all([
      cli('log', name, '-o', 'json'),
      cli('show', name, '-o', 'json'),
      cli('diff', name),
      cli('diff', name, '--host'),
    ]);
    nodes[name] = { log: JSON.parse(log) as object, show: JSON.parse(show) as object, diff, host };
  }
  await writeFile(join(dir, 'told.json'), `${JSON.stringify({ nodes }, undefined, 1)}\n`);
}

/** The same files give the same bytes. */
async function pack(): Promise<void> {
  await mkdir(join(out, '..'), { recursive: true });
  const plain = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  const kept = ['crs', 'inventory.yaml', 'jobs', 'nodes', 'status', 'store.git', 'told.json', 'tokens.yaml'];
  await execa('tar', ['-C', dir, ...plain, '-I', 'gzip -9n', '-cf', out, ...kept]);
}
