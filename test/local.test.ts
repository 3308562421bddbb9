// The local home with real processes and real file events. The agent is a script, so that a test decides when and
// how it ends.
import { oid } from './support/oid.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentJob } from '../src/api/job.ts';
import type { Outcome } from '../src/api/outcome.ts';
import { openLocalHome } from '../src/local/home.ts';
import { JobFolder } from '../src/local/job-folder.ts';
import { ChildRunner, type ChildRunnerOptions } from '../src/local/jobs.ts';
import { watchHome, type Watch } from '../src/local/watch.ts';
import type { JobRequest, JobStatus } from '../src/scheduler/job-port.ts';

const SOURCE = join(import.meta.dirname, '../src/local');
const COMMIT = oid('c'.repeat(40));
const NODE = 'k8s-worker-01';

/** Records its start, waits until the test releases it, and writes the report that the test has prepared. */
const AGENT = `
  cd "$2" && echo "$$" >> started && echo working
  until [ -e go ]; do sleep 0.02; done
  if [ -e report.json ]; then cp report.json "$3"; fi
  exit "$(cat go)"`;

let dir: string;
let root: string;
const runners: ChildRunner[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-local-'));
  await cp(join(import.meta.dirname, '../fixtures/local'), dir, { recursive: true });
  root = join(dir, 'nodes', NODE, 'root');
});
afterEach(async () => {
  for (const runner of runners.splice(0)) {
    await letGo();
    while ((await runner.list()).some(({ phase }) => phase === 'running')) await pause(20);
    runner.close();
  }
  await rm(dir, { recursive: true });
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function eventually(check: () => Promise<void>, ms = 5000): Promise<void> {
  for (const end = performance.now() + ms; ;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
      await pause(20);
    }
  }
}

function options(more: Partial<ChildRunnerOptions> = {}): ChildRunnerOptions {
  return {
    dir,
    url: 'http://localhost:1/git/',
    token: async (node) => `token of ${node}`,
    command: ({ job, root, outcome }) => ['sh', '-c', AGENT, 'sh', job, root, outcome],
    changed: () => {},
    log: pino({ level: 'silent' }),
    ...more,
  };
}

async function open(more: Partial<ChildRunnerOptions> = {}): Promise<ChildRunner> {
  const runner = await ChildRunner.open(options(more));
  runners.push(runner);
  return runner;
}

function request(stamp = '20250121103200'): JobRequest {
  return {
    name: `multinic-agent-i-1-${stamp}`,
    node: NODE,
    nodeId: 'i-1',
    commit: COMMIT,
    expectedRecord: null,
    attempt: 2,
    apply: 'live',
    deadlineSeconds: 120,
  };
}

/** Fields of /proc/PID/stat after the name: state, parent, group, session. */
const statOf = async (pid: string): Promise<string[]> =>
  (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ');
const parentOf = async (pid: string): Promise<string> => (await statOf(pid))[1]!;

const layOut = (outcome: Partial<Outcome> = {}): Promise<void> =>
  writeFile(
    join(root, 'report.json'),
    JSON.stringify({
      version: 1,
      node: NODE,
      job: request().name,
      commit: COMMIT,
      result: 'Applied',
      step: 'report',
      machineId: 'm',
      bootId: 'b',
      startedAt: '2025-01-21T10:32:00Z',
      durationMs: 1,
      ...outcome,
    }),
  );
const letGo = (exitCode = 0): Promise<void> => writeFile(join(root, 'go'), String(exitCode));
/** Process IDs of the started agents, one for each start. */
const starts = async (): Promise<string[]> =>
  (await readFile(join(root, 'started'), 'utf8').catch(() => '')).split('\n').filter(Boolean);
const only = async (runner: ChildRunner): Promise<JobStatus | undefined> => (await runner.list())[0];
const started = (count = 1): Promise<void> =>
  eventually(async () => expect(await starts()).toHaveLength(count));
const finished = async (runner: ChildRunner): Promise<JobStatus> => {
  await eventually(async () => expect((await only(runner))?.phase).toBe('finished'));
  return (await only(runner))!;
};

describe('an agent as a child process', () => {
  test('gets its job and token, reports, and leaves its log', async () => {
    let changes = 0;
    const runner = await open({ changed: () => (changes += 1) });
    await layOut();
    await runner.start(request());
    await started();
    expect(await only(runner)).toEqual({
      name: request().name,
      node: NODE,
      commit: COMMIT,
      attempt: 2,
      phase: 'running',
    });
    const folder = join(dir, 'jobs', request().name);
    const job = AgentJob.strict().parse(JSON.parse(await readFile(join(folder, 'job.json'), 'utf8')));
    expect(job).toMatchObject({
      name: request().name,
      commit: COMMIT,
      url: 'http://localhost:1/git/',
      tokenFile: join(folder, 'token'),
    });
    expect(await readFile(job.tokenFile, 'utf8')).toBe(`token of ${NODE}\n`);
    expect((await stat(job.tokenFile)).mode & 0o777).toBe(0o600);
    expect(changes).toBe(0);

    await letGo();
    expect((await finished(runner)).outcome).toMatchObject({ result: 'Applied', job: request().name });
    await eventually(async () => expect(changes).toBe(1));

    await runner.forget(request().name);
    await runner.forget(request().name);
    expect(await runner.list()).toEqual([]);
    const archive = join(dir, 'jobs/archive', NODE, request().name);
    expect(await readFile(join(archive, 'log'), 'utf8')).toBe('working\n');
    expect(await readdir(archive)).not.toContain('token');
  });

  test('starts once, however often it is asked for', async () => {
    const [first, second] = [await open(), await open()];
    await Promise.all([first.start(request()), first.start(request()), second.start(request())]);
    await started();
    await second.start(request());
    await letGo();
    await finished(first);
    expect(await starts()).toHaveLength(1);
  });

  test('is not forgotten while it runs', async () => {
    const runner = await open();
    await runner.start(request());
    await started();
    await expect(runner.forget(request().name)).rejects.toMatchObject({ code: 'JobRunning' });
  });

  test('leaves the logs of its last five jobs', async () => {
    const runner = await open();
    await letGo();
    for (let second = 10; second < 17; second++) {
      const { name } = request(`202501211032${second}`);
      await runner.start({ ...request(), name });
      await finished(runner);
      await runner.forget(name);
    }
    expect((await readdir(join(dir, 'jobs/archive', NODE))).map((name) => name.slice(-2)).toSorted()).toEqual(
      ['12', '13', '14', '15', '16'],
    );
  });
});

describe('an end without a report:', () => {
  test('the message has the exit code and the path of the log', async () => {
    const runner = await open();
    await letGo(75);
    await runner.start(request());
    const status = await finished(runner);
    expect(status.outcome).toBeUndefined();
    expect(status.message).toBe(
      `the agent ended without a report (exit code 75); its log: jobs/archive/${NODE}/${request().name}/log`,
    );
    await runner.forget(request().name);
    expect(await readFile(join(dir, status.message!.split('log: ')[1]!), 'utf8')).toBe('working\n');
  });

  test('a killed agent', async () => {
    const runner = await open();
    await runner.start(request());
    await started();
    process.kill(Number((await starts())[0]), 'SIGKILL');
    expect((await finished(runner)).message).toMatch(/exit code 137/);
  });

  test('a job does not end while its agent lives, even if the parents of the agent die', async () => {
    let changes = 0;
    const runner = await open({ changed: () => (changes += 1) });
    await layOut();
    await runner.start(request());
    await started();
    const shell = await parentOf((await starts())[0]!);
    process.kill(Number(await parentOf(shell)), 'SIGKILL');
    await eventually(async () => expect(changes).toBe(1));
    process.kill(Number(shell), 'SIGKILL');
    await pause(100);
    expect(await only(runner)).toMatchObject({ phase: 'running' });
    await letGo();
    await eventually(async () => expect(changes).toBe(2));
    expect((await finished(runner)).outcome?.result).toBe('Applied');
  });

  test('a reboot of the machine, after which no process of the job exists', async () => {
    const runner = await open();
    await runner.start(request());
    await started();
    // Kills the session of the job, and nothing else.
    const [, , , session] = await statOf((await starts())[0]!);
    process.kill(-Number(session), 'SIGKILL');
    expect((await finished(runner)).message).toMatch(/killed, or the machine stopped/);
  });

  test.each([
    ['of another job', { job: 'multinic-agent-i-1-20200101000000' }],
    ['of another commit', { commit: oid('d'.repeat(40)) }],
    ['of another version', { version: 2 as unknown as 1 }],
  ])('a report %s counts as none', async (_, spoilt) => {
    const runner = await open();
    await layOut(spoilt);
    await letGo();
    await runner.start(request());
    const status = await finished(runner);
    expect(status.outcome).toBeUndefined();
    expect(status.message).toMatch(/a report that cannot be its own/);
  });

  test('an agent whose program fails at its start', async () => {
    let changes = 0;
    const runner = await open({
      token: () => Promise.reject(new Error('no token today')),
      changed: () => (changes += 1),
    });
    await runner.start(request());
    expect(await only(runner)).toMatchObject({
      phase: 'finished',
      message: 'the agent could not be started: no token today; mend that, then retry',
    });
    expect(changes).toBe(1);
    expect(await starts()).toEqual([]);
    await runner.forget(request().name);
    expect(await runner.list()).toEqual([]);
  });

  test('an agent whose program does not exist', async () => {
    const runner = await open({ command: () => ['/nowhere/multinic'] });
    await runner.start(request());
    expect((await finished(runner)).message).toMatch(/exit code 127/);
  });
});

describe('the withdrawal', () => {
  test('of a waiting job: the job never starts', async () => {
    const runner = await open();
    await JobFolder.create(join(dir, 'jobs'), request());
    expect(await only(runner)).toMatchObject({ phase: 'waiting' });
    await runner.withdraw(request().name);
    await runner.withdraw(request().name);
    expect(await runner.list()).toEqual([]);
    expect(await starts()).toEqual([]);
  });

  test('of a running job changes nothing', async () => {
    const runner = await open();
    await runner.start(request());
    await started();
    await runner.withdraw(request().name);
    expect(await only(runner)).toMatchObject({ phase: 'running' });
  });

  test('at any instant of the start: the agent runs to its end, or not at all', async () => {
    const runner = await open();
    await letGo();
    let ran = 0;
    for (let round = 0; round < 20; round++) {
      const { name } = request(`202501211033${10 + round}`);
      const start = runner.start({ ...request(), name });
      await pause(round);
      await runner.withdraw(name);
      await start;
      await eventually(async () => expect((await only(runner))?.phase ?? 'finished').toBe('finished'));
      if ((await only(runner)) !== undefined) ran += 1;
      await runner.forget(name);
    }
    // An agent that started after its withdrawal would appear after a moment.
    await pause(200);
    expect(await starts()).toHaveLength(ran);
  });
});

/** Starts the job from another process, which stays or dies at a named instant. */
async function controller(killAt?: string): Promise<void> {
  const program = `
    import { ChildRunner } from '${SOURCE}/jobs.ts';
    const runner = await ChildRunner.open({
      dir: ${JSON.stringify(dir)}, url: 'http://localhost:1/git/', token: async () => 'token', changed() {}, log: { error: console.error },
      command: ({ job, root, outcome }) => ['sh', '-c', ${JSON.stringify(AGENT)}, 'sh', job, root, outcome],
    });
    await runner.start(${JSON.stringify(request())});
    console.log('started');
    setInterval(() => {}, 1000);`;
  const env = { ...process.env, ...(killAt !== undefined && { MULTINIC_KILL_AT: killAt }) };
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (killAt === undefined) {
    await once(child.stdout!, 'data');
    child.kill('SIGKILL');
  }
  const [, signal] = (await once(child, 'exit')) as [number | null, string];
  expect(signal).toBe('SIGKILL');
}

describe('a controller that is killed', () => {
  test('leaves its agent running; the next controller finds the agent and learns of its end', async () => {
    await controller();
    await started();
    let changes = 0;
    const runner = await open({ changed: () => (changes += 1) });
    expect(await only(runner)).toMatchObject({ phase: 'running' });
    await layOut();
    await letGo();
    await eventually(async () => expect(changes).toBe(1));
    expect((await finished(runner)).outcome?.result).toBe('Applied');
    expect(await starts()).toHaveLength(1);
  });

  test.each(['local.job.created', 'local.job.launched'])('at %s: the job runs once', async (instant) => {
    await controller(instant);
    const runner = await open();
    await started();
    await letGo();
    await finished(runner);
    expect(await starts()).toHaveLength(1);
  });

  test('leaves no lock on the home', async () => {
    const program = `
      import { openLocalHome } from '${SOURCE}/home.ts';
      await openLocalHome(${JSON.stringify(dir)});
      console.log('open');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    await expect(openLocalHome(dir)).rejects.toThrow(
      new RegExp(`pid ${child.pid}, .*stop it, or use a folder of your own`),
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await openLocalHome(dir)).close();
  });
});

const CR = 'crs/production-cluster-network.yaml';
/** Saves a file by rename, as editors and our own programs do. */
const replace = async (path: string): Promise<void> => {
  await writeFile(join(dir, `${path}.new~`), `${await readFile(join(dir, path), 'utf8')}#\n`);
  await rename(join(dir, `${path}.new~`), join(dir, path));
};

describe('a watch over the home', () => {
  let calls = 0;
  let watch: Watch;
  beforeEach(async () => {
    calls = 0;
    watch = await watchHome(
      dir,
      () => (calls += 1),
      (error) => expect.fail(String(error)),
    );
  });
  afterEach(() => watch.close());

  /** Number of calls within a second after an edit. */
  async function callsAfter(edit: () => Promise<void>): Promise<number> {
    calls = 0;
    await edit();
    await eventually(async () => expect(calls).toBeGreaterThan(0), 1000);
    await pause(300);
    return calls;
  }

  test.each([
    ['an edited CR', () => appendFile(join(dir, CR), '# edited\n')],
    ['a new CR', () => writeFile(join(dir, 'crs/new.yaml'), '')],
    ['a CR that is deleted', () => rm(join(dir, CR))],
    ['all CRs deleted with their folder', () => rm(join(dir, 'crs'), { recursive: true })],
    ['the inventory', () => replace('inventory.yaml')],
    ['a machine', () => replace(`nodes/${NODE}/root/host.yaml`)],
    [
      'many edits at once',
      async () => {
        for (let edit = 0; edit < 20; edit++) await appendFile(join(dir, CR), '#\n');
      },
    ],
  ])('notices %s', async (_, edit) => {
    expect(await callsAfter(edit)).toBe(1);
  });

  test('notices each of several saves by rename', async () => {
    for (let save = 0; save < 3; save++) expect(await callsAfter(() => replace(CR))).toBe(1);
  });

  test('calls back during edits that never pause', async () => {
    for (let edit = 0; edit < 20; edit++) {
      await appendFile(join(dir, CR), '#\n');
      await pause(50);
    }
    expect(calls).toBeGreaterThan(0);
  });

  test('ignores files that the controller and its agents write', async () => {
    const runner = await open();
    await letGo();
    await runner.start(request());
    await finished(runner);
    await writeFile(join(dir, 'crs/.production.yaml.swp'), '');
    await writeFile(join(root, 'etc/netplan/90-multinic0.yaml'), '');
    await pause(300);
    expect(calls).toBe(0);
  });
});
