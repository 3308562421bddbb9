import type { Oid } from '../../api/oid.ts';
import { oid } from '../../../test/support/oid.ts';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
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
import { AgentJob } from '../../api/job.ts';
import { Outcome } from '../../api/outcome.ts';
import type { Interface, Network } from '../../network/interface.ts';
import type { RendererKind } from '../../network/node.ts';
import { managedFiles, renderTree, treeId } from '../../network/tree.ts';
import type { Pending } from '../files/host-record.ts';
import { fromCommands, type ForeignState } from '../host/foreign-state.ts';
import type { Host } from '../host/host.ts';
import type { ClaimedAddress, HostState, Link, LinkGroup, Destinations } from '../host/machine.ts';
import { isConnectedInMain, wantedRouting, type KnownRouting, type LinkRouting } from '../host/routing.ts';
import { openRoot, RECORD, RESTORE_SCRIPT } from '../files/managed-files.ts';
import { recordedHost } from '../recorded/recorded-host.ts';
import { Root } from '../files/root.ts';
import { cleanUp, run, type Branch, type Dependencies } from './run.ts';
import { STEPS, type Step } from './steps.ts';
import { readReason } from '../../api/reasons/reasons.ts';
import { mac } from '../../../test/support/mac.ts';

const FIRST = oid('1'.repeat(40));
const SECOND = oid('2'.repeat(40));
const OLD: Network = [nic(0), nic(1), nic(2)];
/** A new MTU, a removal, a new address, a new NIC. */
const NEW: Network = [nic(0, { mtu: 1400 }), nic(2, { address: '192.168.102.11' }), nic(3)];

/** The helper of initscripts that names NICs at boot by their ifcfg files. */
const NAMED_BY_IFCFG = {
  'usr/lib/udev/rules.d/60-net.rules':
    'ACTION=="add", SUBSYSTEM=="net", PROGRAM="/lib/udev/rename_device", RESULT=="?*", NAME="$result"\n',
};

let folder: Folder;
let root: string;

beforeEach(() => {
  folder = new Folder();
  root = makeRoot(join(folder.path, 'root'), machine(4));
});
afterEach(() => folder[Symbol.dispose]());

interface Try {
  readonly commit?: Oid;
  readonly network?: Network;
  readonly kind?: RendererKind;
  readonly expectedRecord?: Oid | null;
  readonly apply?: AgentJob['apply'];
  readonly probes?: string[];
  readonly leaveOut?: string[];
  readonly url?: string;
  readonly peers?: string[];
  readonly host?: (host: Host) => Host;
  readonly rootClass?: typeof Root;
  readonly branch?: Partial<Branch>;
  readonly entered?: (step: Step) => void;
  readonly signal?: AbortSignal;
}

function dependencies(options: Try): Dependencies {
  const real = openRoot(root);
  const host = recordedHost(real);
  return {
    root: options.rootClass === undefined ? real : new options.rootClass(root, () => true),
    host: options.host?.(host) ?? host,
    log: pino({ level: 'silent' }),
    clock: () => new Date(),
    signal: options.signal ?? new AbortController().signal,
    ...(options.entered && { entered: options.entered }),
  };
}

async function apply(options: Try = {}): Promise<Outcome> {
  const { commit = FIRST, network = OLD, kind = 'netplan' } = options;
  const tree = renderTree(identity(kind), network);
  const branch: Branch = {
    checkout: async () => ({
      tip: commit,
      entries: new Map([...tree].map(([path, content]) => [path, { mode: '100644', content }])),
    }),
    probe: async () => {},
    ...options.branch,
  };
  const job = AgentJob.parse({
    version: 1,
    name: 'a-job',
    node: NODE,
    commit,
    expectedRecord: options.expectedRecord ?? null,
    url: options.url ?? 'http://127.0.0.1:8080/git',
    tokenFile: 'token',
    apply: options.apply ?? 'live',
    ...(options.probes && { probes: options.probes }),
    ...(options.leaveOut && { leaveOut: options.leaveOut }),
    ...(options.peers && { peers: options.peers }),
  });
  return Outcome.parse(await run(job, branch, dependencies(options)));
}

/** From the old network, applied, to the new one. */
const advance = (options: Try = {}): Promise<Outcome> =>
  apply({ commit: SECOND, network: NEW, expectedRecord: FIRST, ...options });

const state = (): HostState => parse(readFileSync(join(root, 'host.yaml'), 'utf8')) as HostState;
const link = (mac: string): HostState['links'][number] | undefined =>
  state().links.find((each) => each.mac === mac);
const record = (): { applied: { commit: string } | null; pending: object | null } =>
  JSON.parse(readFileSync(join(root, RECORD), 'utf8')) as ReturnType<typeof record>;
interface RecordedMachine extends HostState {
  readonly links: (Omit<Link, 'addresses'> & { addresses: string[]; name: string; carrier?: boolean })[];
  neighbours?: { address: string; mac: string }[];
}
const change = (edit: (host: RecordedMachine) => void): void => {
  const host = state() as Parameters<typeof edit>[0];
  edit(host);
  writeFileSync(join(root, 'host.yaml'), stringify(host));
};

/** A network of a link-only NIC and another NIC. */
const withLinkOnly = (mtu = 1500): Network => [linkOnly(0, { mtu }), nic(1)];

function claimOf({ mac, address, prefix }: Interface): ClaimedAddress {
  return { mac, address: `${address}/${prefix}` };
}

/** A host of which one method does something else. */
function altered(methods: (host: Host) => Methods): (host: Host) => Host {
  return (host) => alterHost(host, methods(host));
}

const fault = (): never => {
  throw new MultinicError(readReason('Fault'), 'a fault; retry');
};

