import { oid } from './support/oid.ts';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { OUTCOME_MAX_BYTES, Outcome } from '../src/api/outcome.ts';
import type { Network } from '../src/network/interface.ts';
import { managedFiles, renderTree, treeId } from '../src/network/tree.ts';
import { Batch } from '../src/store/model/batch.ts';
import {
  cleanUpHost,
  fileIdentities,
  Folder,
  hostFiles,
  identity,
  machine,
  nic,
  NODE,
  PROGRAM,
  startAgent,
  TestStore,
  writeJob,
  type AgentEnd,
  type AgentRun,
} from './support/agent.ts';
import { HostOfTwoCommits, NEW, OLD } from './support/host-of-two-commits.ts';
import { mac } from './support/mac.ts';

let host: HostOfTwoCommits;
let folder: Folder;
let store: TestStore;
let first: string;
let second: string;
let root: string;

beforeAll(async () => {
  host = await HostOfTwoCommits.open();
  ({ folder, store, first, second } = host);
});
afterAll(() => host[Symbol.asyncDispose]());
beforeEach(() => {
  root = host.renew();
});

const run = (options: Partial<AgentRun> = {}): Promise<AgentEnd> => host.run(options);
const advance = (options: Partial<AgentRun> = {}): Promise<AgentEnd> => host.advance(options);

test('a commit of the real store arrives over HTTP, and a second run changes nothing', async () => {
  const end = await advance();
  expect(end.code).toBe(0);
  expect(Outcome.parse(end.outcome)).toMatchObject({
    result: 'Applied',
    node: NODE,
    commit: second,
    tree: treeId(managedFiles(renderTree(identity('netplan'), NEW))),
    removed: ['etc/netplan/91-multinic1.yaml'],
  });
  for (const word of ['DetectActiveInterfaces', 'CleanupOrphanedConfigs', 'orphaned'])
    expect(end.log).toContain(word);
  const before = fileIdentities(root);
  expect((await advance({ expectedRecord: second })).outcome).toMatchObject({
    result: 'Applied',
    written: [],
    removed: [],
  });
  expect(fileIdentities(root)).toEqual(before);
  expect((await run({ expectedRecord: second })).outcome).toMatchObject({
    result: 'Superseded',
    commit: first,
  });
});

test('cleanup asks no store and leaves the machine as it was', async () => {
  const end = await cleanUpHost(folder.path, root);
  expect([end.code, end.outcome?.result]).toEqual([0, 'Applied']);
  expect(Object.keys(hostFiles(root))).toEqual(['host.yaml']);
  expect(parse(readFileSync(join(root, 'host.yaml'), 'utf8'))).toEqual(machine(4));
});

