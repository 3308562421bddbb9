// Kills at a named instant of `multinic local --once` in a child process, with its agents, on a home of its own.
// MULTINIC_KILL_AT reaches the agents too, so an `agent.` instant kills those and leaves the controller alone.

import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import { expect } from 'vitest';
import { CARRIER_WAIT_PATH } from '../../src/agent/files/carrier-wait.ts';
import { limitsOf } from '../../src/cli/limits.ts';
import { EXIT } from '../../src/api/exit-codes.ts';
import type { StatusReport } from '../../src/controller/status-report.ts';
import { agentOf } from '../../src/local/jobs.ts';
import { runLocal } from '../../src/local/serve-local.ts';
import { leftovers } from './store-crash.ts';
import { NODES, type LocalRun, type TestSpec } from './local.ts';

const BUNDLE = resolve(import.meta.dirname, '../../dist/multinic.js');
const [ONE, TWO] = NODES;

/** Checkpoints that the controller passes during a first import and an edit. */
export const CONTROLLER_INSTANTS = [
  'store.takeover',
  'local.listening',
  'store.import',
  'store.imported',
  'store.transaction',
  'store.moved',
  'store.durable',
  'mirror.main',
  'mirror.branches',
  'controller.mirrored',
  'controller.start',
  'local.job.created',
  'local.job.launched',
  'controller.status',
  'local.saved',
  'controller.ended',
  'controller.recorded',
  'controller.forgotten',
];

/** Checkpoints that an agent with work passes. */
export const AGENT_INSTANTS = (
  'lock recover checkout tree detect plan preflight validate backup record arm write write.file activate ' +
  'activate.link verify disarm finish report'
)
  .split(' ')
  .map((step) => `agent.${step}`);

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** Runs a controller that ends when nothing is left to do. */
export function startOnce(local: LocalRun, killAt?: string): { child: ChildProcess; end: Promise<Ended> } {
  const child = spawn(process.execPath, [BUNDLE, 'local', local.dir, '--once'], {
    env: { ...process.env, NO_COLOR: '1', ...(killAt !== undefined && { MULTINIC_KILL_AT: killAt }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const end = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    output,
  }));
  return { child, end };
}

export function runOnce(local: LocalRun, killAt?: string): Promise<Ended> {
  return startOnce(local, killAt).end;
}

/** Does the same in this process, for runs without a kill: a third of the work of a child process. */
async function runHere(local: LocalRun): Promise<Pick<Ended, 'code' | 'output'>> {
  let output = '';
  const configured = await runLocal({
    dir: local.dir,
    host: '127.0.0.1',
    port: 0,
    once: true,
    agent: agentOf(BUNDLE),
    ...limitsOf(
      {
        jobs: 10,
        stopAfter: 3,
        maxRemoval: 10,
        retireAfter: 24,
        drift: 'repair',
        sourceRouting: 'auto',
        clusterNetworks: [],
        observeInterval: 60,
      },
      { apply: 'live', probes: [], deadlineSeconds: 120 },
    ),
    log: pino({ level: 'silent' }),
    onEvent: ({ reason, message }) => (output += `${reason}  ${message}\n`),
    onListening: () => undefined,
    signal: new AbortController().signal,
  });
  return { code: configured ? EXIT.done : EXIT.unsettled, output };
}

/** Changes two nodes in one generation: the MTU of one, and the interfaces of the other, which loses one. */
export function twoEdits(spec: TestSpec): void {
  const entry = (node: string) => spec.nodeConfigs.find((each) => each.attachedNodeName === node)!;
  entry(ONE).interfaces!.splice(1, 1);
  entry(TWO).interfaces![0]!.mtu = 1400;
}

/** Refs that a kill must not lose: all but the fence and the commit that the mirror has reached. */
export async function tips(local: LocalRun): Promise<Map<string, string>> {
  const text = await local.git(
    'for-each-ref',
    '--format=%(refname) %(objectname)',
    'refs/heads',
    'refs/audit',
  );
  return new Map(text === '' ? [] : text.split('\n').map((line) => line.split(' ') as [string, string]));
}

/** Reboots all nodes, as after a power cut: the controller works on a rebooted node at once. */
export async function rebootAll(local: LocalRun): Promise<void> {
  for (const node of NODES) await local.editHost(node, (host) => (host.bootId = randomUUID()));
}

/** Managed files on a host, by path. */
export async function hostFiles(local: LocalRun, node: string): Promise<Record<string, string>> {
  const root = local.hostRoot(node);
  const entries = await readdir(join(root, 'etc'), { recursive: true, withFileTypes: true });
  const files: Record<string, string> = {};
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const file = path.slice(root.length + 1);
    if (!entry.isFile() || !entry.name.includes('multinic') || path.includes('/backup/')) continue;
    // A file of the agent itself.
    if (file !== CARRIER_WAIT_PATH) files[file] = await readFile(path, 'utf8');
  }
  return files;
}