describe('success', () => {
  test('the addresses that come are announced on the changed host, and no others', async () => {
    const told: { claims: readonly ClaimedAddress[]; link: object | undefined }[] = [];
    const host = altered(() => ({
      neighbours: {
        announce: async (claims: readonly ClaimedAddress[]) =>
          void told.push({ claims, link: link(nic(3).mac) }),
      },
    }));
    expect((await apply({ host })).result).toBe('Applied');
    expect(told.map(({ claims }) => claims)).toEqual([OLD.map(claimOf)]);
    // NIC 0 keeps its address in the new network.
    expect((await advance({ host })).result).toBe('Applied');
    expect(told[1]).toEqual({
      claims: [nic(2, { address: '192.168.102.11' }), nic(3)].map(claimOf),
      link: expect.objectContaining({ name: 'multinic3', up: true, addresses: ['192.168.103.10/24'] }),
    });
    // A run that changes nothing, and a change that is undone, announce nothing.
    expect((await apply({ commit: SECOND, network: NEW, expectedRecord: SECOND, host })).result).toBe(
      'Applied',
    );
    const probe = { probe: async () => fault() };
    expect((await apply({ network: OLD, expectedRecord: SECOND, host, branch: probe })).result).toBe(
      'Failed',
    );
    expect(told).toHaveLength(2);
  });

  test.each(['netplan', 'ifcfg', 'keyfile'] as const)(
    '%s: files and links become the commit’s',
    async (kind) => {
      const outcome = await apply({ kind });
      expect(outcome).toMatchObject({ result: 'Applied', step: 'report', missing: [], removed: [] });
      expect(outcome.tree).toBe(treeId(managedFiles(renderTree(identity(kind), OLD))));
      expect(link(nic(1).mac)).toEqual({
        name: 'multinic1',
        mac: nic(1).mac,
        up: true,
        mtu: 1500,
        addresses: ['192.168.101.10/24'],
      });
      expect((await advance({ kind })).result).toBe('Applied');
      expect(Object.keys(hostFiles(root)).filter((path) => path.includes('multinic1'))).toEqual([]);
      expect(link(nic(0).mac)?.mtu).toBe(1400);
      expect(link(nic(1).mac)).toMatchObject({ name: 'ens6', up: false, addresses: [] });
      expect(link(nic(2).mac)?.addresses).toEqual(['192.168.102.11/24']);
    },
  );

  test('a second run writes nothing and reports the same', async () => {
    const first = await apply();
    const before = fileIdentities(root);
    const second = await apply({ expectedRecord: FIRST });
    expect(second).toMatchObject({ result: 'Applied', tree: first.tree, written: [], removed: [] });
    expect(withoutLock(fileIdentities(root))).toEqual(withoutLock(before));
  });

  test('taking multinic1 away touches its file alone', async () => {
    await apply();
    const before = fileIdentities(root);
    const outcome = await apply({ commit: SECOND, network: [nic(0), nic(2)], expectedRecord: FIRST });
    expect(outcome).toMatchObject({ written: [], removed: ['etc/netplan/91-multinic1.yaml'] });
    const after = fileIdentities(root);
    for (const path of ['etc/netplan/90-multinic0.yaml', 'etc/netplan/92-multinic2.yaml']) {
      expect(after[path]).toBe(before[path]);
    }
    expect(Object.keys(after).filter((path) => path.includes('backup/'))).toEqual([
      expect.stringMatching(/^etc\/netplan\/backup\/91-multinic1\.yaml\.\d{8}T\d{6}Z$/),
    ]);
  });

  test('missing NICs: the others are applied, nothing is written for them, and their old file goes', async () => {
    await apply();
    change((host) => host.links.splice(2, 1));
    const outcome = await apply({ expectedRecord: FIRST });
    expect(outcome).toMatchObject({
      result: 'Pending',
      reason: 'InterfacesMissing',
      missing: [nic(1).mac],
      removed: ['etc/netplan/91-multinic1.yaml'],
    });
    expect(outcome.tree).toBe(treeId(managedFiles(renderTree(identity('netplan'), [nic(0), nic(2)]))));
    change((host) => host.links.push({ ...machine(2).links[2]!, name: 'ens6' } as never));
    expect((await apply({ expectedRecord: FIRST })).result).toBe('Applied');
  });

  test.each(['netplan', 'ifcfg', 'keyfile'] as const)(
    '%s: a NIC that is left out loses our address and file, the others are applied; the next run configures it',
    async (kind) => {
      await apply({ kind });
      const { mac, address } = nic(2, { address: '192.168.102.11' });
      const outcome = await advance({ kind, leaveOut: [mac] });
      expect(outcome).toMatchObject({
        result: 'Pending',
        reason: 'AddressFreed',
        leftOut: [mac],
        missing: [],
      });
      expect(outcome.message).toContain(`multinic2 (${mac}) with ${address}`);
      expect(outcome.tree).toBe(
        treeId(managedFiles(renderTree(identity(kind), [nic(0, { mtu: 1400 }), nic(3)]))),
      );
      expect(link(mac)).toMatchObject({ addresses: [], up: false });
      expect(link(nic(0).mac)).toMatchObject({ mtu: 1400, addresses: ['192.168.100.10/24'] });
      expect(link(nic(3).mac)?.addresses).toEqual(['192.168.103.10/24']);
      const whole = await apply({ kind, commit: SECOND, network: NEW, expectedRecord: SECOND });
      expect(whole).toMatchObject({
        result: 'Applied',
        tree: treeId(managedFiles(renderTree(identity(kind), NEW))),
      });
      expect(link(mac)).toMatchObject({ name: 'multinic2', up: true, addresses: ['192.168.102.11/24'] });
      await cleanUp(dependencies({}), 60);
      expect(link(mac)).toMatchObject({ name: 'ens7', up: false, addresses: [] });
    },
  );

  test('a NIC that is left out and missing, and one that the commit does not have', async () => {
    change((host) => host.links.splice(2, 1));
    const outcome = await apply({ leaveOut: [nic(1).mac, nic(9).mac] });
    expect(outcome).toMatchObject({
      result: 'Pending',
      reason: 'AddressFreed',
      leftOut: [nic(1).mac],
      missing: [],
    });
    expect((await apply({ expectedRecord: FIRST })).missing).toEqual([nic(1).mac]);
  });

  test('names and addresses change places', async () => {
    await apply();
    const swapped = [nic(0, { mac: nic(1).mac }), nic(1, { mac: nic(0).mac }), nic(2)];
    expect((await apply({ commit: SECOND, network: swapped, expectedRecord: FIRST })).result).toBe('Applied');
    expect(link(nic(1).mac)).toMatchObject({ name: 'multinic0', addresses: ['192.168.100.10/24'] });
    expect(link(nic(0).mac)).toMatchObject({ name: 'multinic1', addresses: ['192.168.101.10/24'] });
  });

  test('a rebooted machine gets its names and addresses back, and no file is written', async () => {
    await apply();
    change((host) => Object.assign(host, { bootId: 'another', links: machine(4).links }));
    expect(await apply({ expectedRecord: FIRST })).toMatchObject({
      result: 'Applied',
      bootId: 'another',
      written: [],
    });
    expect(link(nic(0).mac)).toMatchObject({ name: 'multinic0', addresses: ['192.168.100.10/24'] });
  });

  test('a keyfile that NetworkManager would ignore for its mode is mended', async () => {
    await apply({ kind: 'keyfile' });
    const before = hostFiles(root);
    const path = 'etc/NetworkManager/system-connections/multinic0.nmconnection';
    chmodSync(join(root, path), 0o644);
    const outcome = await apply({ kind: 'keyfile', expectedRecord: FIRST });
    expect(outcome).toMatchObject({ result: 'Applied', written: [path] });
    expect(hostFiles(root)).toEqual(before);
  });

  test('a new name in mode files is no name to take over, neither at the next run nor when it is given', async () => {
    await apply({ network: [nic(0)] });
    const next = { commit: SECOND, network: [nic(0, { name: 'multinic5' })], expectedRecord: FIRST };
    expect((await apply({ ...next, apply: 'files' })).result).toBe('Applied');
    const again = { ...next, expectedRecord: SECOND };
    for (const mode of ['files', 'files', 'live'] as const) {
      expect(await apply({ ...again, apply: mode })).toMatchObject({ result: 'Applied', found: [] });
    }
    expect(link(nic(0).mac)?.name).toBe('multinic5');
  });

  test('a NIC that got its new name by a boot after mode files gets its old one back when it leaves', async () => {
    await apply({ network: [nic(0)] });
    const next = { commit: SECOND, network: [nic(0, { name: 'multinic5' })], expectedRecord: FIRST };
    await apply({ ...next, apply: 'files' });
    change((host) => Object.assign(host.links[1]!, { name: 'multinic5' }));
    expect((await apply({ commit: oid('3'.repeat(40)), network: [], expectedRecord: SECOND })).result).toBe(
      'Applied',
    );
    expect(link(nic(0).mac)?.name).toBe('ens5');
  });

  test('apply: files touches no link; full lets the OS act on all files', async () => {
    const before = state().links;
    expect((await apply({ apply: 'files' })).result).toBe('Applied');
    expect(state().links).toEqual(before);
    expect((await advance({ apply: 'full' })).result).toBe('Applied');
    expect(link(nic(3).mac)).toMatchObject({ name: 'multinic3', up: true });
  });

  test('apply: files asks no port of a NIC that it does not bring up for a carrier', async () => {
    change((host) => (host.links[1]!.carrier = false));
    expect((await apply({ apply: 'files' })).result).toBe('Applied');
  });

  test('what somebody has written since is a warning where there is nothing to change', async () => {
    await apply({ kind: 'keyfile' });
    writeFileSync(
      join(root, 'etc/systemd/network/05-foo.link'),
      `[Match]\nMACAddress=${nic(0).mac}\n[Link]\nName=foo0\n`,
    );
    const outcome = await apply({ kind: 'keyfile', expectedRecord: FIRST });
    expect(outcome).toMatchObject({ result: 'Applied', written: [], warnings: ['ValidationFailed'] });
    expect(outcome.message).toContain('05-foo.link');
  });

  test('a VLAN that somebody has made of a NIC is in the way of what changes that NIC alone', async () => {
    await apply();
    change((host) => {
      host.links.push({ ...host.links[1]!, name: 'multinic0.100', addresses: [] });
      Object.assign(host, { uppers: [{ name: 'multinic0.100', lower: 'multinic0' }] });
    });
    expect((await apply({ expectedRecord: FIRST })).result).toBe('Applied');
    expect(await advance({ network: [...OLD, nic(3)] })).toMatchObject({ result: 'Applied' });
    expect(await apply({ network: NEW, expectedRecord: SECOND })).toMatchObject({
      reason: 'NicInUse',
      message: expect.stringContaining('carries multinic0.100'),
    });
  });

  test('a link-local address that the host has from an earlier version stays', async () => {
    const stored = nic(0, { address: '169.254.7.10' });
    makeRoot(root, machine(4), Object.fromEntries(managedFiles(renderTree(identity('netplan'), [stored]))));
    const outcome = await apply({ network: [{ ...stored, mtu: 1400 }] });
    expect(outcome).toMatchObject({ result: 'Applied' });
    expect(link(nic(0).mac)?.addresses).toEqual(['169.254.7.10/24']);
  });

  test('warns where cloud-init will rename a NIC at the next boot', async () => {
    mkdirSync(join(root, 'etc/cloud/cloud.cfg.d'), { recursive: true });
    const settings = join(root, 'etc/cloud/cloud.cfg.d/50-net.cfg');
    const ethernets = { id0: { match: { macaddress: nic(1).mac }, 'set-name': 'ens6' } };
    writeFileSync(settings, stringify({ network: { version: 2, ethernets } }));
    expect(await apply()).toMatchObject({
      result: 'Applied',
      warnings: ['CloudInitRenames'],
      message: expect.stringContaining(
        `multinic1 (${nic(1).mac}) ens6 by etc/cloud/cloud.cfg.d/50-net.cfg; write \`network: {config: disabled}\``,
      ),
    });
    writeFileSync(settings, stringify({ network: { config: 'disabled' } }));
    expect(await apply({ expectedRecord: FIRST })).not.toHaveProperty('warnings');
  });

  describe('a link-only NIC', () => {
    const FILE = 'etc/netplan/90-multinic0.yaml';
    const network = withLinkOnly;
    const again = (changes: Try = {}): Promise<Outcome> =>
      apply({ network: network(), expectedRecord: FIRST, ...changes });
    /** A file's content on the host. */
    const file = (): string => readFileSync(join(root, FILE), 'utf8');

    test.each(['netplan', 'keyfile', 'ifcfg'] as const)(
      '%s: has a name, an MTU and no address, before and after it had one',
      async (kind) => {
        makeRoot(root, machine(4), kind === 'ifcfg' ? NAMED_BY_IFCFG : {});
        const bare = { kind, network: [linkOnly(0, { mtu: 1400 })] };
        for (const [at, next] of [bare, { kind, network: [nic(0)] }, bare].entries()) {
          const outcome = await apply({ ...next, expectedRecord: at === 0 ? null : FIRST });
          expect(outcome).toMatchObject({ result: 'Applied', missing: [] });
          const [{ mtu, address }] = next.network as [Network[number]];
          const addresses = address === undefined ? [] : ['192.168.100.10/24'];
          expect(link(nic(0).mac)).toMatchObject({ name: 'multinic0', mtu, up: true, addresses });
        }
        expect(record().applied).toMatchObject({ nics: { [nic(0).mac]: { name: 'multinic0' } } });
        expect(record()).toMatchObject({ version: 2 });
        expect(await apply({ ...bare, expectedRecord: FIRST })).toMatchObject({ written: [], removed: [] });
      },
    );

    test('stays as it is while a bridge has it; a commit changes its files alone', async () => {
      await apply({ network: network() });
      change(({ links }) => Object.assign(links[1]!, { master: 'br0', mtu: 1400 }));
      const taken = link(nic(0).mac);
      expect(await again()).not.toHaveProperty('warnings');
      const outcome = await again({ commit: SECOND, network: network(9000) });
      expect(outcome).toMatchObject({ result: 'Applied', written: [FILE], warnings: ['NicLeft'] });
      expect(outcome.message).toContain('is part of br0');
      expect(file()).toContain('mtu: 9000');
      const next = { network: network(9000), commit: SECOND, expectedRecord: SECOND };
      const quiet = await apply(next);
      expect(quiet).toMatchObject({ result: 'Applied', written: [] });
      expect(quiet).not.toHaveProperty('warnings');
      expect(link(nic(0).mac)).toEqual(taken);
      change(({ links }) => Object.assign(links[1]!, { master: undefined }));
      expect(await apply(next)).toMatchObject({ result: 'Applied' });
      expect(link(nic(0).mac)).toMatchObject({ mtu: 9000 });
    });

    test('is not missing while a pod has it, and its file stays and changes', async () => {
      await apply({ network: network() });
      let lent: RecordedMachine['links'][number] | undefined;
      change(({ links }) => ([lent] = links.splice(1, 1)));
      const before = file();
      expect(await again()).toMatchObject({ result: 'Applied', missing: [], written: [], removed: [] });
      expect(file()).toBe(before);
      const changed = { commit: SECOND, network: network(9000) };
      expect(await again(changed)).toMatchObject({ result: 'Applied', missing: [], written: [FILE] });
      change(({ links }) => links.push({ ...lent!, up: false }));
      expect(await apply({ ...changed, expectedRecord: SECOND })).toMatchObject({ result: 'Applied' });
      expect(link(nic(0).mac)).toMatchObject({ mtu: 9000, up: true });
    });

    test('is missing before the agent has seen it', async () => {
      const { mac: absent } = linkOnly(7);
      const outcome = await apply({ network: [linkOnly(7), nic(1)] });
      expect(outcome).toMatchObject({ result: 'Pending', reason: 'InterfacesMissing', missing: [absent] });
    });

    test('is refused while other software uses it with an address of ours, and leaves the commit free only', async () => {
      await apply({ network: [nic(0), nic(1)] });
      change(({ links }) => Object.assign(links[1]!, { master: 'br0' }));
      expect(await again()).toMatchObject({ result: 'Failed', reason: 'NicInUse' });
      expect(link(nic(0).mac)?.addresses).toEqual(['192.168.100.10/24']);
      change(({ links }) => Object.assign(links[1]!, { master: undefined }));
      expect(await again()).toMatchObject({ result: 'Applied' });
      change(({ links }) => Object.assign(links[1]!, { master: 'br0' }));
      expect(await again({ network: [nic(1)] })).toMatchObject({ result: 'Failed', reason: 'NicInUse' });
    });
  });

  test.each<[string, (host: RecordedMachine) => void]>([
    [
      'is part of ovs-system',
      (host) => {
        const port = mac('02:00:00:00:09:09');
        Object.assign(host.links[1]!, { master: 'ovs-system', addresses: [], mtu: 1400 });
        host.links.push({ ...host.links[1]!, mac: port, name: 'br-ex', addresses: ['192.168.100.10/24'] });
      },
    ],
    [
      'carries multinic0.100',
      (host) => {
        Object.assign(host.links[1]!, { addresses: [] });
        Object.assign(host, { uppers: [{ name: 'multinic0.100', lower: 'multinic0' }] });
      },
    ],
  ])('a NIC that the commit does not change and that %s stays as it is', async (use, take) => {
    await apply();
    change(take);
    const taken = link(nic(0).mac);
    const options = { commit: SECOND, network: [nic(0), nic(1, { mtu: 1400 })], expectedRecord: FIRST };
    for (const expectedRecord of [FIRST, SECOND]) {
      const outcome = await apply({ ...options, expectedRecord });
      expect(outcome).toMatchObject({ result: 'Applied', warnings: ['NicLeft'] });
      expect(outcome.message).toContain(`multinic0 (${nic(0).mac}) ${use}`);
      expect(outcome.tree).toBe(treeId(managedFiles(renderTree(identity('netplan'), options.network))));
      expect(link(nic(0).mac)).toEqual(taken);
      expect(link(nic(1).mac)).toMatchObject({ mtu: 1400, addresses: ['192.168.101.10/24'] });
      expect(link(nic(2).mac)).toMatchObject({ name: 'ens7', addresses: [] });
    }
    const removed = await apply({ commit: oid('3'.repeat(40)), network: [nic(1)], expectedRecord: SECOND });
    expect(removed).toMatchObject({ result: 'Failed', reason: 'NicInUse' });
    expect(removed.message).toContain('free the NIC first, or put this MAC back');
    expect(link(nic(0).mac)).toEqual(taken);
  });

  test('another renderer: its files come, those of the one before go', async () => {
    await apply();
    expect((await apply({ commit: SECOND, kind: 'keyfile', expectedRecord: FIRST })).result).toBe('Applied');
    expect(Object.keys(hostFiles(root)).filter((path) => path.includes('netplan'))).toEqual([]);
  });

  test('cleanup takes everything of ours, and leaves the machine as it was', async () => {
    const before = hostFiles(root);
    await apply();
    expect((await cleanUp(dependencies({}), 60)).result).toBe('Applied');
    expect(Object.keys(hostFiles(root))).toEqual(Object.keys(before));
    expect(state()).toEqual(machine(4));
    expect(() => record()).toThrow(/ENOENT/);
  });
});