describe('a run that is stopped', () => {
  let silent: Server;
  let child: ChildProcess | undefined;
  beforeAll(async () => {
    silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
  });
  afterAll(() => {
    child?.kill('SIGKILL');
    silent.close();
  });
  const silentUrl = (): string => `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;

  test('by SIGTERM reports and ends', async () => {
    const before = hostFiles(root);
    const job = writeJob({ dir: folder.path, root, url: silentUrl(), commit: second, expectedRecord: first });
    const connected = once(silent, 'connection');
    const { process: agent, end } = startAgent(
      ['apply', '--job', job, '--root', root, '--offline'],
      folder.path,
    );
    child = agent;
    await connected;
    agent.kill('SIGTERM');
    expect(await end).toMatchObject({
      code: 1,
      outcome: { result: 'Failed', reason: 'Interrupted', step: 'checkout' },
    });
    expect(hostFiles(root)).toEqual(before);
  });

  test('by its deadline reports and ends', async () => {
    const before = hostFiles(root);
    const end = await advance({ url: silentUrl(), deadlineSeconds: 1 });
    expect(end.outcome).toMatchObject({ result: 'Failed', step: 'checkout' });
    expect(['DeadlineExceeded', 'StoreUnreachable']).toContain(end.outcome?.reason);
    expect(end.outcome?.durationMs).toBeLessThan(1000);
    expect(hostFiles(root)).toEqual(before);
  });
});

const multinic = async (...args: string[]): Promise<{ code: number; text: string }> => {
  const command = [PROGRAM, 'agent', ...args, '--offline'];
  const { exitCode, all } = await execa(process.execPath, command, { all: true, reject: false });
  return { code: exitCode ?? -1, text: all };
};

describe('commands for people', () => {
  test('detect shows each NIC, its users and the files that describe it', async () => {
    const table = await multinic('detect', '--root', root);
    expect(table.code).toBe(0);
    expect(table.text).toMatch(/eth0 .* carries the node’s default route/);
    expect(table.text).toMatch(/multinic0 .*etc\/netplan\/90-multinic0.yaml/);
    expect(JSON.parse((await multinic('detect', '--root', root, '-o', 'json')).text)).toMatchObject({
      applied: { commit: first },
      interrupted: false,
      nics: [
        { name: 'eth0', use: expect.any(String) },
        { name: 'multinic0', files: ['etc/netplan/90-multinic0.yaml'] },
        {},
        {},
        { name: 'ens8', files: [] },
      ],
    });
  });

  test('plan says what a run of a job would do and changes nothing; a run then does what plan said', async () => {
    const url = store.server.url;
    const job = writeJob({ dir: folder.path, root, url, commit: second, expectedRecord: first });
    const before = fileIdentities(root);
    const planned = await multinic('plan', '--root', root, '--job', job, '-o', 'json');
    expect(planned.code).toBe(10);
    const plan = JSON.parse(planned.text) as { result: string; files: { op: string; path: string }[] };
    expect(plan.result).toBe('change');
    const full = writeJob({
      dir: folder.path,
      root,
      url,
      commit: second,
      expectedRecord: first,
      apply: 'full',
    });
    expect((await multinic('plan', '--root', root, '--job', full)).text).toContain('acts on all its files');
    writeJob({ dir: folder.path, root, url, commit: second, expectedRecord: first });
    expect((await multinic('plan', '--root', root, '--job', job)).text).toContain(
      '- etc/netplan/91-multinic1.yaml',
    );
    const { 'var/lib/multinic/lock': _, ...after } = fileIdentities(root);
    expect(before).toMatchObject(after);
    const { outcome } = await advance();
    const paths = (op: string): string[] =>
      plan.files.flatMap((each) => (each.op === op ? [each.path] : [])).sort();
    expect([outcome?.written.toSorted(), outcome?.removed.toSorted()]).toEqual([
      paths('write'),
      paths('remove'),
    ]);
    expect(await multinic('plan', '--root', root, '--job', job)).toMatchObject({ code: 0 });
    const older = writeJob({ dir: folder.path, root, url, commit: first, expectedRecord: second });
    expect(await multinic('plan', '--root', root, '--job', older)).toMatchObject({
      code: 1,
      text: expect.stringContaining('(NewerCommit)'),
    });
  });

  test('plan of a checked-out branch: nothing to do, a change, a refusal', async () => {
    const tree = join(folder.path, 'tree');
    const put = (network: Network): void => {
      rmSync(tree, { recursive: true, force: true });
      for (const [path, content] of renderTree(identity('netplan'), network)) {
        mkdirSync(join(tree, path, '..'), { recursive: true });
        writeFileSync(join(tree, path), content);
      }
    };
    put(OLD);
    expect(await multinic('plan', '--root', root, '--tree', tree)).toMatchObject({
      code: 0,
      text: expect.stringContaining('nothing to do'),
    });
    put([...OLD, nic(3)]);
    const change = await multinic('plan', '--root', root, '--tree', tree);
    expect(change.code).toBe(10);
    expect(change.text).toContain('ens8 is named multinic3');
    put([nic(0, { mac: mac('fa:16:3e:00:01:00') })]);
    const refused = await multinic('plan', '--root', root, '--tree', tree);
    expect(refused).toMatchObject({ code: 1, text: expect.stringContaining('NicInUse') });
    expect((await multinic('plan', '--root', root)).code).toBe(2);
  });
});

test('while another agent works on the host: no report, exit code 75', async () => {
  mkdirSync(join(root, 'var/lib/multinic'), { recursive: true });
  const holder = spawn(
    'flock',
    [join(root, 'var/lib/multinic/lock'), 'sh', '-c', 'echo locked; exec sleep 60'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  await once(holder.stdout, 'data');
  const end = await advance();
  const job = writeJob({
    dir: folder.path,
    root,
    url: store.server.url,
    commit: second,
    expectedRecord: first,
  });
  const planned = await multinic('plan', '--root', root, '--job', job);
  holder.kill('SIGKILL');
  expect([end.code, end.outcome]).toEqual([75, undefined]);
  expect(planned).toMatchObject({ code: 75, text: expect.stringContaining('(AgentRunning)') });
  expect(end.log).toContain('another agent runs on this node');
});

test('an unusable job file or root: exit code 2, no report', async () => {
  const job = join(folder.path, 'bad.json');
  writeFileSync(job, '{}');
  for (const args of [
    ['apply', '--job', job, '--root', root, '--offline'],
    ['cleanup', '--root', join(root, 'none'), '--offline'],
    ['cleanup', '--root', root],
  ]) {
    const { end } = startAgent(args, folder.path);
    expect(await end).toMatchObject({ code: 2, outcome: undefined });
  }
});

describe('hostile trees in a real store', () => {
  const good = renderTree(identity('netplan'), NEW);
  const PATH = 'etc/netplan/90-multinic0.yaml';
  test.each<[string, ReadonlyMap<string, string>]>([
    ['a path that is not managed', new Map([...good, ['etc/cron.d/x', '* * * * * root true\n']])],
    ['broken YAML', new Map([...good, [PATH, 'network: [']])],
    [
      'a foreign key',
      new Map([...good, [PATH, (good.get(PATH) ?? '').replace('dhcp4: false', 'gateway4: 10.0.0.1')]]),
    ],
    ['a huge file', new Map([...good, [PATH, `${good.get(PATH)}# ${'x'.repeat(70_000)}\n`]])],
    ['node.yaml of another node', renderTree(identity('netplan', 'worker-2'), NEW)],
  ])('%s', async (_, files) => {
    const before = hostFiles(root);
    const commit = await store.commitFiles(files);
    expect((await advance({ commit })).outcome).toMatchObject({ result: 'Failed', commit });
    expect(hostFiles(root)).toEqual(before);
  });

  test.each([
    ['a link', '120000'],
    ['an executable', '100755'],
  ])('%s', async (_, mode) => {
    const before = hostFiles(root);
    const commit = await commitMode(mode);
    expect((await advance({ commit })).outcome).toMatchObject({
      result: 'Failed',
      reason: 'InvalidTree',
      step: 'tree',
    });
    expect(hostFiles(root)).toEqual(before);
  });

  /** Makes the commit with git, because our own writer makes no such commit. */
  async function commitMode(mode: string): Promise<string> {
    const ref = `refs/heads/node/${NODE}`;
    const git = (args: string[], input?: string): string =>
      execFileSync('git', ['-C', store.store.dir, ...args], { input, encoding: 'utf8', env: GIT_ENV }).trim();
    const blob = git(['hash-object', '-w', '--stdin'], '/etc/shadow');
    const index = { ...GIT_ENV, GIT_INDEX_FILE: join(folder.path, 'index') };
    const tip = await store.store.reader.ref(ref);
    execFileSync('git', ['-C', store.store.dir, 'read-tree', tip ?? ''], { env: index });
    execFileSync(
      'git',
      ['-C', store.store.dir, 'update-index', '--add', '--cacheinfo', `${mode},${blob},${PATH}`],
      { env: index },
    );
    const tree = execFileSync('git', ['-C', store.store.dir, 'write-tree'], {
      env: index,
      encoding: 'utf8',
    }).trim();
    const commit = oid(git(['commit-tree', tree, '-p', tip ?? '', '-m', 'hostile']));
    const batch = new Batch();
    batch.move(ref, commit, tip ?? null);
    await store.store.write(batch);
    return commit;
  }

  const GIT_ENV = {
    ...process.env,
    GIT_AUTHOR_NAME: 'x',
    GIT_AUTHOR_EMAIL: 'x@example.org',
    GIT_COMMITTER_NAME: 'x',
    GIT_COMMITTER_EMAIL: 'x@example.org',
  };
});

test('a report of 32 NICs fits a termination message', async () => {
  const network = Array.from({ length: 32 }, (_, index) =>
    nic(index, {
      mac: mac(`02:00:00:00:02:${index.toString(16).padStart(2, '0')}`),
      address: `192.168.${100 + index}.10`,
    }),
  );
  const commit = await store.commit('netplan', network);
  const end = await run({ commit, expectedRecord: first });
  expect(end.outcome?.result).toBe('Pending');
  expect(end.outcome?.missing).toHaveLength(32);
  expect(readFileSync(join(folder.path, 'outcome.json')).length).toBeLessThanOrEqual(OUTCOME_MAX_BYTES);
});
