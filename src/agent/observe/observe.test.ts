// An observation of a recorded host, after a run has configured it.
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import {
  fileIdentities,
  Folder,
  hostFiles,
  identity,
  linkOnly,
  machine,
  makeRoot,
  nic,
  NODE,
} from '../../../test/support/agent.ts';
import { alterHost, type Methods } from '../../../test/support/alter-host.ts';
import { MultinicError } from '../../api/errors.ts';
import { oid } from '../../../test/support/oid.ts';
import { AgentJob } from '../../api/job.ts';
import type { Oid } from '../../api/oid.ts';
import { describeDifference, isRepairable } from '../../api/difference-words.ts';
import { DIFFERENCE_KINDS, HostTree, Observation, type Difference } from '../../api/observation.ts';
import type { Outcome } from '../../api/outcome.ts';
import type { Network } from '../../network/interface.ts';
import type { RendererKind } from '../../network/node.ts';
import { managedFiles, renderTree, treeId } from '../../network/tree.ts';
import { openRoot, RECORD } from '../files/managed-files.ts';
import { wantedRouting } from '../host/routing.ts';
import { recordedHost } from '../recorded/recorded-host.ts';
import { run } from '../run/run.ts';
import { observe } from './observe.ts';

const COMMIT = oid('1'.repeat(40));
const OTHER = oid('2'.repeat(40));
const NETWORK: Network = [nic(0), nic(1)];
const FILES: Readonly<Record<RendererKind, readonly [string, string]>> = {
  netplan: ['etc/netplan/90-multinic0.yaml', 'etc/netplan/91-multinic1.yaml'],
  keyfile: [
    'etc/NetworkManager/system-connections/multinic0.nmconnection',
    'etc/NetworkManager/system-connections/multinic1.nmconnection',
  ],
  ifcfg: ['etc/sysconfig/network-scripts/ifcfg-multinic0', 'etc/sysconfig/network-scripts/ifcfg-multinic1'],
};
const [FILE] = FILES.netplan;

let folder: Folder;
let path: string;
let sent: HostTree[];

beforeEach(() => {
  folder = new Folder();
  path = makeRoot(join(folder.path, 'root'), machine(3));
  sent = [];
});
afterEach(() => folder[Symbol.dispose]());

interface Try {
  readonly commit?: Oid;
  readonly network?: Network;
  readonly kind?: RendererKind;
  readonly mode?: AgentJob['apply'];
  readonly host?: Methods;
  readonly checkout?: () => Promise<never>;
  readonly send?: (tree: HostTree) => Promise<void>;
  readonly now?: Date;
  readonly signal?: AbortSignal;
}

async function configure(kind: RendererKind = 'netplan', network = NETWORK): Promise<void> {
  const { result } = await runAgent(null, kind, network);
  expect(result).toMatch(/^(Applied|Pending)$/);
}

/** @param expectedRecord the commit that the host's record has to name */
async function runAgent(
  expectedRecord: Oid | null,
  kind: RendererKind = 'netplan',
  network = NETWORK,
): Promise<Outcome> {
  const root = openRoot(path);
  const tree = renderTree(identity(kind), network);
  const entries = new Map([...tree].map(([file, content]) => [file, { mode: '100644', content }] as const));
  const job = AgentJob.parse({
    version: 1,
    name: 'a-job',
    node: NODE,
    commit: COMMIT,
    expectedRecord,
    url: 'http://127.0.0.1:8080/git',
    tokenFile: 'token',
  });
  return run(
    job,
    { checkout: async () => ({ tip: COMMIT, entries }), probe: async () => {} },
    {
      root,
      host: recordedHost(root),
      log: pino({ level: 'silent' }),
      clock: () => new Date(),
      signal: new AbortController().signal,
    },
  );
}

async function look(options: Try = {}): Promise<Observation> {
  const { commit = COMMIT, network = NETWORK, kind = 'netplan' } = options;
  const root = openRoot(path);
  const observation = await observe(
    {
      node: NODE,
      job: 'multinic-observe-worker-1-20260101000000',
      commit,
      mode: options.mode ?? 'live',
      deadlineSeconds: 120,
      checkout:
        options.checkout ??
        (async () => ({ commit, kind, network, files: managedFiles(renderTree(identity(kind), network)) })),
      send:
        options.send ??
        (async (tree) => {
          sent.push(tree);
        }),
    },
    {
      root,
      host: alterHost(recordedHost(root), options.host ?? {}),
      log: pino({ level: 'silent' }),
      clock: () => options.now ?? new Date(),
      signal: options.signal ?? new AbortController().signal,
    },
  );
  return Observation.parse(JSON.parse(JSON.stringify(observation)));
}