test('a NIC of ours that has become the way to the store changes, and leaves', async () => {
  const url = 'http://192.168.100.1/git';
  await apply();
  expect((await advance({ url })).result).toBe('Applied');
  expect((await apply({ url, network: [nic(3)], expectedRecord: SECOND })).result).toBe('Applied');
});

test('a NIC whose name another has got meanwhile is put back under a name of its own', async () => {
  const foreign = { name: 'ens5', mac: mac('fa:16:3e:00:00:99'), up: true, mtu: 1500, addresses: [] };
  const probe = async (): Promise<void> => {
    change((host) => host.links.push(foreign));
    fault();
  };
  expect(await apply({ branch: { probe } })).toMatchObject({ result: 'Failed', reason: 'Fault' });
  expect(link(nic(0).mac)).toMatchObject({ name: `enx${nic(0).mac.replaceAll(':', '')}`, addresses: [] });
  expect(link(foreign.mac)).toMatchObject(foreign);
  expect(link(nic(1).mac)).toMatchObject({ name: 'ens6' });
  expect((await apply()).result).toBe('Applied');
});

test('an undo spares what somebody has put on a NIC since', async () => {
  const outcome = await apply({
    branch: {
      probe: async () => {
        change((host) => host.links[1]!.addresses.push('10.9.0.1/24'));
        fault();
      },
    },
  });
  expect(outcome).toMatchObject({ result: 'Failed', reason: 'Fault' });
  expect(link(nic(0).mac)).toMatchObject({ name: 'ens5', addresses: ['10.9.0.1/24'] });
});

