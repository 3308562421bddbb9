// A local home whose controller is killed at random instants while hosts drift, are looked at and are repaired.

import { readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, inject } from 'vitest';
import { parse } from 'yaml';
import { LocalRun, NODES, type TestHost } from './local.ts';
import { randomOf } from './random.ts';

const [ONE, TWO, THREE] = NODES;
const IFCFG = 'etc/sysconfig/network-scripts/ifcfg-multinic0';
/** Time after an edit within which an observation and its repair begin and mostly end. */
const LONGEST_MS = 3_000;
/** Time limit for a busy machine: a repair that lost its store is tried again only after a minute. */
const ROUND_MS = 300_000;

interface Kept {
  readonly result: string;
  readonly request: string;
  readonly job: string;
}

export interface Survived {
  readonly kills: number;
  /** Rounds in which the third node still differed after the controller was killed. */
  readonly undone: number;
  /** Runs of the third node that began after somebody had removed its difference. */
  readonly idleRuns: number;
}

/**
 * Kills the controller while one node is repaired in its links and another in its files. The third node's difference is
 * removed by hand while no controller runs, so no later run may change that host.
 */
export async function killAtRandom(kills: number, seed: number): Promise<Survived> {
  const random = randomOf(seed);
  await using local = await LocalRun.prepare(inject('configuredHome'));
  await local.launch();
  await local.settled();
  const { port } = new URL(await local.remote());
  let undone = 0;
  let idleRuns = 0;
  for (let round = 0; round < kills; round += 1) {
    await setMtu(local, ONE, 1300 + (round % 50));
    await setMtu(local, THREE, 1300 + (round % 50));
    if (round % 2 === 0) await rm(join(local.hostRoot(TWO), IFCFG));
    else await editMtu(local);
    await ask(local, '/observe', { nodes: [TWO] });
    await pause(random() * LONGEST_MS);
    await local.kill();
    // Lets a running agent end, and removes what remains of the third node's difference.
    await local.agentsEnded();
    const before = await jobsOf(local, THREE);
    const isLeft = (await mtuOf(local, THREE)) !== 1500;
    await setMtu(local, THREE, 1500);
    // Starts the controller at the same port, because agents verify that the store still answers there.
    await local.launch({ args: ['--port', port] });
    await ask(local, '/observe', { nodes: NODES });
    const asked = Date.now();
    await untilRight(local, round);
    await untilSeen(local, THREE, asked);
    // A person's request resets the count of repeated repairs.
    for (const node of NODES) await ask(local, `/nodes/${node}/retry`, {});
    await local.until('the requests are answered', () => haveRun(local, NODES), ROUND_MS);
    if (isLeft) {
      undone += 1;
      const since = (await archivedRuns(local, THREE)).filter((job) => !before.has(job));
      for (const job of since) await expectIdle(local, THREE, job);
      // One of the runs answers the request.
      idleRuns += Math.max(0, since.length - 1);
    }
    for (const node of [ONE, TWO]) await expectDrifts(local, node, round + 1);
  }
  await local.settled(ROUND_MS);
  for (const node of NODES) {
    expectNoDoubles(node, await records(local, node));
  }
  expect(await local.git('fsck', '--strict', '--no-dangling')).toBe('');
  return { kills, undone, idleRuns };
}

/** Ended runs of a node that are recorded. */
async function archivedRuns(local: LocalRun, node: string): Promise<string[]> {
  const names = await readdir(join(local.dir, 'jobs/archive', node)).catch(() => []);
  return names.filter((name) => name.startsWith('multinic-agent-'));
}

/** Runs of a node that an earlier controller started, recorded or not. */
async function jobsOf(local: LocalRun, node: string): Promise<Set<string>> {
  const jobs = join(local.dir, 'jobs');
  const names = (await readdir(jobs)).filter((name) => name.startsWith('multinic-agent-'));
  const ofNode = await Promise.all(
    names.map(async (name) => {
      const request = await readFile(join(jobs, name, 'request.json'), 'utf8');
      const started = await readlink(join(jobs, name, 'claim')).catch(() => undefined);
      return started !== undefined && (JSON.parse(request) as { node: string }).node === node ? [name] : [];
    }),
  );
  return new Set([...(await archivedRuns(local, node)), ...ofNode.flat()]);
}

/** A run that began after the difference was removed changed nothing. */
async function expectIdle(local: LocalRun, node: string, job: string): Promise<void> {
  const log = await readFile(join(local.dir, 'jobs/archive', node, job, 'log'), 'utf8');
  expect(log, `${node}: ${job} repaired what was right`).not.toMatch(
    /"msg":"(written|removed|link changed)"/,
  );
}