async function words(options: Try = {}): Promise<string[]> {
  const { result, differences } = await look(options);
  expect(result).toBe('Drifted');
  return differences.map(describeDifference);
}

/** The routing of a link in host.yaml. */
interface RecordedRouting {
  rules: string[];
  routes: string[];
  sysctls: Record<string, number>;
}

interface HostYaml {
  links: { name: string; mac: string; addresses: string[]; [key: string]: unknown }[];
  [key: string]: unknown;
}

function editHost(edit: (host: HostYaml) => void): void {
  const file = join(path, 'host.yaml');
  const host = parse(readFileSync(file, 'utf8')) as HostYaml;
  edit(host);
  writeFileSync(file, stringify(host));
}

/** Edits the link of a NIC in host.yaml. */
function editLink(index: number, edit: (link: HostYaml['links'][number]) => void): void {
  editHost((host) => edit(host.links.find(({ mac }) => mac === nic(index).mac)!));
}

/** Puts a link of other software on top of a NIC. */
function standOn(lower: string, name: string): void {
  editHost((host) => (host['uppers'] = [{ name, lower }]));
}

function editFile(file: string, edit: (content: string) => string): void {
  writeFileSync(join(path, file), edit(readFileSync(join(path, file), 'utf8')));
}

describe('a host as its commit has it', () => {
  test.each<RendererKind>(['netplan', 'keyfile', 'ifcfg'])('of %s is Observed', async (kind) => {
    await configure(kind);
    expect(await look({ kind })).toMatchObject({
      version: 1,
      mode: 'observe',
      node: NODE,
      commit: COMMIT,
      result: 'Observed',
      differences: [],
      machineId: machine(0).machineId,
      bootId: machine(0).bootId,
    });
    expect(sent).toEqual([]);
  });

  test('tells the UUID of its firmware', async () => {
    await configure();
    editHost((host) => (host['systemUUID'] = '12345678-0000-0000-0000-000000000001'));
    expect(await look()).toMatchObject({
      result: 'Observed',
      systemUUID: '12345678-0000-0000-0000-000000000001',
    });
  });

  test('stays untouched, drifted or not', async () => {
    await configure();
    const right = [hostFiles(path), fileIdentities(path), readdirSync(path, { recursive: true })];
    await look();
    expect([hostFiles(path), fileIdentities(path), readdirSync(path, { recursive: true })]).toEqual(right);
    editFile(FILE, (content) => content.replace('mtu: 1500', 'mtu: 1400'));
    editLink(1, (link) => (link.addresses = []));
    const drifted = [hostFiles(path), fileIdentities(path), readdirSync(path, { recursive: true })];
    expect((await look()).result).toBe('Drifted');
    expect([hostFiles(path), fileIdentities(path), readdirSync(path, { recursive: true })]).toEqual(drifted);
  });

  test('is Observed with what others add to our NICs', async () => {
    await configure();
    editHost((host) => {
      host.links.find(({ mac }) => mac === nic(0).mac)!.addresses.push('192.168.100.200/32', 'fd00::5/64');
      host['routes'] = [
        ...(host['routes'] as object[]),
        { to: '172.16.0.0/12', via: '192.168.100.1', dev: 'multinic0' },
      ];
      host['uppers'] = [{ name: 'net1', lower: 'multinic0' }];
    });
    expect(await look()).toMatchObject({ result: 'Observed' });
  });

  test('is Observed without a carrier, and without the addresses that go with the carrier', async () => {
    await configure();
    editLink(0, (link) => (link['carrier'] = false));
    expect(await look()).toMatchObject({ result: 'Observed' });
    editLink(0, (link) => (link.addresses = []));
    expect(await look()).toMatchObject({ result: 'Observed' });
    editLink(0, (link) => (link['carrier'] = true));
    expect(await words()).toEqual([`multinic0 (${nic(0).mac}) does not have its address 192.168.100.10/24`]);
  });

  test('is Observed where other software has taken a NIC, with a warning', async () => {
    await configure();
    editLink(0, (link) => Object.assign(link, { master: 'br0', addresses: [], mtu: 1400 }));
    editHost((host) => host.links.push({ name: 'br0', mac: '02:00:00:00:09:09', addresses: [] }));
    expect(await look()).toMatchObject({ result: 'Observed', warnings: ['NicLeft'] });
    rmSync(join(path, FILES.netplan[1]));
    const { differences, warnings } = await look();
    expect(differences.map(describeDifference)).toEqual([`${FILES.netplan[1]} is missing`]);
    expect(warnings).toEqual(['NicLeft']);
  });

  test('is Observed while a pod or a bridge has a link-only NIC, whatever else is changed there', async () => {
    const network = [linkOnly(0), nic(1)];
    await configure('netplan', network);
    editLink(0, (link) => Object.assign(link, { mtu: 1400 }));
    const { differences } = await look({ network });
    expect(differences).toMatchObject([{ kind: 'MtuChanged', mac: nic(0).mac }]);
    editLink(0, (link) => Object.assign(link, { master: 'br0' }));
    const taken = await look({ network });
    expect(taken).toMatchObject({ result: 'Observed' });
    expect(taken).not.toHaveProperty('warnings');
    editLink(0, (link) => delete link['master']);
    standOn('multinic0', 'net1');
    expect(await look({ network })).toMatchObject({ result: 'Observed' });
    editHost((host) => host.links.splice(1, 1));
    expect(await look({ network })).toMatchObject({ result: 'Observed', differences: [] });
    rmSync(join(path, FILE));
    const lost = await look({ network });
    expect(lost.differences.map(describeDifference)).toEqual([`${FILE} is missing`]);
  });

  test('has drifted where its NIC is one that other software stands on, which no run mends', async () => {
    await configure();
    editLink(0, (link) => Object.assign(link, { addresses: [], mtu: 1400 }));
    const alone = await look();
    expect(alone.differences.every(isRepairable)).toBe(true);
    standOn('multinic0', 'net1');
    const { result, differences, warnings, digest } = await look();
    expect({ result, warnings }).toEqual({ result: 'Drifted', warnings: ['NicLeft'] });
    const left = 'the NIC carries net1, so no run touches it';
    expect(differences.map(describeDifference)).toEqual([
      `multinic0 (${nic(0).mac}) has MTU 1400 instead of 1500; ${left}`,
      `multinic0 (${nic(0).mac}) does not have its address 192.168.100.10/24; ${left}`,
    ]);
    expect(differences.map(isRepairable)).toEqual([false, false]);
    expect(digest).not.toBe(alone.digest);
    // The drift stays the same while pods come and go.
    standOn('multinic0', 'net2');
    expect((await look()).digest).toBe(digest);
    editLink(1, (link) => (link['up'] = false));
    expect((await look()).differences.map(isRepairable)).toEqual([false, false, true]);
  });

  test.each([
    ['down', { up: false }, 'LinkDown'],
    ['renamed', { name: 'eth9' }, 'LinkRenamed'],
  ])('has drifted where a NIC under a VLAN is %s', async (_, change, kind) => {
    await configure();
    editLink(0, (link) => Object.assign(link, change));
    const lower = 'name' in change ? change.name : 'multinic0';
    standOn(lower, 'vlan7');
    const { differences } = await look();
    expect(differences).toMatchObject([{ kind, inUse: 'carries vlan7' }]);
  });

  test('is Observed with a warning where cloud-init will rename a NIC', async () => {
    await configure();
    mkdirSync(join(path, 'var/lib/cloud/instance'), { recursive: true });
    writeFileSync(
      join(path, 'var/lib/cloud/instance/network-config.json'),
      JSON.stringify({ version: 1, config: [{ type: 'physical', name: 'ens6', mac_address: nic(0).mac }] }),
    );
    expect(await look()).toMatchObject({ result: 'Observed', warnings: ['CloudInitRenames'] });
  });

  test('is Observed with another comment in a file, because it means the same', async () => {
    await configure();
    editFile(FILE, (content) => `# a remark\n${content}`);
    expect(await look()).toMatchObject({ result: 'Observed' });
  });

  test('is Observed without a NIC that was missing at the run', async () => {
    const network = [...NETWORK, nic(7)];
    await configure('netplan', network);
    expect(await look({ network })).toMatchObject({ result: 'Observed' });
  });

  test('is compared by its files alone with apply: files', async () => {
    await configure();
    editLink(0, (link) => (link['mtu'] = 1400));
    expect(await look({ mode: 'files' })).toMatchObject({ result: 'Observed' });
    rmSync(join(path, FILE));
    expect(await words({ mode: 'files' })).toEqual([`${FILE} is missing`]);
  });
});