test.each([
  ['is given back', '192.168.101.98', true],
  ['stays where it is by now', '192.168.101.99', false],
])('after a reboot, an address of others %s', async (_, elsewhere, expected) => {
  await apply();
  const vip = '192.168.101.99/24';
  change((host) => host.links[2]!.addresses.push(vip));
  let count = 0;
  const failing = altered((host) => ({
    links: { change: async (group: LinkGroup) => ((count += 1) > 3 ? fault() : host.links.change(group)) },
  }));
  expect((await advance({ host: failing })).reason).toBe('RestoreFailed');
  change((host) => {
    Object.assign(host, { bootId: 'another' });
    host.neighbours = [{ address: elsewhere, mac: 'fa:16:3e:00:00:99' }];
    host.links[2]!.addresses = ['192.168.101.10/24'];
  });
  expect((await apply({ expectedRecord: FIRST })).result).toBe('Applied');
  expect(link(nic(1).mac)?.addresses.includes(vip)).toBe(expected);
});

test.each([
  ['in the fourth round', 3, 'Applied', 4],
  ['not within four rounds', 4, 'Failed', 4],
])('a link that obeys %s', async (_, refusals, result, tries) => {
  await apply();
  let asked = 0;
  let verified = false;
  const stubborn = altered((host) => ({
    links: {
      change: async (group: LinkGroup) => {
        if (group[0].op !== 'set' || verified) return host.links.change(group);
        asked += 1;
        return asked > refusals ? host.links.change(group) : undefined;
      },
    },
  }));
  const network = [nic(0, { mtu: 1400 }), nic(1), nic(2)];
  const entered = (step: Step): void => void (verified ||= step === 'verify');
  const outcome = await advance({ network, host: stubborn, entered });
  expect([outcome.result, asked]).toEqual([result, tries]);
  expect(link(nic(0).mac)?.mtu).toBe(result === 'Applied' ? 1400 : 1500);
});

