// Where the CLI looks for a controller, how it asks before a change, and how it names nodes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { LocalRun, NODES, type Ran } from './support/local.ts';

const BUNDLE = resolve(import.meta.dirname, '../dist/multinic.js');
const [ONE, TWO] = NODES;
const ID_ONE = 'i-0123456789abcdef0';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multinic-place-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs the CLI in a folder that is no home. */
async function multinic(
  args: readonly string[],
  { cwd = folder, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Ran> {
  const ended = await execa(process.execPath, [BUNDLE, ...args], { cwd, env, input: '', reject: false });
  return { code: ended.exitCode ?? -1, stdout: ended.stdout, stderr: ended.stderr };
}

/** Runs the CLI on a terminal, where a person types `input`. */
async function onTerminal(args: readonly string[], input: string): Promise<{ code: number; said: string }> {
  const line = [process.execPath, BUNDLE, ...args].join(' ');
  const ended = await execa('script', ['-qec', line, '/dev/null'], { cwd: folder, input, reject: false });
  // A prompt moves the cursor.
  const said = stripVTControlCharacters(ended.stdout);
  return { code: ended.exitCode ?? -1, said };
}

describe('in a folder that is no home, with a kubeconfig,', () => {
  const asked: string[] = [];
  const api = createServer((request, response) => {
    asked.push(request.url!.replace(/\?.*/, ''));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ kind: 'PodList', items: [] }));
  });
  let KUBECONFIG: string;
  beforeAll(async () => {
    api.listen(0, '127.0.0.1');
    await once(api, 'listening');
    const server = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    KUBECONFIG = join(folder, 'kubeconfig');
    await writeFile(
      KUBECONFIG,
      stringify({
        clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
        users: [{ name: 'u', user: { token: 'secret' } }],
        contexts: [{ name: 'staging', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'staging',
      }),
    );
  });
  afterAll(() => api.close());

  test('status asks the cluster and names it', async () => {
    const { code, stderr } = await multinic(['status'], { env: { KUBECONFIG } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^cluster staging \(http:\/\/127\.0\.0\.1:\d+\), namespace multinic-system$/m);
    expect(stderr).toContain('no controller leads in namespace multinic-system');
    expect(asked.at(-1)).toBe('/api/v1/namespaces/multinic-system/pods');
  });

  test('-n is the namespace', async () => {
    await multinic(['status', '-n', 'nics'], { env: { KUBECONFIG } });
    expect(asked.at(-1)).toBe('/api/v1/namespaces/nics/pods');
  });

  test.each([['retry a'], ['rollback a --yes'], ['pause a'], ['rerender --yes'], ['confirm --yes']])(
    '%s, which changes something, is refused without a terminal, and asks nobody',
    async (line) => {
      asked.length = 0;
      const { code, stderr } = await multinic(line.split(' '), { env: { KUBECONFIG } });
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /name the place of a command that changes something: --cluster \(cluster staging .*\(TargetNotNamed\)$/,
      );
      expect(asked).toEqual([]);
      const named = await multinic([...line.split(' '), '--cluster'], { env: { KUBECONFIG } });
      expect(named.stderr).toContain('(NoController)');
    },
  );

  test('a change asks the person on a terminal', async () => {
    process.env['KUBECONFIG'] = KUBECONFIG;
    try {
      const { code, said } = await onTerminal(['retry', 'a'], 'n\n');
      expect(said).toMatch(/Use cluster staging .*\? \[y\/N\]/);
      expect(said).toContain('nothing was changed (NotConfirmed)');
      expect(code).toBe(1);
    } finally {
      delete process.env['KUBECONFIG'];
    }
  });

  test('without a kubeconfig the remedy names every place where the CLI looks', async () => {
    const { stderr } = await multinic(['log', 'a'], { env: { KUBECONFIG: join(folder, 'none') } });
    expect(stderr).toMatch(/name the home with -C, or a cluster with --cluster \(NoStore\)$/);
  });
});

test('wait says that a home has no store yet, and waits for the first start of its controller', async () => {
  await using local = await LocalRun.prepare();
  const child = spawn(process.execPath, [BUNDLE, 'wait', '-C', local.dir]);
  const ended = once(child, 'exit');
  let [said, answer] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  const told = new Promise<void>((resolveTold) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('trying again')) resolveTold();
    });
  });
  await told;
  await local.launch();
  expect({ code: (await ended)[0] as number, answer }).toEqual({ code: 0, answer: '3 nodes ready\n' });
  expect(said.match(/has no store yet: .*; trying again\n/g)).toHaveLength(1);
}, 120_000);

test('wait on a folder that stays away ends at its timeout with the cause', async () => {
  const { code, stderr } = await multinic(['wait', '--timeout', '1s', '-C', join(folder, 'gone')]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^\S+gone has no store yet: .*; trying again\nerror: .*\(NoStore\)$/s);
});