describe('a drifted host is told in words', () => {
  const name = `multinic0 (${nic(0).mac})`;

  beforeEach(() => configure());

  test.each<[string, () => void, string]>([
    ['a NIC unplugged', () => editHost((host) => host.links.splice(1, 1)), `${name} is not on the machine`],
    [
      'an address deleted',
      () => editLink(0, (link) => (link.addresses = [])),
      `${name} does not have its address 192.168.100.10/24`,
    ],
    [
      'an MTU changed',
      () => editLink(0, (link) => (link['mtu'] = 1400)),
      `${name} has MTU 1400 instead of 1500`,
    ],
    ['a link set down', () => editLink(0, (link) => (link['up'] = false)), `${name} is down`],
    [
      'a NIC renamed',
      () => editLink(0, (link) => (link.name = 'eth7')),
      `${nic(0).mac} is named eth7 instead of multinic0`,
    ],
    ['a file deleted', () => rmSync(join(path, FILE)), `${FILE} is missing`],
    [
      'a file edited',
      () => editFile(FILE, (content) => content.replace('mtu: 1500', 'mtu: 1400')),
      `${FILE} was changed: mtu 1400 instead of mtu 1500`,
    ],
    [
      'a file with another address',
      () => editFile(FILE, (content) => content.replace('192.168.100.10/24', '192.168.100.11/25')),
      `${FILE} was changed: address 192.168.100.11/25 instead of address 192.168.100.10/24`,
    ],
    [
      'a file with a line more than ours have',
      () =>
        editFile(FILE, (content) =>
          content.replace('      mtu: 1500', '      gateway4: 192.168.100.1\n      mtu: 1500'),
        ),
      `${FILE} was changed: "gateway4: 192.168.100.1" instead of nothing`,
    ],
    [
      'a file emptied',
      () => writeFileSync(join(path, FILE), ''),
      `${FILE} was changed: nothing instead of "# Managed`,
    ],
    [
      'a file of a NIC that the commit does not have',
      () => {
        const content = readFileSync(join(path, FILE), 'utf8');
        const more = content.replaceAll('multinic0', 'multinic5').replaceAll(nic(0).mac, nic(5).mac);
        writeFileSync(join(path, 'etc/netplan/95-multinic5.yaml'), more.replace('100.10', '105.10'));
      },
      'etc/netplan/95-multinic5.yaml is on the host and not in the commit',
    ],
    [
      'a foreign file at a path of ours',
      () => writeFileSync(join(path, 'etc/netplan/95-multinic5.yaml'), 'network: {version: 2}\n'),
      'etc/netplan/95-multinic5.yaml is on the host, and multinic-agent did not write it',
    ],
    [
      'a foreign file that the generator refuses',
      () => writeFileSync(join(path, 'etc/netplan/99-mine.yaml'), 'network: {version: 2, ethernets: [}\n'),
      'at the next boot our files may not count: etc/netplan/99-mine.yaml',
    ],
  ])('%s', async (_, drift, wanted) => {
    drift();
    const [first, ...more] = await words();
    expect(first).toContain(wanted);
    expect(more).toEqual([]);
  });

  test('everything at once, files first', async () => {
    rmSync(join(path, FILE));
    editLink(0, (link) =>
      Object.assign(link, { name: 'eth7', mtu: 1400, up: false, addresses: ['192.168.100.9/24'] }),
    );
    editHost((host) => host.links.splice(2, 1));
    expect((await look()).differences.map(({ kind }) => kind)).toEqual([
      'FileMissing',
      'LinkMissing',
      'LinkRenamed',
      'LinkDown',
      'MtuChanged',
      'AddressMissing',
    ]);
  });

  test('another prefix of our address is an address missing and one too many', async () => {
    editLink(0, (link) => (link.addresses = ['192.168.100.10/16']));
    expect((await look()).differences.map(({ kind }) => kind)).toEqual(['AddressMissing', 'AddressExtra']);
  });
});