/**
 * Checks that no drift is lost and none is recorded twice. The same drift may follow a repair that failed because its
 * store was gone for too long.
 */
async function expectDrifts(local: LocalRun, node: string, count: number): Promise<void> {
  const kept = await records(local, node);
  const of = (result: string): number => kept.filter((record) => record.result === result).length;
  if (of('Drifted') !== count + of('Failed'))
    throw new Error(`${node}: ${count} drifts\n${JSON.stringify(kept, undefined, 1)}\n${local.output}`);
}

/** Waits until each host equals its commit, no drift is known, and no job runs. */
async function untilRight(local: LocalRun, round: number): Promise<void> {
  await local.until(
    `round ${round} is over`,
    async () => {
      const mtus = await Promise.all(NODES.map((node) => mtuOf(local, node)));
      const file = await local.hostFile(TWO, IFCFG);
      if (mtus.some((mtu) => mtu !== 1500) || file?.includes('MTU=1500') !== true) return false;
      return haveRun(local);
    },
    ROUND_MS,
  );
  await local.settled(ROUND_MS);
}

/** Whether the newest record of each node is a run. */
async function haveRun(local: LocalRun, nodes: readonly string[] = [ONE, TWO]): Promise<boolean> {
  const newest = await Promise.all(nodes.map(async (node) => (await records(local, node)).at(-1)));
  return newest.every((record) => record !== undefined && isRun(record));
}

/** Waits for an observation of a host after a time that found no drift. */
async function untilSeen(local: LocalRun, node: string, since: number): Promise<void> {
  await local.until(
    `${node} was looked at`,
    async () => {
      // Asks for another node, because a request makes the controller write the file at once.
      await ask(local, '/observe', { nodes: [ONE] });
      await pause(500);
      const text = await readFile(join(local.dir, 'observed.json'), 'utf8');
      const { at = 0 } = (JSON.parse(text) as { hosts: Record<string, { at?: number }> }).hosts[node] ?? {};
      return at >= since;
    },
    ROUND_MS,
  );
  const newest = (await records(local, node)).findLast(({ request }) => request === '');
  expect(newest?.result).not.toBe('Drifted');
}

/** Checks that no Job counts twice, and that each run after the first has a cause: a drift or a request. */
function expectNoDoubles(node: string, kept: readonly Kept[]): void {
  const jobs = kept.flatMap(({ job, request }) => (job === '' || request !== '' ? [] : [job]));
  expect(new Set(jobs).size, `${node}: a Job is recorded twice`).toBe(jobs.length);
  let explained = true;
  for (const record of kept) {
    if (isRun(record)) {
      expect(explained, `${node}: a run without a cause: ${JSON.stringify(kept)}`).toBe(true);
      // A run that failed is tried again.
      explained = record.result !== 'Applied';
    } else if (record.result === 'Drifted' || record.request === 'retry') explained = true;
    else if (record.result === 'Observed') explained = false;
  }
}

function isRun({ result }: Kept): boolean {
  return !['Drifted', 'Observed', 'Requested', 'Superseded'].includes(result);
}

/** Records of an outcome branch, oldest first, without pauses. */
async function records(local: LocalRun, node: string): Promise<Kept[]> {
  const fields = ['Result', 'Request', 'Job'].map((key) => `%(trailers:key=${key},valueonly,separator=)`);
  const format = `--format=${fields.join('|')}`;
  const text = await local.git('log', '--first-parent', '--reverse', format, `outcome/${node}`);
  return text
    .split('\n')
    .map((each) => each.split('|') as [string, string, string])
    .flatMap(([result, request, job]) => (result === '' ? [] : [{ result, request, job }]));
}

async function ask(local: LocalRun, path: string, body: object): Promise<void> {
  const answer = await fetch(`${new URL(await local.remote()).origin}/api/v1${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await local.token()}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
}

const linkOf = (host: TestHost): TestHost['links'][number] =>
  host.links.find(({ name }) => name === 'multinic0')!;

function setMtu(local: LocalRun, node: string, mtu: number): Promise<void> {
  return local.editHost(node, (host) => (linkOf(host).mtu = mtu));
}

async function mtuOf(local: LocalRun, node: string): Promise<number> {
  return linkOf(parse((await local.hostFile(node, 'host.yaml'))!) as TestHost).mtu;
}

async function editMtu(local: LocalRun): Promise<void> {
  const text = (await local.hostFile(TWO, IFCFG))!;
  await writeFile(join(local.hostRoot(TWO), IFCFG), text.replace('MTU=1500', 'MTU=1350'));
}