describe('failure: the host is as before, byte for byte', () => {
  const STEPS_BEFORE_THE_END = STEPS.slice(1, STEPS.indexOf('verify') + 1);
  test.each(STEPS_BEFORE_THE_END)('stopped before %s', async (step) => {
    await apply();
    const before = hostFiles(root);
    const stop = new AbortController();
    let last = '';
    const outcome = await advance({
      signal: stop.signal,
      entered: (entered) => {
        const next = STEPS_BEFORE_THE_END[STEPS_BEFORE_THE_END.indexOf(entered) + 1];
        if (next === step || (entered === 'lock' && step === 'recover')) {
          last = entered;
          stop.abort(new MultinicError('Interrupted', 'stopped; retry'));
        }
      },
    });
    expect(outcome.result).toBe('Failed');
    expect([outcome.reason, outcome.step]).toEqual(['Interrupted', last]);
    expect(hostFiles(root)).toEqual(before);
    expect(record()).toMatchObject({ applied: { commit: FIRST }, pending: null });
  });

  const FAULTS: [name: string, step: Step, options: Try][] = [
    ['the store cannot be reached', 'checkout', { branch: { checkout: async () => fault() } }],
    [
      'the generator refuses',
      'validate',
      { host: altered(() => ({ boot: { validate: async () => fault() } })) },
    ],
    [
      'the restore cannot be armed',
      'arm',
      { host: altered(() => ({ deadMan: { arm: async () => fault() } })) },
    ],
    ['the store does not answer afterwards', 'verify', { branch: { probe: async () => fault() } }],
    [
      'a link takes an address never',
      'verify',
      {
        host: altered((host) => {
          let ignored: string | undefined;
          return {
            links: {
              change: async (group: LinkGroup) => {
                const [step] = group;
                if (step.op !== 'add') return host.links.change(group);
                ignored ??= step.address;
                return step.address === ignored ? undefined : host.links.change(group);
              },
            },
          };
        }),
      },
    ],
    [
      'a route is missing',
      'verify',
      {
        host: altered((host) => ({
          machine: {
            state: async () => {
              const now = await host.machine.state();
              return now.links.some(({ name }) => name === 'multinic3') ? { ...now, routes: [] } : now;
            },
          },
        })),
      },
    ],
    [
      'the way from the node’s own address leads elsewhere',
      'verify',
      {
        host: altered((host) => ({
          machine: {
            lookUpRoutes: async (destinations: Destinations) => {
              const { links } = await host.machine.state();
              const taken = links.some(({ name }) => name === 'multinic3');
              const lookups = await host.machine.lookUpRoutes(destinations);
              return lookups.map((lookup) =>
                taken && lookup.from === '10.10.0.11' ? { ...lookup, dev: 'multinic3' } : lookup,
              );
            },
          },
        })),
      },
    ],
    [
      'the way to a server that the kubelet alone knows leads elsewhere',
      'verify',
      {
        host: altered((host) => ({
          machine: {
            // A running host adds the servers of its kubelet to the addresses that it is asked for.
            lookUpRoutes: async (destinations: Destinations) => {
              const { links } = await host.machine.state();
              const dev = links.some(({ name }) => name === 'multinic3') ? 'multinic3' : 'eth0';
              return [...(await host.machine.lookUpRoutes(destinations)), { to: '203.0.113.5', dev }];
            },
          },
        })),
      },
    ],
    [
      'the record cannot be written at the end',
      'finish',
      { rootClass: failingRoot((path, nth) => path === RECORD && nth === 2) },
    ],
    [
      'the record cannot be written at first',
      'record',
      { rootClass: failingRoot((path) => path === RECORD) },
    ],
    ...[1, 2, 3].map((nth): [string, Step, Try] => [
      `file ${nth} cannot be written`,
      'write',
      { rootClass: failingRoot((path, count) => path !== RECORD && count === nth) },
    ]),
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((nth): [string, Step, Try] => [
      `the kernel refuses change ${nth}`,
      'activate',
      { host: refuseNth(nth) },
    ]),
  ];
  test.each(FAULTS)('%s', async (_, step, options) => {
    await apply();
    const before = hostFiles(root);
    const outcome = await advance(options);
    expect([outcome.result, outcome.step, outcome.message]).toEqual([
      'Failed',
      step,
      expect.stringMatching(/retry/),
    ]);
    expect(hostFiles(root)).toEqual(before);
    expect(record()).toMatchObject({ applied: { commit: FIRST }, pending: null });
    expect((await advance()).result).toBe('Applied');
  });

  const V6 = nic(3, { address: 'fd00:103::10', prefix: 64 });
  const OTHER = '02:00:00:00:00:99';
  test.each<[string, { reason: string; step: Step }, Network, (host: RecordedMachine) => void]>([
    [
      'an IPv4 address is another machine’s',
      { reason: 'AddressTaken', step: 'activate' },
      NEW,
      (host) => (host.neighbours = [{ address: nic(3).address, mac: OTHER }]),
    ],
    [
      'an IPv6 address is another machine’s',
      { reason: 'AddressTaken', step: 'verify' },
      [...NEW.slice(0, -1), V6],
      (host) => (host.neighbours = [{ address: V6.address, mac: OTHER }]),
    ],
    [
      'the port of a NIC is shut',
      { reason: 'NoCarrier', step: 'verify' },
      NEW,
      (host) => (host.links[4]!.carrier = false),
    ],
  ])('%s', async (_, expected, network, edit) => {
    await apply();
    change(edit);
    const before = hostFiles(root);
    expect(await advance({ network })).toMatchObject({ result: 'Failed', ...expected });
    expect(hostFiles(root)).toEqual(before);
  });

  test('a probe that nobody answers', async () => {
    await apply();
    const before = hostFiles(root);
    const probes = ['192.168.103.1:22', '10.99.0.1'];
    const outcome = await advance({ probes });
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed', step: 'verify' });
    expect(hostFiles(root)).toEqual(before);
    change((host) => (host.neighbours = [{ address: '192.168.103.1', mac: OTHER }]));
    expect((await advance({ probes })).result).toBe('Applied');
  });

  test('the shut port of a NIC that stays as it is fails nobody', async () => {
    await apply();
    change((host) => (host.links[1]!.carrier = false));
    expect((await advance({ network: [...OLD, nic(3)] })).result).toBe('Applied');
  });

  test.each(['full', 'files'] as const)(
    'a failed verification is undone with apply: %s too',
    async (mode) => {
      await apply({ apply: mode });
      const before = hostFiles(root);
      expect((await advance({ apply: mode, branch: { probe: async () => fault() } })).step).toBe('verify');
      expect(hostFiles(root)).toEqual(before);
    },
  );

  test('a restore that fails is said loudly, and the next run makes up for it', async () => {
    await apply();
    const before = hostFiles(root);
    let broken = true;
    const outcome = await advance({
      host: altered((host) => {
        let count = 0;
        return {
          links: {
            change: async (group: LinkGroup) =>
              (count += 1) > 3 && broken ? fault() : host.links.change(group),
          },
        };
      }),
    });
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'RestoreFailed', step: 'restore' });
    expect(outcome.message).toMatch(/THE HOST COULD NOT BE RESTORED/);
    expect(record().pending).not.toBeNull();
    broken = false;
    // The next run first finishes the killed run's change, even if the commit asks for nothing else.
    expect((await advance({ branch: { checkout: async () => fault() } })).step).toBe('checkout');
    expect(hostFiles(root)).toEqual(before);
  });
});

/** A NIC in the subnet of eth0. */
const own = (changes = {}): Network => [nic(0, { address: '10.10.0.77', ...changes })];
const metricFiles = (): string[] =>
  Object.keys(hostFiles(root)).filter((path) => /metric|network\.d/.test(path));

describe('a NIC in the subnet of another NIC', () => {
  const ADDRESS = '10.10.0.77/24';
  const METRIC = {
    netplan: 'etc/systemd/network/10-netplan-multinic0.network.d/multinic0.conf',
    keyfile: 'etc/NetworkManager/conf.d/90-multinic-metric-multinic0.conf',
    ifcfg: 'etc/NetworkManager/conf.d/90-multinic-metric-multinic0.conf',
  } as const;
  const CONTENT = {
    netplan: `[Address]\nAddress=${ADDRESS}\nRouteMetric=1000\n`,
    keyfile: `ipv4.route-metric=1000\nipv6.route-metric=1000\n`,
    ifcfg: `ipv4.route-metric=1000\nipv6.route-metric=1000\n`,
  } as const;

  test.each(['netplan', 'keyfile', 'ifcfg'] as const)(
    '%s: it comes second, now and at the next boot, until it leaves',
    async (kind) => {
      const outcome = await apply({ kind, network: own() });
      expect(outcome).toMatchObject({ result: 'Applied', written: expect.arrayContaining([METRIC[kind]]) });
      expect(link(nic(0).mac)).toMatchObject({ addresses: [ADDRESS], yields: [ADDRESS] });
      expect(hostFiles(root)[METRIC[kind]]).toContain(CONTENT[kind]);
      const again = await apply({ kind, network: own(), expectedRecord: FIRST });
      expect(again).toMatchObject({ result: 'Applied', written: [], removed: [] });
      const moved = await apply({ kind, commit: SECOND, network: OLD, expectedRecord: FIRST });
      expect(moved).toMatchObject({ result: 'Applied', removed: [METRIC[kind]] });
      expect(link(nic(0).mac)).toMatchObject({ addresses: ['192.168.100.10/24'] });
      expect(link(nic(0).mac)).not.toHaveProperty('yields');
      expect(metricFiles()).toEqual([]);
    },
  );

  test('a cleanup takes the metric along', async () => {
    await apply({ network: own() });
    expect((await cleanUp(dependencies({}), 60)).result).toBe('Applied');
    expect(metricFiles()).toEqual([]);
  });

  test('a NIC that is right already stays as it is, also where another NIC has come to its subnet', async () => {
    await apply({ network: own({ address: '192.168.100.10' }) });
    change((host) => host.links[0]!.addresses.push('192.168.100.5/24'));
    const before = fileIdentities(root);
    const rerun = { network: own({ address: '192.168.100.10' }), expectedRecord: FIRST };
    expect(await apply(rerun)).toMatchObject({ result: 'Applied', written: [] });
    expect(withoutLock(fileIdentities(root))).toEqual(withoutLock(before));
    const mtu = await apply({
      commit: SECOND,
      network: own({ address: '192.168.100.10', mtu: 1400 }),
      expectedRecord: FIRST,
    });
    expect(mtu).toMatchObject({
      result: 'Applied',
      written: [METRIC.netplan, 'etc/netplan/90-multinic0.yaml'],
    });
    expect(link(nic(0).mac)).toMatchObject({ mtu: 1400, yields: ['192.168.100.10/24'] });
  });

  test('a change that fails leaves the metric as it was', async () => {
    await apply({ network: own() });
    const before = [state(), hostFiles(root)];
    const failed = await apply({
      commit: SECOND,
      network: own({ address: '192.168.100.10' }),
      expectedRecord: FIRST,
      branch: { probe: async () => fault() },
    });
    expect(failed).toMatchObject({ result: 'Failed', step: 'verify' });
    expect([state(), hostFiles(root)]).toEqual(before);
  });

  test('a host that cannot let another NIC come first at boot refuses', async () => {
    const before = hostFiles(root);
    const host = altered(() => ({ boot: { canYield: async () => false } }));
    const outcome = await apply({ network: own(), host });
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'SubnetOverlaps', step: 'preflight' });
    expect(hostFiles(root)).toEqual(before);
  });
});

const routingOf = (index: number): unknown =>
  (link(nic(index).mac) as { routing?: unknown } | undefined)?.routing;
const wanted = (index: number): unknown => liveRouting(nic(index, { sourceRouting: true }));