describe('a repair', () => {
  beforeEach(() => configure());

  test.each([
    ['emptied', ''],
    ['cut off', 'network:\n  version: 2\n  ethern'],
    ['made another one', 'network: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n'],
  ])(
    'of a file that somebody has %s writes the file again, and keeps a copy of the edit',
    async (_, edit) => {
      const right = readFileSync(join(path, FILE), 'utf8');
      writeFileSync(join(path, FILE), edit);
      expect((await look()).differences).toMatchObject([{ kind: 'FileChanged', path: FILE }]);
      expect(await runAgent(COMMIT)).toMatchObject({ result: 'Applied' });
      expect(readFileSync(join(path, FILE), 'utf8')).toBe(right);
      const copies = readdirSync(join(path, 'etc/netplan/backup'));
      expect(copies.map((each) => readFileSync(join(path, 'etc/netplan/backup', each), 'utf8'))).toEqual([
        edit,
      ]);
      expect((await look()).result).toBe('Observed');
    },
  );

  test('removes a file with the form of ours, and refuses to begin beside a foreign one', async () => {
    const extra = join(path, 'etc/netplan/95-multinic5.yaml');
    const content = readFileSync(join(path, FILE), 'utf8');
    writeFileSync(extra, content.replaceAll('multinic0', 'multinic5').replace('100.10', '105.10'));
    expect((await look()).differences).toMatchObject([{ kind: 'FileExtra' }]);
    expect(await runAgent(COMMIT)).toMatchObject({ result: 'Applied' });
    writeFileSync(extra, 'network: {version: 2}\n');
    expect((await look()).differences).toMatchObject([{ kind: 'FileForeign' }]);
    expect(await runAgent(COMMIT)).toMatchObject({ result: 'Failed', reason: 'ForeignFile' });
    expect(readFileSync(extra, 'utf8')).toBe('network: {version: 2}\n');
  });
});

