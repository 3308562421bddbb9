// `multinic agent observe` as a process of its own, against a real store, on a recorded host.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Observation } from '../src/api/observation.ts';
import type { Network } from '../src/network/interface.ts';
import { renderTree } from '../src/network/tree.ts';
import {
  fileIdentities,
  Folder,
  hostFiles,
  identity,
  machine,
  makeRoot,
  nic,
  PROGRAM,
  runAgent,
  TestStore,
  writeJob,
  type AgentRun,
} from './support/agent.ts';

const NETWORK: Network = [nic(0), nic(1)];
const FILE = 'etc/netplan/90-multinic0.yaml';

let folder: Folder;
let root: string;
let store: TestStore;
let options: AgentRun;

beforeEach(async () => {
  folder = new Folder();
  root = makeRoot(join(folder.path, 'root'), machine(2));
  store = await TestStore.open(folder.path);
  const commit = await store.commit('netplan', NETWORK);
  options = { dir: folder.path, root, url: store.server.url, commit, expectedRecord: null };
  const { outcome, log } = await runAgent(options);
  if (outcome?.result !== 'Applied') throw new Error(log);
  options = { ...options, expectedRecord: commit };
});
afterEach(async () => {
  await store.close();
  folder[Symbol.dispose]();
});

interface End {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function observe(...args: string[]): End {
  const all = [PROGRAM, 'agent', 'observe', '--root', root, '--offline', ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8' });
  return { code: status, stdout, stderr };
}

/** Runs the agent in a child process, because this process serves the store. */
async function observeJob(...args: string[]): Promise<End> {
  const all = [PROGRAM, 'agent', 'observe', '--root', root, '--offline', '--job', writeJob(options), ...args];
  const { execa } = await import('execa');
  const { exitCode, stdout, stderr } = await execa(process.execPath, all, { reject: false });
  return { code: exitCode ?? null, stdout, stderr };
}

/** Checks the branch of the node out into a folder. */
function tree(): string {
  const dir = join(folder.path, 'tree');
  for (const [path, content] of renderTree(identity('netplan'), NETWORK)) {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), content);
  }
  return dir;
}

describe('by hand', () => {
  test('a host that is as the folder has it: exit code 0, and the host is untouched', () => {
    const before = [hostFiles(root), fileIdentities(root)];
    const { code, stdout, stderr } = observe('--tree', tree());
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: 'Observed: the host is as its commit has it\n',
      stderr: '',
    });
    expect([hostFiles(root), fileIdentities(root)]).toEqual(before);
  });

  test('a drifted host: exit code 10, and the differences in words or as JSON', () => {
    rmSync(join(root, FILE));
    const { code, stdout } = observe('--tree', tree());
    expect(code).toBe(10);
    expect(stdout).toBe(`Drifted: 1 difference to its commit\n  ${FILE} is missing\n`);
    const { apiVersion, kind, ...observation } = JSON.parse(
      observe('--tree', tree(), '-o', 'json').stdout,
    ) as Record<string, unknown>;
    expect({ apiVersion, kind }).toEqual({ apiVersion: expect.any(String), kind: 'Observation' });
    const { result, differences } = Observation.parse(observation);
    expect({ result, differences }).toEqual({
      result: 'Drifted',
      differences: [{ kind: 'FileMissing', path: FILE, name: 'multinic0', mac: nic(0).mac }],
    });
  });

  test('a host with an unfinished change: exit code 75, and no lock is taken', () => {
    const record = join(root, 'var/lib/multinic/record.json');
    const known = JSON.parse(readFileSync(record, 'utf8')) as object;
    const pending = {
      bootId: machine(0).bootId,
      startedAt: new Date().toISOString(),
      reload: false,
      others: [],
      files: [],
      links: { before: [], after: [] },
      machine: { links: [], routes: [] },
      applied: null,
    };
    writeFileSync(record, JSON.stringify({ ...known, pending }));
    expect(observe('--tree', tree())).toMatchObject({ code: 75, stdout: expect.stringMatching(/^Busy: /) });
  });

  test('a host is observed while an agent holds its lock', () => {
    const lock = join(root, 'var/lib/multinic/lock');
    const command = [
      process.execPath,
      PROGRAM,
      'agent',
      'observe',
      '--root',
      root,
      '--offline',
      '--tree',
      tree(),
    ];
    expect(execFileSync('flock', [lock, ...command], { encoding: 'utf8' })).toMatch(/^Observed/);
  });

  test('neither a job nor a folder to compare with: exit code 2', () => {
    expect(observe().code).toBe(2);
    expect(observe('--tree', tree(), '--job', 'job.json').code).toBe(2);
  });
});

describe('as a Job', () => {
  test('compares with the commit of the job, not with a newer tip', async () => {
    await store.commit('netplan', [nic(0, { mtu: 1400 })]);
    const file = join(folder.path, 'observation.json');
    expect(await observeJob('--outcome', file)).toMatchObject({ code: 0, stdout: '' });
    expect(Observation.parse(JSON.parse(readFileSync(file, 'utf8')))).toMatchObject({
      result: 'Observed',
      commit: options.commit,
      node: 'worker-1',
    });
  });

  test('drift: exit code 0; the report names no tree if the store refuses the files', async () => {
    rmSync(join(root, FILE));
    const file = join(folder.path, 'observation.json');
    const { code, stderr } = await observeJob('--outcome', file);
    expect(code).toBe(0);
    expect(stderr).toContain(`HostDrifted: ${FILE} is missing`);
    const observation = Observation.parse(JSON.parse(readFileSync(file, 'utf8')));
    expect(observation).toMatchObject({
      result: 'Drifted',
      differences: [{ kind: 'FileMissing', path: FILE }],
    });
    expect(observation).not.toHaveProperty('tree');
  });

  test('the store is away: the report says Unclear', async () => {
    await store.server.close();
    const file = join(folder.path, 'observation.json');
    expect((await observeJob('--outcome', file)).code).toBe(0);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      result: 'Unclear',
      reason: 'StoreUnreachable',
      step: 'checkout',
    });
  });
});