describe('source routing', () => {
  const ROUTED: Network = [0, 1].map((index) => nic(index, { sourceRouting: true }));
  const KINDS = ['netplan', 'keyfile', 'ifcfg'] as const;

  test.each([
    ['none', nic(0), 'RoutingUnsupported'],
    ['none', nic(0, { address: '10.10.0.77' }), 'RoutingUnsupported'],
    ['apart', nic(0), undefined],
    ['apart', nic(0, { address: '10.10.0.77' }), 'SubnetOverlaps'],
    ['beside', nic(0, { address: '10.10.0.77' }), undefined],
  ] as const)('where a boot can do %s, %j is %s', async (routing, first, reason) => {
    const before = hostFiles(root);
    const host = altered(() => ({ boot: { routing: async () => routing } }));
    const outcome = await apply({ network: [{ ...first, sourceRouting: true }], host });
    expect(outcome).toMatchObject(
      reason === undefined ? { result: 'Applied' } : { result: 'Failed', reason, step: 'preflight' },
    );
    expect(isDeepStrictEqual(hostFiles(root), before)).toBe(reason !== undefined);
    expect((await apply({ network: [first], host })).reason).not.toBe('RoutingUnsupported');
  });

  test.each(KINDS)('%s: rules, table and settings come with the NIC and go with it', async (kind) => {
    const first = await apply({ kind, network: ROUTED });
    expect(first).toMatchObject({ result: 'Applied', written: expect.arrayContaining([sysctlFile(1)]) });
    expect(first.tree).toBe(treeId(managedFiles(renderTree(identity(kind), ROUTED))));
    expect([0, 1].map(routingOf)).toEqual([0, 1].map(wanted));
    expect(record()).toMatchObject({ version: 2 });
    const again = await apply({ kind, network: ROUTED, expectedRecord: FIRST });
    expect(again).toMatchObject({ result: 'Applied', written: [], removed: [] });
    const network = [nic(0), nic(2)];
    expect(await apply({ kind, commit: SECOND, network, expectedRecord: FIRST })).toMatchObject({
      result: 'Applied',
      removed: expect.arrayContaining([sysctlFile(0), sysctlFile(1)]),
    });
    expect([0, 1, 2].map(routingOf)).toEqual([undefined, undefined, undefined]);
    expect(record()).toMatchObject({ version: 1 });
  });

  test.each(KINDS)('%s: a cleanup takes everything along', async (kind) => {
    const before = [state(), hostFiles(root)];
    await apply({ kind, network: ROUTED });
    expect((await cleanUp(dependencies({}), 60)).result).toBe('Applied');
    expect(state()).toEqual(before[0]);
    expect(Object.keys(hostFiles(root)).filter((path) => /multinic\d/.test(path))).toEqual([]);
  });

  test('the settings from before the NIC’s rules come back, whoever made them', async () => {
    const routing = {
      rules: ['-4 from 10.1.0.0/16 lookup 7 priority 9'],
      routes: [],
      sysctls: { rp_filter: 1 },
    };
    change((host) => Object.assign(host.links[1]!, { routing }));
    await apply({ network: ROUTED });
    expect(routingOf(0)).toMatchObject({ sysctls: { rp_filter: 2, arp_announce: 2, arp_ignore: 1 } });
    const network = [nic(0), nic(1)];
    await apply({ commit: SECOND, network, expectedRecord: FIRST });
    expect(routingOf(0)).toEqual(routing);
  });

  test.each(KINDS)('%s: a change that fails leaves all as it was', async (kind) => {
    for (const network of [OLD, ROUTED]) {
      await apply({ kind, network });
      const before = [state(), hostFiles(root)];
      const next = [nic(0, { sourceRouting: true, gateway: '192.168.100.1', mtu: 1400 }), nic(1)];
      const failed = await apply({
        kind,
        commit: SECOND,
        network: next,
        expectedRecord: FIRST,
        branch: { probe: async () => fault() },
      });
      expect(failed).toMatchObject({ result: 'Failed', step: 'verify' });
      expect([state(), hostFiles(root)]).toEqual(before);
      await cleanUp(dependencies({}), 60);
    }
  });

  test('names that change places take their tables along', async () => {
    await apply({ network: ROUTED });
    const swapped = [
      nic(1, { name: 'multinic0', sourceRouting: true }),
      nic(0, { name: 'multinic1', sourceRouting: true }),
    ];
    expect((await apply({ commit: SECOND, network: swapped, expectedRecord: FIRST })).result).toBe('Applied');
    for (const each of swapped)
      expect((link(each.mac) as { routing?: unknown }).routing).toEqual(liveRouting(each));
  });

  test('a rule or a route that somebody took away comes back alone', async () => {
    await apply({ network: ROUTED });
    const files = hostFiles(root);
    change((host) => Object.assign(host.links[1]!, { routing: { ...(wanted(0) as object), rules: [] } }));
    expect(await apply({ network: ROUTED, expectedRecord: FIRST })).toMatchObject({
      written: [],
      removed: [],
    });
    expect(routingOf(0)).toEqual(wanted(0));
    expect({ ...hostFiles(root), 'host.yaml': '' }).toEqual({ ...files, 'host.yaml': '' });
  });

  test('further addresses come and go with the NIC', async () => {
    const further = [
      nic(0, { furtherAddresses: ['192.168.100.20/24', '2001:db8::10/64'], sourceRouting: true }),
    ];
    await apply({ network: further });
    expect(link(nic(0).mac)?.addresses).toEqual([
      '192.168.100.10/24',
      '192.168.100.20/24',
      '2001:db8::10/64',
    ]);
    expect(routingOf(0)).toEqual(liveRouting(further[0]!));
    await apply({ commit: SECOND, network: [nic(0)], expectedRecord: FIRST });
    expect(link(nic(0).mac)?.addresses).toEqual(['192.168.100.10/24']);
    expect(routingOf(0)).toBeUndefined();
  });

  test('rules of other software are refused by name before anything is touched', async () => {
    const before = [state(), hostFiles(root)];
    const what = 'the rule `from 192.168.100.10 lookup 999 priority 5`';
    const host = altered((real) => ({
      machine: {
        state: async (known?: KnownRouting) => ({
          ...(await real.machine.state(known)),
          foreignRouting: [{ mac: nic(0).mac, what }],
        }),
      },
    }));
    const outcome = await apply({ network: ROUTED, host });
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'RoutingTaken', step: 'preflight' });
    expect(outcome.message).toContain(what);
    expect([state(), hostFiles(root)]).toEqual(before);
    expect((await apply({ network: [nic(0), nic(1)], host })).result).toBe('Applied');
  });
});

/** The routing of a NIC as the file of a recorded host has it, without connected routes. */
function liveRouting(each: Network[number]): LinkRouting {
  const routing = wantedRouting(each);
  return { ...routing, routes: routing.routes.filter((route) => !isConnectedInMain(route)) };
}

function sysctlFile(index: number): string {
  return `etc/sysctl.d/90-multinic-multinic${index}.conf`;
}