describe('a drifted host of NetworkManager', () => {
  test.each<RendererKind>(['keyfile', 'ifcfg'])('of %s is told in the same words', async (kind) => {
    await configure(kind);
    const [file, second] = FILES[kind];
    rmSync(join(path, file));
    editFile(second, (content) => content.replace(/mtu=1500/i, (key) => key.replace('1500', '1400')));
    const [first = '', ...more] = await words({ kind });
    expect([first, ...more].sort()).toEqual(
      [`${file} is missing`, `${second} was changed: mtu 1400 instead of mtu 1500`].sort(),
    );
  });

  test('has drifted where another file names its NIC at the next boot', async () => {
    await configure('keyfile');
    const dir = join(path, 'etc/systemd/network');
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, '05-lan.link'), `[Match]\nMACAddress=${nic(0).mac}\n[Link]\nName=lan0\n`);
    expect(await words({ kind: 'keyfile' })).toEqual([
      `at the next boot our files may not count: etc/systemd/network/70-multinic0.link: MACAddress ${nic(0).mac} is already that of etc/systemd/network/05-lan.link in etc/systemd/network/05-lan.link`,
    ]);
  });

  test('has drifted where others may read a file, so that NetworkManager ignores it', async () => {
    await configure('keyfile');
    const [file] = FILES.keyfile;
    chmodSync(join(path, file), 0o644);
    expect(await words({ kind: 'keyfile' })).toEqual([
      `${file} was changed: readable by others instead of readable by root alone`,
    ]);
  });
});

describe('the files of a drifted host', () => {
  beforeEach(() => configure());

  test('go to the store, and make the tree of the host', async () => {
    editFile(FILE, (content) => content.replace('mtu: 1500', 'mtu: 1400'));
    rmSync(join(path, FILES.netplan[1]));
    const { tree, digest } = await look();
    const changed = readFileSync(join(path, FILE), 'utf8');
    expect(sent).toEqual([
      {
        version: 1,
        node: NODE,
        job: 'multinic-observe-worker-1-20260101000000',
        commit: COMMIT,
        digest,
        tree,
        files: { [FILE]: changed, [FILES.netplan[1]]: null },
      },
    ]);
    expect(tree).toBe(treeId(new Map([[FILE, changed]])));
  });

  test('are none where the links alone differ, and the tree is the commit’s', async () => {
    editLink(0, (link) => (link.addresses = []));
    const { tree } = await look();
    expect(sent).toMatchObject([{ files: {} }]);
    expect(tree).toBe(treeId(managedFiles(renderTree(identity('netplan'), NETWORK))));
  });

  test('are missed by nobody if the store does not take them', async () => {
    rmSync(join(path, FILE));
    const observation = await look({
      send: () => Promise.reject(new MultinicError('StoreUnreachable', 'no answer')),
    });
    expect(observation).toMatchObject({ result: 'Drifted', differences: [{ kind: 'FileMissing' }] });
    expect(observation).not.toHaveProperty('tree');
  });

  test('stay on the host if they are too large together', async () => {
    for (const index of [5, 6, 7, 8, 9])
      writeFileSync(join(path, `etc/netplan/9${index}-multinic${index}.yaml`), `#${'x'.repeat(60_000)}\n`);
    const observation = await look();
    expect(sent).toEqual([]);
    expect(observation).toMatchObject({ result: 'Drifted' });
    expect(observation).not.toHaveProperty('tree');
  });
});