describe('with a controller', () => {
  let local: LocalRun;
  beforeAll(async () => {
    local = await LocalRun.start();
  });
  afterAll(() => local[Symbol.asyncDispose]());

  test('a home in this folder comes before a kubeconfig', async () => {
    const env = { KUBECONFIG: join(folder, 'kubeconfig') };
    const { code, stdout, stderr } = await multinic(['status'], { cwd: local.dir, env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(ONE);
  });

  test('every command takes any name of a node', async () => {
    // Other tests give each command the name itself.
    for (const name of [ID_ONE, `node/${ONE}`]) {
      expect(await local.run('log', name)).toContain('add multinic0');
      expect(await local.run('show', name)).toContain(ONE);
      expect(await local.run('diff', name)).toContain('mtu: 1500');
      expect(await local.run('status', name)).toContain(ONE);
      expect(await local.run('wait', name)).toBe('1 node ready');
      expect(await local.run('pause', name)).toContain(`${ONE} paused`);
      expect(await local.run('resume', name)).toContain(`${ONE} resumed`);
      expect(await local.run('retry', name)).toContain(`${ONE} to be run again`);
      await local.settled();
      expect(await local.run('rerender', name)).toContain('up to date');
      expect(await local.run('confirm', name)).toBe(`confirmed ${ONE}`);
      expect(await local.run('rollback', name, '--dry-run')).toContain(ONE);
      await local.settled();
    }
    for (const command of ['log', 'show', 'diff', 'retry', 'pause', 'rollback', 'release', 'confirm'])
      expect(await local.cli(command, 'nobody')).toMatchObject({ code: 1, stdout: '' });
  });

  test('a dry run says what would change for each node, and changes nothing', async () => {
    const refs = await local.git('for-each-ref');
    expect(await local.run('rollback', ONE, '--dry-run')).toBe(
      `${ONE}  remove multinic0, remove multinic1 (all its interfaces)`,
    );
    const main = await local.git('rev-parse', 'main');
    const preview = JSON.parse(await local.run('rollback', '--change', main, '--dry-run', '-o', 'json')) as {
      kind: string;
      nodes: { node: string }[];
    };
    expect(preview.kind).toBe('Preview');
    expect(preview.nodes.map(({ node }) => node)).toEqual([...NODES]);
    expect(await local.run('rerender', '--renderer', 'keyfile', '--dry-run')).toContain(
      `${ONE}  files of keyfile`,
    );
    expect(await local.git('for-each-ref')).toBe(refs);
  });

  test('on a terminal the nodes are shown and the person is asked', async () => {
    const tip = await local.tip(TWO);
    const refused = await onTerminal(['rollback', TWO, '-C', local.dir], 'n\n');
    expect(refused.said).toMatch(
      new RegExp(`${TWO}  remove multinic0 \\(all its interfaces\\)\\s+Change 1 node\\? \\[y/N\\]`),
    );
    expect(refused).toMatchObject({ code: 1, said: expect.stringContaining('(NotConfirmed)') });
    expect(await local.tip(TWO)).toBe(tip);
    const done = await onTerminal(['rollback', TWO, '-C', local.dir], 'y\n');
    expect(done.said).toMatch(/rolled back to .*remove multinic0/);
    await local.applied(TWO, await local.tip(TWO));
    expect(await local.run('release', TWO, '--dry-run')).toMatch(new RegExp(`^${TWO}  add multinic0 192`));
    expect(await local.run('release', TWO)).toContain('released');
    await local.settled();
  });

  test('formats of status, and diff --exit-code', async () => {
    await local.settled();
    expect(await local.run('status', '-o', 'name')).toBe(NODES.map((node) => `node/${node}`).join('\n'));
    expect(await local.run('status', '-o', 'yaml')).toMatch(
      /^apiVersion: cli\.multinic\.io\/v1\nkind: StatusReport\nmain: /,
    );
    const wide = await local.run('status', '-o', 'wide');
    expect(wide).toMatch(/^NODE +CR +NODE ID +NODE NAME +STATE .* AGE +LAST +JOB +REASON$/m);
    expect(wide).toMatch(new RegExp(`^${ONE} .*${ID_ONE} `, 'm'));
    expect(await local.run('status', '--failed', '-o', 'name')).toBe('');
    expect((await local.cli('diff', ONE, '--exit-code')).code).toBe(4);
    expect((await local.cli('diff', ONE, '--host', '--exit-code')).code).toBe(0);
  });

  test('version of this program and of the controller', async () => {
    const text = await local.run('version');
    expect(text).toMatch(/^client {2}\d+\.\d+\.\d+ \([0-9a-f]{12}(-dirty)?\), Node v\d+/);
    expect(text).toMatch(/^server {2}\d+\.\d+\.\d+ \([0-9a-f]{12}(-dirty)?\)$/m);
    const { kind, client, server } = JSON.parse(await local.run('version', '-o', 'json')) as {
      kind: string;
      client: { version: string; commit: string };
      server: object;
    };
    expect(kind).toBe('Versions');
    expect(server).toEqual({ version: client.version, commit: client.commit });
    const alone = await multinic(['version', '--client'], { env: { HOME: folder } });
    expect(alone).toMatchObject({ code: 0, stdout: text.split('\n')[0] });
  });

  test.each([
    [['sta'], ['status']],
    [['wait', '--for', ''], ['ready']],
    [['status', '--fa'], ['--failed']],
    [['log', 'k8s-worker-0'], [...NODES]],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish', 'kubectl'],
    ],
    [['log', ONE, '-o', 'y'], ['yaml']],
  ])('completes %j in bash', async (words, expected) => {
    const bin = join(folder, 'bin');
    await mkdir(bin, { recursive: true });
    await writeFile(join(bin, 'multinic'), `#!/bin/sh\nexec ${process.execPath} ${BUNDLE} "$@"\n`, {
      mode: 0o755,
    });
    const line = `source <(multinic completion bash); COMP_WORDS=(multinic "$@"); COMP_CWORD=$#; _multinic; printf '%s\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await execa('bash', ['-c', line, 'bash', ...words], {
      env: { PATH: `${bin}:${process.env['PATH']}`, MULTINIC_DIR: local.dir },
    });
    expect(stdout.split('\n')).toEqual(expected);
  });

  test('wait ends with 0 when all nodes are ready, and with 4 at its timeout', async () => {
    expect(await local.run('wait', '--for', 'ready')).toBe('3 nodes ready');
    await local.run('pause', ONE);
    await local.editConfig((spec) => (spec.nodeConfigs[0]!.interfaces![0]!.mtu = 1400));
    await local.untilStatus('paused', ({ nodes }) => nodes.some(({ reason }) => reason === 'Paused'));
    const late = await local.cli('wait', '--timeout', '1s');
    expect(late).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringMatching(new RegExp(`^not ready after 1 s\\n${ONE}  Pending  Paused: `)),
    });
    const [ready] = await Promise.all([local.cli('wait', ONE), local.run('resume', ONE)]);
    expect(ready).toMatchObject({ code: 0, stdout: '1 node ready' });
    const edited = await local.config();
    edited.spec.nodeConfigs[0]!.interfaces![0]!.mtu = 1350;
    await local.writeConfig(edited);
    expect(await local.run('wait', ONE)).toBe('1 node ready');
    expect(await local.run('show', ONE)).toContain('1350');
    expect(await local.run('diff', ONE, '--host')).toBe('');
  });

  test('status --watch and log --follow show changes as they happen', async () => {
    const [watch, log] = [
      ['status', '--watch'],
      ['log', ONE, '--follow'],
    ].map((args) => {
      const child = spawn(process.execPath, [BUNDLE, ...args, '-C', local.dir]);
      const said = { text: '', child };
      child.stdout.on('data', (chunk: Buffer) => (said.text += chunk.toString()));
      return said;
    });
    try {
      await expect.poll(() => watch!.text, { timeout: 20_000 }).toContain('Configured');
      await expect.poll(() => log!.text, { timeout: 20_000 }).toMatch(/birth[^]*Applied/);
      const before = { watch: watch!.text.length, log: log!.text.length };
      await local.editConfig((spec) => (spec.nodeConfigs[0]!.interfaces![0]!.mtu = 1300));
      await local.settled();
      const tip = (await local.tip(ONE)).slice(0, 10);
      await expect
        .poll(() => watch!.text.slice(before.watch), { timeout: 20_000 })
        .toMatch(new RegExp(`^${ONE} +Configured .*${tip} +${tip}`, 'm'));
      await expect.poll(() => log!.text.slice(before.log), { timeout: 20_000 }).toMatch(/1300[^]*Applied/);
      expect(watch!.text).not.toContain('\u001b');
    } finally {
      watch!.child.kill();
      log!.child.kill();
    }
  });

  test('status of a large CR shows the summary and the nodes that are not Configured; --all shows every node', async () => {
    const home = join(folder, 'large');
    await mkdir(join(home, 'status'), { recursive: true });
    await mkdir(join(home, 'store.git'));
    await writeFile(join(home, 'store.git/HEAD'), 'ref: refs/heads/main\n');
    const report = JSON.parse(await readFile(join(local.dir, 'status/report.json'), 'utf8')) as {
      nodes: object[];
    };
    const nodes = Array.from({ length: 1200 }, (_, index) => ({
      ...report.nodes[0],
      node: `w-${index}`,
      state: index === 700 ? 'Failed' : index === 800 ? 'Pending' : 'Configured',
      ...(index === 900 && { held: true }),
    }));
    await writeFile(join(home, 'status/report.json'), JSON.stringify({ ...report, nodes }));
    const { code, stdout } = await multinic(['status', '-C', home]);
    expect(code).toBe(4);
    expect(stdout).toMatch(/^1200 nodes: 1198 Configured, 1 Pending, 1 Failed; 1 held$/m);
    expect(stdout.match(/^w-\d+/gm)).toEqual(['w-700', 'w-800', 'w-900']);
    expect(stdout).toMatch(/^1197 more nodes: multinic status .*--all$/m);
    const all = await multinic(['status', '-C', home, '--all']);
    expect(all.stdout.match(/^w-\d+/gm)).toHaveLength(1200);
  });
});