describe('nothing is touched', () => {
  test.each(['169.254.7.10', 'fe80::7'])('a new link-local address: %s', async (address) => {
    const network = [nic(0, { address, prefix: address.includes(':') ? 64 : 24 })];
    const outcome = await refusal({ network });
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'InvalidTree', step: 'tree' });
    expect(outcome.message).toContain(`${address} is a link-local address`);
  });

  test('a newer tip', async () => {
    const branch = { checkout: async () => ({ tip: SECOND, entries: new Map() }) };
    expect((await refusal({ branch })).result).toBe('Superseded');
  });

  test.each<[string, string, (host: HostState & { links: { name: string }[] }) => void]>([
    ['carries the default route', 'NicInUse', (host) => Object.assign(host.routes[0]!, { dev: 'ens6' })],
    [
      'carries a second default route',
      'NicInUse',
      (host) => Object.assign(host, { routes: [...host.routes, { to: 'default', dev: 'ens6' }] }),
    ],
    [
      'carries the default route of IPv6',
      'NicInUse',
      (host) => Object.assign(host, { routes: [...host.routes, { to: '::/0', dev: 'ens6' }] }),
    ],
    [
      'carries the node’s own address',
      'NicInUse',
      (host) => Object.assign(host.links[2]!, { addresses: ['10.10.0.11/24'] }),
    ],
    [
      'a VLAN stands on',
      'NicInUse',
      (host) => Object.assign(host, { uppers: [{ name: 'v', lower: 'ens6' }] }),
    ],
    ['is part of a bond', 'NicInUse', (host) => Object.assign(host.links[2]!, { master: 'bond0' })],
    [
      'is the way to the store',
      'NicInUse',
      (host) => Object.assign(host.links[2]!, { addresses: ['203.0.113.7/24'] }),
    ],
    [
      'is the way to an API server',
      'NicInUse',
      (host) => Object.assign(host, { routes: [...host.routes, { to: '198.51.100.0/24', dev: 'ens6' }] }),
    ],
    [
      'has a MAC that is there twice',
      'DuplicateMac',
      (host) => host.links.push({ ...host.links[2]!, name: 'vlan6' }),
    ],
    [
      'shall have an address that another has',
      'AddressInUse',
      (host) => Object.assign(host.links[0]!, { addresses: ['10.10.0.11/24', '192.168.101.10/16'] }),
    ],
    [
      'takes packets of the node’s own network',
      'SubnetOverlaps',
      (host) => Object.assign(host.links[0]!, { addresses: ['10.10.0.11/24', '192.168.101.5/16'] }),
    ],
    [
      'shall have a name that another has',
      'NameTaken',
      (host) => Object.assign(host.links[4]!, { name: 'multinic1' }),
    ],
  ])('a NIC that %s', async (_, reason, edit) => {
    const outcome = await refusal({ url: 'http://203.0.113.1/git', peers: ['198.51.100.1'] }, () =>
      change(edit),
    );
    expect([outcome.result, outcome.reason]).toEqual(['Failed', reason]);
    expect(outcome.written).toEqual([]);
  });

  test.each(['gateway', '192.168.100.1:0', '192.168.100.1:22:23', '192.168.100'])(
    'a probe that is none: %s',
    async (probe) => {
      const outcome = await refusal({ probes: [probe] });
      expect(outcome).toMatchObject({ result: 'Failed', reason: 'InvalidProbe', step: 'preflight' });
      expect(outcome.message).toContain(probe);
    },
  );

  test('a file at a path of ours that we did not write', async () => {
    makeRoot(root, machine(4), {
      'etc/netplan/91-multinic1.yaml': 'network: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n',
    });
    const outcome = await refusal({});
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'ForeignFile', step: 'plan' });
    expect(outcome.message).toContain('etc/netplan/91-multinic1.yaml');
  });

  test('somebody’s broken netplan file', async () => {
    makeRoot(root, machine(4), { 'etc/netplan/60-mine.yaml': 'network: [' });
    expect(await refusal({})).toMatchObject({ reason: 'ValidationFailed', step: 'validate' });
  });

  test('a NIC that bears another name of ours already', async () => {
    const outcome = await refusal({}, () =>
      change((host) => Object.assign(host.links[1]!, { name: 'multinic7' })),
    );
    expect(outcome).toMatchObject({ result: 'Adopt', found: [{ mac: nic(0).mac, name: 'multinic7' }] });
    const adopted = await apply({ network: [nic(1), nic(2), nic(0, { name: 'multinic7' })] });
    expect(adopted.result).toBe('Applied');
  });

  test('a NIC that another netplan file describes', async () => {
    makeRoot(root, machine(4), {
      'etc/netplan/50-cloud-init.yaml': `network: {version: 2, ethernets: {ens6: {match: {macaddress: '${nic(1).mac}'}, dhcp4: true}}}\n`,
    });
    const outcome = await refusal({});
    const found = [{ mac: nic(1).mac, name: 'multinic1', netplanId: 'ens6' }];
    expect(outcome).toMatchObject({ result: 'Adopt', found });
    expect((await apply({ network: [nic(0), nic(1, { netplanId: 'ens6' }), nic(2)] })).result).toBe(
      'Applied',
    );
  });

  test.each<[RendererKind, string, string]>([
    [
      'netplan',
      'etc/netplan/50-mine.yaml',
      `network: {version: 2, ethernets: {ens6: {match: {macaddress: '${nic(1).mac}'}, addresses: [10.9.0.1/24]}}}\n`,
    ],
    [
      'keyfile',
      'etc/NetworkManager/system-connections/mine.nmconnection',
      '[connection]\nid=mine\ninterface-name=ens6\n[ipv4]\nmethod = manual\naddress1 = 10.9.0.1/24\n',
    ],
    [
      'keyfile',
      'etc/NetworkManager/system-connections/routed.nmconnection',
      `[ethernet]\nmac-address=${nic(1).mac.toUpperCase()}\n[ipv4]\nmethod=auto\nroute1=10.9.0.0/24,10.8.0.1\n`,
    ],
    ['ifcfg', 'etc/sysconfig/network-scripts/ifcfg-ens6', 'DEVICE="ens6"\nBOOTPROTO=none\nIPADDR=10.9.0.1\n'],
    ['ifcfg', 'etc/sysconfig/network-scripts/ifcfg-ens6', 'DEVICE=ens6\nBOOTPROTO=dhcp\nBRIDGE=br0\n'],
  ])(
    '%s: a NIC to which somebody’s file gives more than DHCP, unless it is taken over',
    async (kind, file, text) => {
      makeRoot(root, machine(4), { ...NAMED_BY_IFCFG, [file]: text });
      const outcome = await refusal({ kind });
      expect(outcome).toMatchObject({ result: 'Failed', reason: 'ForeignConfig', step: 'plan' });
      expect(outcome.message).toContain(file);
      const network = [
        nic(0),
        nic(1, { takeover: true, ...(kind === 'netplan' && { netplanId: 'ens6' }) }),
        nic(2),
      ];
      expect((await apply({ kind, network })).result).toBe('Applied');
    },
  );

  test.each<[RendererKind, Record<string, string>]>([
    [
      'keyfile',
      {
        'etc/NetworkManager/system-connections/dhcp.nmconnection':
          '[connection]\nid=dhcp\ninterface-name=ens6\n[ipv4]\nmethod=auto\n[ipv6]\nmethod=disabled\n',
      },
    ],
    [
      'ifcfg',
      {
        'etc/sysconfig/network-scripts/ifcfg-ens6': 'DEVICE=ens6\nBOOTPROTO=dhcp\nIPADDR=\n',
        // A copy that nobody reads.
        'etc/sysconfig/network-scripts/ifcfg-ens6.bak': 'DEVICE=ens6\nIPADDR=10.9.0.1\n',
        'etc/sysconfig/network-scripts/route-ens7': '10.9.0.0/24 via 10.8.0.1\n',
      },
    ],
  ])('%s: what gives a NIC DHCP alone is in nobody’s way', async (kind, files) => {
    makeRoot(root, machine(4), { ...NAMED_BY_IFCFG, ...files });
    expect((await apply({ kind })).result).toBe('Applied');
  });

  test('a record of another commit, unless the host is as wanted anyway', async () => {
    await apply();
    const before = hostFiles(root);
    expect(await advance({ expectedRecord: SECOND })).toMatchObject({ result: 'Diverged', record: FIRST });
    expect(await advance({ expectedRecord: null })).toMatchObject({ result: 'Diverged', record: FIRST });
    expect(hostFiles(root)).toEqual(before);
    expect(await apply({ commit: SECOND, expectedRecord: null })).toMatchObject({
      result: 'Applied',
      written: [],
    });
    expect(record().applied?.commit).toBe(SECOND);
    expect(hostFiles(root)).toEqual(before);
  });

  test('a host that lost its record', async () => {
    await apply();
    openRoot(root).remove(RECORD);
    expect(await advance()).toMatchObject({ result: 'Diverged', record: null });
  });

  test('files of the earlier agent that mean the same', async () => {
    const host = machine(4);
    makeRoot(
      root,
      {
        ...host,
        links: host.links.map((each, index) =>
          index === 1 || index === 2
            ? { ...each, name: `multinic${index - 1}`, up: true, addresses: [`${nic(index - 1).address}/24`] }
            : each,
        ),
      },
      { 'etc/netplan/90-multinic0.yaml': legacy(0), 'etc/netplan/91-multinic1.yaml': legacy(1) },
    );
    const network = [nic(0), nic(1)];
    const outcome = await refusal({ network });
    expect(outcome).toMatchObject({ result: 'Applied', written: [] });
    // The report's tree is the commit's tree, because the controller compares the two.
    expect(outcome.tree).toBe(treeId(managedFiles(renderTree(identity('netplan'), network))));
    // The next change leaves files that it does not concern. A rerender concerns them, and arrives.
    const next = await apply({ commit: SECOND, network: [nic(0), nic(1), nic(2)], expectedRecord: FIRST });
    expect(next.written).toEqual(['etc/netplan/92-multinic2.yaml']);
    const ports = [nic(0, { portId: 'port-1' }), nic(1), nic(2)];
    const rerendered = await apply({ commit: oid('3'.repeat(40)), network: ports, expectedRecord: SECOND });
    expect(rerendered.written).toEqual(['etc/netplan/90-multinic0.yaml']);
  });
});