describe('the digest', () => {
  beforeEach(() => configure());

  test('is the same for the same drift, and another for another', async () => {
    rmSync(join(path, FILE));
    const first = (await look()).digest;
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect((await look({ now: new Date(Date.now() + 3_600_000) })).digest).toBe(first);
    editLink(0, (link) => (link['mtu'] = 1400));
    const second = (await look()).digest;
    expect(second).not.toBe(first);
    editLink(0, (link) => (link['mtu'] = 1300));
    expect((await look()).digest).not.toBe(second);
  });

  test('differs where a file differs further down than its first changed line', async () => {
    editFile(FILE, (content) => content.replace('mtu: 1500', 'gateway4: 1.2.3.4\n      critical: true'));
    const first = await look();
    editFile(FILE, (content) => content.replace('critical: true', 'critical: false'));
    const second = await look();
    expect(second.differences).toEqual(first.differences);
    expect(second.digest).not.toBe(first.digest);
  });
});

const refused = (): Promise<never> => Promise.reject(new Error('asked'));

describe('an observation is Unclear', () => {
  test('where a run would adopt a name', async () => {
    await configure();
    editLink(0, (link) => (link.name = 'multinic9'));
    expect(await look()).toMatchObject({ result: 'Unclear', reason: 'NamesFound', differences: [] });
  });

  test('where the record names another commit, without asking the store', async () => {
    await configure();
    expect(await look({ commit: OTHER, checkout: refused })).toMatchObject({
      result: 'Unclear',
      reason: 'RecordDiffers',
    });
  });

  test('where the record is gone', async () => {
    await configure();
    rmSync(join(path, RECORD));
    expect(await look()).toMatchObject({ result: 'Unclear', reason: 'RecordDiffers' });
  });

  test('where the disk is new', async () => {
    expect(await look()).toMatchObject({
      result: 'Unclear',
      reason: 'NewMachine',
      message: expect.stringContaining('its disk is new'),
    });
  });

  test('where a NIC that was missing is there', async () => {
    const network = [...NETWORK, nic(7)];
    await configure('netplan', network);
    editHost((host) =>
      host.links.push({ name: 'ens12', mac: nic(7).mac, up: false, mtu: 1500, addresses: [] }),
    );
    expect(await look({ network })).toMatchObject({
      result: 'Unclear',
      reason: 'InterfacesFound',
      message: expect.stringContaining(nic(7).mac),
    });
    rmSync(join(path, FILE));
    expect(await words({ network })).toEqual([`${FILE} is missing`]);
  });

  test('where the record cannot be read', async () => {
    await configure();
    writeFileSync(join(path, RECORD), '{');
    expect(await look()).toMatchObject({ result: 'Unclear', reason: 'RecordUnreadable' });
  });

  test.each([
    ['the store does not answer', new MultinicError('StoreUnreachable', 'no answer'), 'StoreUnreachable'],
    ['a fault of ours', new Error('oh'), 'Internal'],
  ])('where %s', async (_, error, reason) => {
    await configure();
    expect(await look({ checkout: () => Promise.reject(error) })).toMatchObject({
      result: 'Unclear',
      reason,
      step: 'checkout',
      machineId: machine(0).machineId,
    });
  });

  test('where its time is up', async () => {
    await configure();
    const signal = AbortSignal.abort(new MultinicError('DeadlineExceeded', 'late'));
    expect(await look({ signal })).toMatchObject({ result: 'Unclear', reason: 'DeadlineExceeded' });
  });
});

describe('a change under way', () => {
  const STARTED = new Date('2026-01-01T00:00:00Z');
  const after = (seconds: number): Date => new Date(STARTED.getTime() + seconds * 1000);

  /** Writes a change into the record, as a run does. */
  function begin(bootId = machine(0).bootId): void {
    const record = JSON.parse(readFileSync(join(path, RECORD), 'utf8')) as object;
    const pending = {
      bootId,
      startedAt: STARTED.toISOString(),
      reload: false,
      others: [],
      files: [],
      links: { before: [], after: [] },
      machine: { links: [], routes: [] },
      applied: null,
    };
    writeFileSync(join(path, RECORD), JSON.stringify({ ...record, pending }));
  }

  beforeEach(() => configure());

  test('is Busy until the host would have restored itself', async () => {
    begin();
    expect(await look({ now: after(1) })).toMatchObject({ result: 'Busy', differences: [] });
    expect(await look({ now: after(150) })).toMatchObject({ result: 'Busy' });
    expect(await look({ now: after(151) })).toMatchObject({ result: 'Unclear', reason: 'RunInterrupted' });
  });

  test('of an earlier boot was interrupted', async () => {
    begin('another-boot');
    expect(await look({ now: after(1) })).toMatchObject({ result: 'Unclear', reason: 'RunInterrupted' });
  });

  test.each<[string, () => void]>([
    ['that begins meanwhile', () => begin()],
    [
      'that came and went meanwhile',
      () => {
        const file = join(path, RECORD);
        const text = readFileSync(file, 'utf8');
        writeFileSync(`${file}.new`, text);
        renameSync(`${file}.new`, file);
      },
    ],
  ])('%s is Busy', async (_, change) => {
    rmSync(join(path, FILE));
    const host: Methods = {
      machine: {
        state: async () => {
          const state = await recordedHost(openRoot(path)).machine.state();
          change();
          return state;
        },
      },
    };
    expect(await look({ host, now: after(1) })).toMatchObject({ result: 'Busy', differences: [] });
    expect(sent).toEqual([]);
  });
});

