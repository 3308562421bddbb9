// A preview of a run on a recorded host, and the result of that run.
import type { Oid } from '../../api/oid.ts';
import { oid } from '../../../test/support/oid.ts';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { Folder, identity, machine, makeRoot, nic, NODE } from '../../../test/support/agent.ts';
import { alterHost, type Methods } from '../../../test/support/alter-host.ts';
import { MultinicError } from '../../api/errors.ts';
import { AgentJob } from '../../api/job.ts';
import type { Outcome } from '../../api/outcome.ts';
import type { Network } from '../../network/interface.ts';
import type { RendererKind } from '../../network/node.ts';
import { managedFiles, renderTree } from '../../network/tree.ts';
import type { Host } from '../host/host.ts';
import type { HostState } from '../host/machine.ts';
import { openRoot } from '../files/managed-files.ts';
import { recordedHost } from '../recorded/recorded-host.ts';
import { preview, type Preview } from './preview.ts';
import { Root } from '../files/root.ts';
import { run } from './run.ts';
import { mac } from '../../../test/support/mac.ts';

const FIRST = oid('1'.repeat(40));
const SECOND = oid('2'.repeat(40));
const OLD: Network = [nic(0), nic(1)];
const MOVED: Network = [nic(0, { address: '192.168.100.11' }), nic(1)];

interface Try {
  readonly commit?: Oid;
  readonly network?: Network;
  readonly kind?: RendererKind;
  readonly expectedRecord?: Oid | null;
  readonly apply?: AgentJob['apply'];
  readonly probes?: string[];
  readonly peers?: string[];
  readonly host?: Methods;
  readonly root?: Root;
}

let folder: Folder;
let path: string;

beforeEach(() => {
  folder = new Folder();
  path = makeRoot(join(folder.path, 'root'), machine(2));
});
afterEach(() => folder[Symbol.dispose]());

function machineOf({ root = openRoot(path), host = {} }: Try): { root: Root; host: Host } {
  return { root, host: alterHost(recordedHost(root), host) };
}

function foresee(options: Try = {}): Promise<Preview> {
  const { commit = FIRST, network = OLD, kind = 'netplan', expectedRecord = null } = options;
  const { root, host } = machineOf(options);
  return preview(root, host, {
    desired: { commit, kind, network, files: managedFiles(renderTree(identity(kind), network)) },
    expectedRecord,
    peers: ['127.0.0.1', ...(options.peers ?? [])],
    mode: options.apply ?? 'live',
    probes: options.probes ?? [],
  });
}

function apply(options: Try = {}): Promise<Outcome> {
  const { commit = FIRST, network = OLD, kind = 'netplan', expectedRecord = null } = options;
  const job = AgentJob.parse({
    version: 1,
    name: 'a-job',
    node: NODE,
    commit,
    expectedRecord,
    url: 'http://127.0.0.1:8080/git',
    tokenFile: 'token',
    apply: options.apply ?? 'live',
    probes: options.probes ?? [],
    peers: options.peers ?? [],
  });
  const tree = renderTree(identity(kind), network);
  const entries = new Map([...tree].map(([file, content]) => [file, { mode: '100644', content }] as const));
  const branch = { checkout: async () => ({ tip: commit, entries }), probe: async () => {} };
  return run(job, branch, {
    ...machineOf(options),
    log: pino({ level: 'silent' }),
    clock: () => new Date(),
    signal: new AbortController().signal,
  });
}

/** The state of networkd with the files of the boot. */
const held = (): Methods => ({
  machine: {
    state: async () => {
      const state = await recordedHost(openRoot(path)).machine.state();
      const links = state.links.map((link) =>
        link.mac === nic(0).mac ? { ...link, loaded: ['192.168.100.10/24'] } : link,
      );
      return { ...state, links };
    },
  },
});

/** Somebody's file for a NIC of ours. */
function nameByOthers(): void {
  const dir = join(path, 'etc/systemd/network');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, '05-foo.link'), `[Match]\nMACAddress=${nic(0).mac}\n[Link]\nName=foo0\n`);
}

class ReadOnly extends Root {
  override assertWritable(): void {
    throw new MultinicError('HostReadOnly', 'etc/netplan: EROFS; remount');
  }
}

const down = (): never => {
  throw new MultinicError('NetworkManagerDown', 'NetworkManager does not answer; start it');
};