describe('trees that nobody should have let in', () => {
  const good = renderTree(identity('netplan'), OLD);
  const PATH = 'etc/netplan/90-multinic0.yaml';
  test.each<[string, Record<string, { mode: string; content: string }>]>([
    ['a path that is not managed', { 'etc/passwd': entry('root') }],
    ['a path that leads out', { '../etc/netplan/90-multinic0.yaml': entry('x') }],
    ['a link', { [PATH]: entry('/etc/shadow', '120000') }],
    ['an executable', { [PATH]: entry(good.get(PATH) ?? '', '100755') }],
    ['a submodule', { 'etc/netplan/93-multinic3.yaml': entry('', '160000') }],
    ['a huge file', { [PATH]: entry(`${good.get(PATH)}#${'x'.repeat(64 * 1024)}\n`) }],
    ['broken YAML', { [PATH]: entry('network: [') }],
    [
      'a foreign key',
      { [PATH]: entry((good.get(PATH) ?? '').replace('dhcp4: false', 'gateway4: 10.0.0.1')) },
    ],
    [
      'a key that says otherwise',
      { [PATH]: entry((good.get(PATH) ?? '').replace('dhcp4: false', 'dhcp4: true')) },
    ],
    [
      'node.yaml of another node',
      { 'node.yaml': entry(renderTree(identity('netplan', 'worker-2'), []).get('node.yaml') ?? '') },
    ],
    ['no good node.yaml', { 'node.yaml': entry('renderer: netplan\n') }],
    [
      'two NICs with one address',
      { [PATH]: entry((good.get(PATH) ?? '').replace('192.168.100.10', '192.168.101.10')) },
    ],
    [
      'very many files',
      Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`etc/netplan/${index}`, entry('')])),
    ],
  ])('%s', async (_, extra) => {
    const before = hostFiles(root);
    const entries = new Map([
      ...[...good].map(([path, content]) => [path, entry(content)] as const),
      ...Object.entries(extra),
    ]);
    const outcome = await apply({ branch: { checkout: async () => ({ tip: FIRST, entries }) } });
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'InvalidTree', step: 'tree' });
    expect(hostFiles(root)).toEqual(before);
  });
});

/** A file system that refuses some writes. */
function failingRoot(fails: (path: string, nth: number) => boolean): typeof Root {
  let own = 0;
  let others = 0;
  return class extends Root {
    override write(path: string, content: string, mode: number): void {
      const nth = path === RECORD ? (own += 1) : (others += 1);
      if (fails(path, nth)) throw new MultinicError('DiskFull', 'no space left; make room, then retry');
      super.write(path, content, mode);
    }
  };
}

/** Edits the host between a run's reading of the host and its change, as other software may. */
const meanwhile = (edit: (host: RecordedMachine) => void): ReturnType<typeof altered> =>
  altered((host) => ({
    deadMan: {
      arm: async (pending: Pending, seconds: number) => {
        change(edit);
        await host.deadMan.arm(pending, seconds);
      },
    },
  }));
const linkOf = (host: RecordedMachine, index: number): { addresses: string[] } =>
  host.links.find(({ mac }) => mac === nic(index).mac)!;

test.each([
  ['fails once all is read anew', { neighbours: { answers: async () => false } }, 2],
  ['comes to nothing before that', { deadMan: { arm: fault } }, 0],
])('full: a change that %s has its undo do the same', async (_, methods, times) => {
  let reloads = 0;
  const host = altered((real) => ({
    ...methods,
    managers: {
      reload: async (paths: readonly string[]) => {
        reloads += 1;
        await real.managers.reload(paths);
      },
    },
  }));
  const before = hostFiles(root);
  expect(await apply({ apply: 'full', host, probes: ['192.168.100.1'] })).toMatchObject({ result: 'Failed' });
  expect(reloads).toBe(times);
  expect(withoutLock(hostFiles(root))).toEqual(withoutLock(before));
});

describe('what others do meanwhile', () => {
  const VIP = '192.168.100.200/32';
  test('an address that comes stays, and one that goes from a NIC that does not change is gone', async () => {
    await apply({ network: [nic(0), nic(1)] });
    change((host) => linkOf(host, 0).addresses.push(VIP));
    const host = meanwhile((now) => {
      linkOf(now, 0).addresses = [`${nic(0).address}/24`];
      for (const index of [1, 2]) linkOf(now, index).addresses.push(VIP);
    });
    const outcome = await advance({ network: [nic(0), nic(1), nic(2)], host });
    expect(outcome).toMatchObject({ result: 'Applied' });
    expect(linkOf(state() as RecordedMachine, 0).addresses).toEqual([`${nic(0).address}/24`]);
    expect(linkOf(state() as RecordedMachine, 1).addresses).toEqual([`${nic(1).address}/24`, VIP]);
    expect(linkOf(state() as RecordedMachine, 2).addresses).toEqual([VIP, `${nic(2).address}/24`]);
  });

  test.each([
    ['a change', true, 'Applied'],
    ['a change that is undone', false, 'Failed'],
  ])('foreign state that was not restored after %s is reported', async (_, answers, result) => {
    const host = altered((real) => ({
      deadMan: {
        arm: async () => {
          mkdirSync(join(root, RESTORE_SCRIPT, '..'), { recursive: true });
          writeFileSync(join(root, RESTORE_SCRIPT), '');
        },
        disarm: () => real.deadMan.disarm(),
      },
      foreign: {
        read: async () => fromCommands(['-4 rule add from 10.52.0.0/16 lookup 100']),
        restore: async (state: ForeignState) => state,
      },
      neighbours: { answers: async () => answers },
    }));
    const outcome = await apply({ host, probes: ['192.168.100.1'] });
    expect(outcome).toMatchObject({ result, warnings: ['OthersLost'] });
    expect(outcome.message).toContain('-4 rule add from 10.52.0.0/16 lookup 100');
  });
});

function refuseNth(nth: number): (host: Host) => Host {
  return altered((host) => {
    let count = 0;
    const refusing = async (group: LinkGroup): Promise<void> =>
      (count += 1) === nth ? fault() : host.links.change(group);
    return { links: { change: refusing } };
  });
}

function withoutLock(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([path]) => !path.endsWith('/lock')));
}

/** Applies, and checks that the host is untouched. */
async function refusal(options: Try, prepare: () => void = () => {}): Promise<Outcome> {
  prepare();
  const before = hostFiles(root);
  const outcome = await apply(options);
  expect(hostFiles(root)).toEqual(before);
  return outcome;
}

/** As the earlier agent wrote it. */
function legacy(index: number): string {
  return `network:
  version: 2
  ethernets:
    multinic${index}:
      match:
        macaddress: "${nic(index).mac}"
      set-name: multinic${index}
      addresses: ["${nic(index).address}/24"]
      mtu: 1500
`;
}

function entry(content: string, mode = '100644'): { mode: string; content: string } {
  return { mode, content };
}