describe('the scratch folder', () => {
  beforeEach(async () => {
    await configure();
    mkdirSync(join(path, 'run'));
  });

  test('is in the memory of the host, and goes again', async () => {
    let there: string[] = [];
    const host: Methods = {
      boot: {
        nextBoot: async () => {
          there = readdirSync(join(path, 'run'));
          return [];
        },
      },
    };
    expect(await look({ host })).toMatchObject({ result: 'Observed' });
    expect(there).toEqual([expect.stringMatching(/^multinic-observe-\d+-\d+$/)]);
    expect(readdirSync(join(path, 'run'))).toEqual([]);
  });

  test('of a killed observation goes after an hour', async () => {
    const old = `multinic-observe-${Math.floor(Date.now() / 1000) - 4000}-1`;
    const young = `multinic-observe-${Math.floor(Date.now() / 1000) - 60}-1`;
    for (const each of [old, young, 'multinic-observe-mine']) mkdirSync(join(path, 'run', each));
    await look();
    expect(readdirSync(join(path, 'run')).sort()).toEqual([young, 'multinic-observe-mine'].sort());
    expect(statSync(join(path, 'run', young)).isDirectory()).toBe(true);
  });
});

describe('source routing', () => {
  const network: Network = [nic(0, { sourceRouting: true }), nic(1)];

  test.each<RendererKind>(['netplan', 'keyfile', 'ifcfg'])(
    'of %s, with rules of others, is Observed',
    async (kind) => {
      await configure(kind, network);
      editLink(0, (link) => {
        const routing = link['routing'] as { rules: string[] };
        routing.rules.push('-4 from 10.0.0.0/8 lookup 20000 priority 7');
      });
      expect(await look({ kind, network })).toMatchObject({ result: 'Observed', differences: [] });
    },
  );

  test('drifts where a rule or a route is gone, or a setting differs', async () => {
    await configure('netplan', network);
    editLink(0, (link) => {
      link['routing'] = { rules: [], routes: [], sysctls: { rp_filter: 1, arp_ignore: 1, arp_announce: 2 } };
    });
    expect(await words({ network })).toEqual([
      'multinic0 (02:00:00:00:01:00) lacks the rule `from 192.168.100.10 lookup 20000 priority 20002`',
      'multinic0 (02:00:00:00:01:00) lacks the route `192.168.100.0/24 table 20000 src 192.168.100.10`',
      'multinic0 (02:00:00:00:01:00) has the kernel setting rp_filter 1 instead of rp_filter 2',
    ]);
    const shut = {
      links: { readiness: async () => [{ mac: nic(0).mac, carrier: false, duplicates: [], undecided: [] }] },
    };
    expect((await look({ network, host: shut })).differences.map(({ kind }) => kind)).toEqual([
      'SettingChanged',
    ]);
  });

  test('a file of the kernel’s settings that is gone', async () => {
    await configure('netplan', network);
    rmSync(join(path, 'etc/sysctl.d/90-multinic-multinic0.conf'));
    expect(await words({ network })).toEqual(['etc/sysctl.d/90-multinic-multinic0.conf is missing']);
  });
});

/** The state of the first NIC, as the kernel or NetworkManager say it. */
const said = (more: object): Methods => ({
  machine: {
    state: async (...known) => {
      const state = await recordedHost(openRoot(path)).machine.state(...known);
      const links = state.links.map((link) => (link.mac === nic(0).mac ? { ...link, ...more } : link));
      return { ...state, links };
    },
  },
});

function editRouting(index: number, edit: (routing: RecordedRouting) => void): void {
  editLink(index, (link) =>
    edit((link['routing'] ??= { rules: [], routes: [], sysctls: {} }) as RecordedRouting),
  );
}

function writeNew(place: string, content: string): void {
  mkdirSync(dirname(join(path, place)), { recursive: true });
  writeFileSync(join(path, place), content, { mode: 0o600 });
}