describe('a run that would be refused', () => {
  test.each<[string, Try | (() => Try)]>([
    ['HostReadOnly', () => ({ root: new ReadOnly(path, () => true) })],
    ['InvalidProbe', { probes: ['the-gateway'] }],
    ['NetworkManagerDown', { kind: 'keyfile', host: { managers: { profiles: down } } }],
    [
      'NicUnmanaged',
      { kind: 'ifcfg', host: { managers: { profiles: async () => ({ [nic(0).mac]: null }) } } },
    ],
    ['NicInUse', { network: [nic(0, { mac: mac('fa:16:3e:00:01:00') })] }],
    ['AddressInUse', { network: [nic(0, { address: '10.10.0.11' })] }],
    ['ValidationFailed', () => (nameByOthers(), { kind: 'keyfile' })],
  ])('%s', async (reason, given) => {
    const options = typeof given === 'function' ? given() : given;
    const before = readFileSync(join(path, 'host.yaml'), 'utf8');
    const foreseen = await foresee(options);
    expect(foreseen).toMatchObject({ result: 'refused', reason });
    expect(readFileSync(join(path, 'host.yaml'), 'utf8')).toBe(before);
    expect(await apply(options)).toMatchObject({
      result: 'Failed',
      reason,
      message: foreseen.message,
    });
  });

  test('a NIC that leads to an API server', async () => {
    const host = parse(readFileSync(join(path, 'host.yaml'), 'utf8')) as HostState;
    writeFileSync(
      join(path, 'host.yaml'),
      stringify({ ...host, routes: [...host.routes, { to: '10.99.0.0/16', dev: 'ens5' }] }),
    );
    for (const options of [{ peers: ['10.99.0.1'] }, { peers: ['10.99.0.1'], apply: 'files' as const }]) {
      expect(await foresee(options)).toMatchObject({ result: 'refused', reason: 'NicInUse' });
      expect((await apply(options)).reason).toBe('NicInUse');
    }
    expect((await foresee()).result).toBe('change');
  });

  test('NetworkManager is asked only where a run asks it', async () => {
    const host = { managers: { profiles: down } };
    for (const mode of ['files', 'full'] as const) {
      const options: Try = { kind: 'keyfile', apply: mode, host };
      expect(await foresee(options)).toMatchObject({ result: 'change', reload: mode === 'full' });
      expect((await apply(options)).result).toBe('Applied');
      path = makeRoot(join(folder.path, `after-${mode}`), machine(2));
    }
  });
});

describe('a host that is right', () => {
  test('full has it read anew what networkd holds; live and files warn of it', async () => {
    await apply();
    await apply({ commit: SECOND, network: MOVED, expectedRecord: FIRST, host: held() });
    const same: Try = { commit: SECOND, network: MOVED, expectedRecord: SECOND, host: held() };
    for (const mode of ['live', 'files'] as const) {
      expect(await foresee({ ...same, apply: mode })).toMatchObject({
        result: 'none',
        reload: false,
        warnings: [{ reason: 'NetworkdHoldsOldFile', message: expect.stringContaining('192.168.100.10/24') }],
      });
      expect((await apply({ ...same, apply: mode })).warnings).toEqual(['NetworkdHoldsOldFile']);
    }
    expect(await foresee({ ...same, apply: 'full' })).toMatchObject({
      result: 'change',
      files: [],
      links: [],
      reload: true,
      warnings: [],
    });
    let reloads = 0;
    const counted = { ...held(), managers: { reload: async () => void (reloads += 1) } };
    const outcome = await apply({ ...same, apply: 'full', host: counted });
    expect([outcome.result, outcome.warnings, reloads]).toEqual(['Applied', undefined, 1]);
  });

  test('what others have written since is a warning, as of a run', async () => {
    await apply({ kind: 'keyfile' });
    const same: Try = { kind: 'keyfile', expectedRecord: FIRST };
    expect(await foresee(same)).toMatchObject({ result: 'none', warnings: [] });
    nameByOthers();
    const { result, warnings } = await foresee(same);
    expect(result).toBe('none');
    const outcome = await apply(same);
    expect(outcome.result).toBe('Applied');
    expect(warnings.map(({ reason }) => reason)).toEqual(outcome.warnings);
    // The same doubt refuses another change.
    expect(await foresee({ ...same, commit: SECOND, network: MOVED })).toMatchObject({ result: 'refused' });
  });
});