/** Files of a node's branch, without node.yaml. */
async function branchFiles(local: LocalRun, revision: string): Promise<Record<string, string>> {
  const lines = (await local.git('ls-tree', '-r', '--format=%(objectname) %(path)', revision)).split('\n');
  const entries = lines
    .map((line) => line.split(' ') as [string, string])
    .filter(([, path]) => path !== 'node.yaml');
  const contents = await blobs(
    local,
    entries.map(([oid]) => oid),
  );
  return Object.fromEntries(entries.map(([, path], index) => [path, contents[index] ?? '']));
}

/** One process for all of them. */
async function blobs(local: LocalRun, oids: readonly string[]): Promise<string[]> {
  const { stdout } = await execa('git', ['cat-file', '--batch'], {
    cwd: join(local.dir, 'store.git'),
    input: oids.map((oid) => `${oid}\n`).join(''),
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  const found: string[] = [];
  let rest = Buffer.from(stdout);
  for (const oid of oids) {
    const end = rest.indexOf('\n');
    const [, , size] = rest.subarray(0, end).toString().split(' ');
    if (size === undefined) throw new Error(`no blob ${oid}`);
    found.push(rest.subarray(end + 1, end + 1 + Number(size)).toString());
    rest = rest.subarray(end + 2 + Number(size));
  }
  return found;
}

/** Checks that each host has all files of one of these revisions of its branch. */
export async function expectOneOf(
  local: LocalRun,
  node: string,
  revisions: readonly string[],
): Promise<void> {
  const states = await Promise.all(revisions.map((revision) => branchFiles(local, revision)));
  expect(states).toContainEqual(await hostFiles(local, node));
}

/** Number of times that Applied runs wrote each file of a commit, from the jobs' logs: `node commit path`. */
async function writes(local: LocalRun): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const node of NODES) {
    const archive = join(local.dir, 'jobs/archive', node);
    for (const job of await readdir(archive)) {
      const report = await readFile(join(archive, job, 'outcome.json'), 'utf8').catch(() => '{}');
      const { commit, result } = JSON.parse(report) as { commit?: string; result?: string };
      // A run that lost its store half-way has restored everything.
      if (result !== 'Applied') continue;
      const log = await readFile(join(archive, job, 'log'), 'utf8');
      for (const line of log.split('\n').filter((text) => text.startsWith('{'))) {
        const { msg, path } = JSON.parse(line) as { msg: string; path?: string };
        if (msg !== 'written' && msg !== 'removed') continue;
        const key = `${node} ${commit} ${path}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
  }
  return counts;
}

/** Results of a commit's runs on its node, newest first. */
async function resultsOf(local: LocalRun, node: string, commit: string): Promise<string[]> {
  const format = '%P|%(trailers:key=Result,valueonly,separator=%x2C)';
  const lines = (await local.git('log', '--first-parent', `--format=${format}`, `outcome/${node}`)).split(
    '\n',
  );
  return lines
    .filter((line) => line.split('|')[0]!.endsWith(` ${commit}`))
    .map((line) => line.split('|')[1]!);
}

export interface Recovered {
  /** Refs before the killed run, and after the kill. */
  readonly before: readonly ReadonlyMap<string, string>[];
  /** Generations that main must have, each exactly once. */
  readonly generations: number;
  /** True if no agent was killed, so that each file was written once. */
  readonly agentsWhole: boolean;
}

/** Runs the controller again without a kill, and expects the same state as without the first kill. */
export async function expectRecovers(local: LocalRun, expected: Recovered): Promise<void> {
  let { code, output } = await runHere(local);
  if (code === 4) {
    // Agents that outlived the controller lost their store and touched nothing, and agents that were killed with the
    // controller need a next run. Both are tried again only after a minute.
    expect(output).toMatch(
      expected.agentsWhole
        ? /(StoreUnreachable|NodeFailed) .* store/
        : /(StoreUnreachable|NodeFailed) .* store|OutcomeLost/,
    );
    if (!output.includes('OutcomeLost'))
      for (const node of NODES) await expectOneOf(local, node, [`node/${node}~1`, `node/${node}`]);
    await rebootAll(local);
    ({ code, output } = await runHere(local));
  }
  expect({ code, output }).toMatchObject({ code: 0 });
  await expectWhole(local, expected);

  const after = await tips(local);
  expect(await runHere(local)).toMatchObject({ code: 0 });
  expect(await tips(local), 'a run with nothing to do writes nothing').toEqual(after);
}

async function expectWhole(local: LocalRun, expected: Recovered): Promise<void> {
  const report = JSON.parse(await readFile(join(local.dir, 'status/report.json'), 'utf8')) as StatusReport;
  expect(report.nodes.map(({ node, state }) => `${node} ${state}`)).toEqual(
    NODES.map((node) => `${node} Configured`),
  );
  expect(await local.git('fsck', '--full', '--no-dangling')).toBe('');
  expect(await leftovers(join(local.dir, 'store.git'))).toEqual([]);
  expect(await readdir(join(local.dir, 'jobs'))).toEqual(['archive']);

  const now = await tips(local);
  for (const earlier of expected.before) {
    for (const [ref, tip] of earlier) {
      if (now.get(ref) !== tip) await local.git('merge-base', '--is-ancestor', tip, now.get(ref)!);
    }
  }
  const generations = await local.git(
    'log',
    '--format=%(trailers:key=Generation,valueonly,separator=)',
    'main',
  );
  expect(generations.split('\n').filter(Boolean).reverse()).toEqual(
    Array.from({ length: expected.generations }, (_, index) => String(index + 1)),
  );

  const written = await writes(local);
  for (const node of NODES) {
    const tip = await local.tip(node);
    expect(await hostFiles(local, node)).toEqual(await branchFiles(local, tip));
    const results = await resultsOf(local, node, tip);
    expect(results.filter((result) => result === 'Applied')).toHaveLength(1);
    expect(results[0]).toBe('Applied');
  }
  if (expected.agentsWhole) expect([...written].filter(([, count]) => count !== 1)).toEqual([]);
}

/** Running processes of this home: its git children, or its agents. */
export async function processesOf(local: LocalRun, kind: 'git' | 'agent'): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    try {
      const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
      const ofStore =
        environment.includes(`GIT_DIR=${join(local.dir, 'store.git')}`) ||
        (await readlink(`/proc/${pid}/cwd`)) === join(local.dir, 'store.git');
      const isAgent =
        words.includes('agent') && words.some((word) => word.startsWith(join(local.dir, 'jobs')));
      if (kind === 'agent' ? isAgent && words[0] === process.execPath : ofStore && !isAgent)
        found.push(Number(pid));
    } catch {
      // The process has ended meanwhile.
    }
  }
  return found;
}