/** Writes the files of a NIC as the agent would. */
function writeFilesOf(name: string, kind: RendererKind, network: Network): void {
  for (const [place, content] of renderTree(identity(kind), network))
    if (place.includes(name)) writeNew(place, content);
}

/** Somebody gives the second NIC source routing, in its files and in the kernel. */
function routeByHand(kind: RendererKind): void {
  const routed = nic(1, { sourceRouting: true });
  writeFilesOf('multinic1', kind, [nic(0, { sourceRouting: true }), routed]);
  const { rules, routes } = wantedRouting(routed);
  editRouting(1, (routing) => {
    routing.rules.push(...rules);
    routing.routes.push(...routes);
  });
}

/** Place of a file for a NIC that the commit does not have. */
const placeOfMore = (kind: RendererKind): string =>
  FILES[kind][1].replace('91-', '95-').replace('multinic1', 'multinic5');

/** A change of the host by somebody else. Settings that a recorded host does not have are those of one look alone. */
const DRIFTS: Record<Difference['kind'], (kind: RendererKind) => Methods | void> = {
  FileChanged: (kind) => editFile(FILES[kind][1], (text) => text.replace(/(mtu[:=] *)1500/i, '$11400')),
  FileMissing: (kind) => rmSync(join(path, FILES[kind][0])),
  FileExtra: (kind) => writeFilesOf('multinic5', kind, [nic(0), nic(1), nic(5)]),
  FileForeign: (kind) => writeNew(placeOfMore(kind), 'somebody=else\n'),
  LinkMissing: () => editHost(({ links }) => links.splice(1, 1)),
  LinkRenamed: () => editLink(0, (link) => (link.name = 'eth7')),
  LinkDown: () => editLink(0, (link) => (link['up'] = false)),
  MtuChanged: () => editLink(0, (link) => (link['mtu'] = 1400)),
  AddressMissing: () => editLink(1, (link) => (link.addresses = [])),
  AddressExtra: () => editLink(1, (link) => link.addresses.push('192.168.101.10/16')),
  MetricChanged: () => editLink(0, (link) => delete link['yields']),
  RouterAdvertisements: () => said({ ipv6: { acceptRa: 1, addrGenMode: 1 } }),
  NetworkManagerManages: () => said({ networkManager: true }),
  RuleMissing: () => editRouting(0, (routing) => (routing.rules = [])),
  RuleExtra: routeByHand,
  RouteMissing: () => editRouting(0, (routing) => (routing.routes = [])),
  RouteExtra: routeByHand,
  SettingChanged: () => editRouting(0, ({ sysctls }) => (sysctls['rp_filter'] = 1)),
  NextBoot: (kind) => {
    if (kind === 'netplan') writeNew('etc/netplan/99-mine.yaml', 'network: {version: 2, ethernets: [}\n');
    else
      writeNew('etc/systemd/network/05-lan.link', `[Match]\nMACAddress=${nic(0).mac}\n[Link]\nName=lan0\n`);
  },
};

/** Ends of a run after a drift, and of the look after the run, where they are not Applied and Observed. */
const ENDS: Partial<Record<Difference['kind'], readonly [run: string, look: string]>> = {
  FileForeign: ['Failed', 'Drifted'],
  LinkMissing: ['Pending', 'Observed'],
  NextBoot: ['Applied', 'Drifted'],
};

describe.each<RendererKind>(['netplan', 'keyfile', 'ifcfg'])('a host of %s', (kind) => {
  const network: Network = [nic(0, { sourceRouting: true }), nic(1)];
  const kinds = DIFFERENCE_KINDS.filter((what) => kind === 'netplan' || what !== 'NetworkManagerManages');

  test.each(kinds)('has drifted: %s. A run puts that right if a run can', async (what) => {
    await configure(kind, network);
    expect(await look({ kind, network })).toMatchObject({ result: 'Observed', differences: [] });
    const host = DRIFTS[what](kind) ?? {};
    const { result, differences } = await look({ kind, network, host });
    expect(result).toBe('Drifted');
    expect(differences.map((each) => each.kind)).toContain(what);
    const ended = await runAgent(COMMIT, kind, network);
    const after = await look({ kind, network });
    expect([ended.result, after.result]).toEqual(ENDS[what] ?? ['Applied', 'Observed']);
  });
});

test.each<RendererKind>(['keyfile', 'ifcfg'])('NetworkManager may manage a NIC of %s', async (kind) => {
  await configure(kind);
  expect(await look({ kind, host: said({ networkManager: true }) })).toMatchObject({ result: 'Observed' });
});
