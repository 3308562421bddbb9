// The CLI from outside: the bundle in a child process, its output and its exit codes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { git } from './support/http.ts';
import { LocalRun, NODES, type Ran } from './support/local.ts';

const ROOT = resolve(import.meta.dirname, '..');
const BUNDLE = join(ROOT, 'dist/multinic.js');
const SAMPLE = join(ROOT, 'fixtures/sample-multinicclusterconfig.yaml');
const [ONE, TWO, THREE] = NODES;
const COMMANDS =
  'local status wait log show diff rollback release retry pause resume rerender confirm validate render backup restore';

/** Runs the CLI in a folder that is no home, with `input` as its standard input. */
async function multinic(
  args: readonly string[],
  input = '',
  env: Record<string, string | undefined> = {},
): Promise<Ran> {
  const ended = await execa(process.execPath, [BUNDLE, ...args], {
    cwd: tmpdir(),
    input,
    env,
    reject: false,
  });
  return { code: ended.exitCode ?? -1, stdout: ended.stdout, stderr: ended.stderr };
}

/** Removes the ages from a table, because they grow between two calls. */
function ageless(text: string): string {
  return text.replaceAll(/\b\d+[smhd]\b( ago)?/g, 'AGE');
}

describe('help', () => {
  test.each(COMMANDS.split(' '))('of %s has an example', async (command) => {
    const { code, stdout } = await multinic([command, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: multinic ${command} `));
    expect(stdout).toMatch(new RegExp(`Examples?:\\n  multinic ${command}\\b`));
  });

  test('exists for the agent, for each of its commands, and for every other command', async () => {
    expect((await multinic(['agent', '--help'])).stdout).toMatch(/apply .*\n[^]*cleanup /);
    expect((await multinic(['agent', 'apply', '--help'])).stdout).toMatch(
      /Examples:\n  multinic agent apply .*\n[^]*75 {2}another agent/,
    );
    expect((await multinic(['agent', 'cleanup', '--help'])).stdout).toContain(
      'Example:\n  multinic agent cleanup ',
    );
    const { code, stdout } = await multinic(['--help']);
    expect(code).toBe(0);
    for (const command of [...COMMANDS.split(' '), 'agent'])
      expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    expect(stdout).toContain('Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the input is invalid; 4 nodes');
    expect((await multinic(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+$/);
  });
});

test.each([
  ['', /^Usage: multinic/],
  ['bogus', /unknown command 'bogus'\n\(multinic --help lists the commands\)$/],
  ['status --bogus', /unknown option '--bogus'/],
  ['log', /missing required argument 'node'\n\(multinic log --help shows its arguments and options\)$/],
  ['status -o xml', /'xml' is invalid. Allowed choices are table, wide, name, json, yaml/],
  ['retry a -o wide', /'wide' is invalid/],
  ['log a --limit 0', /'0' is invalid. Give a whole number, 1 or more/],
  ['log a -n 5', /-n is the namespace, as in kubectl; --limit 5 takes the count/],
  ['wait --timeout soon', /'soon' is invalid. Give a time: 90, 90s, 5m or 1h/],
  ['local DIR --port 70000', /'70000' is invalid. Give a whole number, 0 to 65535/],
  ['local DIR --port x', /--port <port>' argument 'x' is invalid. Give a whole number/],
  ['rollback', /name a node, or a change with --change/],
  ['rollback a --change b', /name a node, or a change with --change/],
  ['rerender --renderer systemd', /'systemd' is invalid. Allowed choices are netplan, ifcfg, keyfile/],
  ['render - --renderer systemd', /Allowed choices are netplan, ifcfg, keyfile/],
  ['agent', /Usage: multinic agent/],
  ['agent apply', /required option '--job <file>' not specified/],
  ['agent plan --root /', /name what to plan for: either --job <file>, or --tree <dir>/],
  ['agent plan --root / --job j.json --tree .', /either --job <file>, or --tree <dir>/],
  ['agent cleanup --root / --bogus', /unknown option '--bogus'/],
])('wrong usage: multinic %s', async (line, says) => {
  const { code, stdout, stderr } = await multinic(line.split(' ').filter(Boolean));
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(says);
});

test.each([
  ['status -C /nowhere', /has no store yet: run multinic local \/nowhere --init fixtures\/local, or/],
  [
    'log a -C /nowhere',
    /has no store yet: run multinic local \/nowhere --init fixtures\/local, or name the home with -C, or a cluster with --cluster \(NoStore\)/,
  ],
  [
    'retry a -C /nowhere',
    /no controller runs on \/nowhere: start it with multinic local \/nowhere --init fixtures\/local.*\(NoController\)/,
  ],
  ['status --server http://127.0.0.1:1', /name a file with the token by --token-file \(NoToken\)/],
  ['status --server http://127.0.0.1:1 --token-file /nowhere', /\/nowhere cannot be read.*\(NoToken\)/],
  [`status --server http://127.0.0.1:1 --token-file ${SAMPLE}`, /has no token: write it there.*\(NoToken\)/],
  ['local /nowhere', /has no inventory.yaml.*\(NotAHome\)/],
  ['validate /nowhere', /\/nowhere cannot be read \(ENOENT\): name a file that has CRs \(Unreadable\)/],
  ['render /etc', /\/etc cannot be read \(EISDIR\): name its files, \/etc\/\*\.yaml \(Unreadable\)/],
  ['backup x -C /nowhere', /is no store.*\(NoStore\)/],
])('refused with the remedy: multinic %s', async (line, says) => {
  const { code, stdout, stderr } = await multinic(line.split(' '));
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(says);
  expect(stderr).not.toMatch(/^ +at /m);
  expect(existsSync('/nowhere')).toBe(false);
});

test('an old version of Node.js: one line says which version is needed', async () => {
  const older = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });`;
  const ended = await execa(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(older)}`, BUNDLE, 'status'],
    { reject: false },
  );
  expect({ code: ended.exitCode, stderr: ended.stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/^error: multinic needs Node 24 or newer.*\(OldNode\)$/),
  });
});

test('a server that is no controller: the error says so', async () => {
  const token = join(await mkdtemp(join(tmpdir(), 'multinic-cli-')), 'token');
  await writeFile(token, 'some-token\n');
  const server = createServer((_, response) => response.end('<html>')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { code, stderr } = await multinic([
    'status',
    '--server',
    `http://127.0.0.1:${port}`,
    '--token-file',
    token,
  ]);
  server.close();
  await rm(dirname(token), { recursive: true });
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/is no controller: mend --server/),
  });
});

describe('validate and render', () => {
  let sample = '';
  beforeAll(async () => {
    sample = await readFile(SAMPLE, 'utf8');
  });

  test('a good file', async () => {
    expect(await multinic(['validate', SAMPLE])).toEqual({
      code: 0,
      stdout: 'multinic.okestro.io/multinic-system/production-cluster-network: valid, 3 nodes',
      stderr: '',
    });
    const json = await multinic(['validate', '-', '-o', 'json'], sample);
    expect(JSON.parse(json.stdout)).toMatchObject({
      kind: 'ValidationList',
      items: [{ nodes: 3, problems: [], warnings: [] }],
    });
  });

  test('a bad file from standard input: each problem with its field, exit code 3', async () => {
    const bad = sample
      .replace('192.168.100.11/24', '10.0.0.0/8')
      .replace('02:00:00:00:03:01', '01:00:00:00:03:01');
    const { code, stdout } = await multinic(['validate', '-'], bad);
    expect(code).toBe(3);
    expect(stdout).toMatch(/error: spec\.nodeConfigs\[1\]\.interfaces\[0\]\.\w+: /);
    expect(stdout).toMatch(/error: spec\.nodeConfigs\[2\]\.interfaces\[0\]\.macAddress: /);
    const json = await multinic(['validate', '-', '-o', 'json'], bad);
    expect(json.code).toBe(3);
    const { items } = JSON.parse(json.stdout) as { items: { problems: unknown[] }[] };
    expect(items[0]!.problems.length).toBeGreaterThan(1);
    const rendered = await multinic(['render', '-', '-o', 'json'], bad);
    expect(rendered.code).toBe(3);
    expect(Object.keys((JSON.parse(rendered.stdout) as { nodes: object }).nodes)).toEqual([ONE]);
    expect((await multinic(['validate', '-'], 'a: [')).code).toBe(3);
  });

  test.each([
    ['netplan', 'etc/netplan/90-multinic0.yaml', /addresses:\n +- "192\.168\.100\.11\/24"/],
    ['ifcfg', 'etc/sysconfig/network-scripts/ifcfg-multinic0', /^IPADDR=192\.168\.100\.11$/m],
    [
      'keyfile',
      'etc/NetworkManager/system-connections/multinic0.nmconnection',
      /^address1=192\.168\.100\.11\/24$/m,
    ],
  ])('render with %s', async (renderer, path, says) => {
    const { code, stdout } = await multinic(['render', '-', '--node', TWO, '--renderer', renderer], sample);
    expect(code).toBe(0);
    expect(stdout).toContain(`# ${TWO}: ${path}\n`);
    expect(stdout).toMatch(says);
    expect(stdout).not.toContain(ONE);
  });

  test('a node that the file does not have', async () => {
    const { code, stderr } = await multinic(['render', '-', '--node', 'nobody'], sample);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/no entry for nobody: give its attachedNodeId/),
    });
  });
});

describe('with a controller', () => {
  let local: LocalRun;
  beforeAll(async () => {
    local = await LocalRun.start();
  });
  afterAll(() => local[Symbol.asyncDispose]());
  beforeEach(async () => void (await local.settled()));

  test('status has one line for each node, JSON for programs, and no colours in a pipe', async () => {
    const text = await local.run('status');
    expect(text).toMatch(
      /^multinic\.okestro\.io\/multinic-system\/production-cluster-network {2}Ready {2}3 nodes are configured\n\nNODE/,
    );
    for (const node of NODES) expect(text).toMatch(new RegExp(`^${node}  Configured`, 'm'));
    expect(text).not.toContain('\u001b');
    expect(text).not.toMatch(/ $/m);
    const { nodes } = JSON.parse(await local.run('status', TWO, '-o', 'json')) as { nodes: object[] };
    expect(nodes).toEqual([
      expect.objectContaining({ node: TWO, state: 'Configured', desiredCommit: await local.tip(TWO) }),
    ]);
    expect(await local.run('status', 'i-0fedcba987654321a')).toContain(TWO);
    expect(await local.cli('status', 'nobody')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is no node nobody'),
    });
  });

  test('log, show, diff', async () => {
    expect(await local.run('log', ONE)).toMatch(
      /outcome {2}Applied .*\n.* spec {5}add multinic0 .*\n.* birth {4}birth/,
    );
    expect((await local.run('log', ONE, '--limit', '1')).split('\n')).toHaveLength(1);
    const { apiVersion, kind, items } = JSON.parse(await local.run('log', ONE, '-o', 'json')) as {
      apiVersion: string;
      kind: string;
      items: { kind: string }[];
    };
    expect({ apiVersion, kind }).toEqual({ apiVersion: 'cli.multinic.io/v1', kind: 'LogEntryList' });
    expect(items.map(({ kind }) => kind)).toEqual(['outcome', 'spec', 'birth']);
    const birth = await local.git('rev-list', '--max-parents=0', `node/${ONE}`);
    expect(await local.run('show', ONE)).toMatch(
      /^multinic1 {2}02:00:00:00:01:02 {2}192\.168\.200\.10\/24 {2}1500/m,
    );
    expect(await local.run('show', ONE, birth.slice(0, 8))).toContain('no interfaces');
    expect(JSON.parse(await local.run('show', THREE, '-o', 'json'))).toMatchObject({
      node: { name: THREE, machineID: '8b3c1f0e5d9a4c7b92e61a0f3d7c5b03', renderer: 'keyfile' },
    });
    expect(await local.run('diff', ONE)).toContain('+      mtu: 1500');
    expect(await local.run('diff', ONE, 'HEAD'.replace('HEAD', await local.tip(ONE)), birth)).toContain(
      '-      mtu: 1500',
    );
    expect(await local.cli('diff', ONE, '--host')).toEqual({ code: 0, stdout: '', stderr: 'no difference' });
    expect(JSON.parse(await local.run('diff', ONE, '-o', 'json'))).toHaveProperty('diff');
    for (const command of ['log', 'show', 'diff'])
      expect(await local.cli(command, 'nobody')).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/\(NoSuchNode\)$/),
      });
    const { code, stderr } = await local.cli('show', ONE, 'fffffff');
    expect(code).toBe(1);
    const [, remedy] = /no commit fffffff: multinic (.+) lists the commits .+ \(NotFound\)$/.exec(stderr)!;
    expect(await local.run(...remedy!.replace('NODE', ONE).split(' '))).toContain('Applied');
  });

  test('rollback, status of the hold, release', async () => {
    const tip = await local.tip(TWO);
    expect(await local.cli('rollback', TWO)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/would lose all its interfaces \(remove multinic0\).* --yes/),
    });
    expect(await local.tip(TWO)).toBe(tip);
    expect(await local.run('rollback', TWO, '--yes')).toMatch(
      new RegExp(`^${TWO} rolled back to [0-9a-f]{10}: remove multinic0 \\([0-9a-f]{10}\\)$`),
    );
    await local.applied(TWO, await local.tip(TWO));
    expect(await local.run('status')).toMatch(new RegExp(`^${TWO}  Configured  held`, 'm'));
    expect(await local.run('show', TWO)).toMatch(/^held {5}since /m);
    expect(JSON.parse(await local.run('release', TWO, '-o', 'json'))).toEqual({
      apiVersion: 'cli.multinic.io/v1',
      kind: 'Moved',
      node: TWO,
      commit: await local.tip(TWO),
    });
    await local.applied(TWO, await local.tip(TWO));
    expect((await local.cli('release', TWO)).code).toBe(1);
    expect(await local.cli('rollback', 'nobody')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(NoSuchNode)'),
    });
    const main = await local.git('rev-parse', 'main');
    expect(await local.run('rollback', '--change', main.slice(0, 12))).toMatch(
      new RegExp(`^${ONE} +skipped: .*would lose all its interfaces`, 'm'),
    );
    expect(await local.run('rollback', '--change', main.slice(0, 12), '--yes')).toMatch(
      new RegExp(`^${ONE} +[0-9a-f]{10}$`, 'm'),
    );
    await local.settled();
    for (const node of NODES) await local.cli('release', node);
  });

  test('retry, pause, resume, rerender, confirm', async () => {
    expect(await local.run('retry', ONE)).toMatch(new RegExp(`^${ONE} to be run again`));
    const newest = await local.ref(`refs/heads/outcome/${ONE}`);
    await local.until('it ran', async () => (await local.ref(`refs/heads/outcome/${ONE}`)) !== newest);
    expect(await local.run('log', ONE, '--limit', '2')).toMatch(
      /attempt 1.*\n.*request +retry requested by /,
    );
    expect(await local.run('pause', ONE)).toMatch(new RegExp(`^${ONE} paused \\([0-9a-f]{10}\\)$`));
    await local.untilStatus('paused', ({ nodes }) =>
      nodes.some(({ node, paused }) => node === ONE && paused === true),
    );
    expect(await local.run('status')).toMatch(new RegExp(`^${ONE} .* paused`, 'm'));
    expect(await local.run('resume', ONE)).toMatch(new RegExp(`^${ONE} resumed `));
    expect(await local.run('rerender')).toMatch(new RegExp(`^${ONE}  skipped: up to date$`, 'm'));
    expect(await local.run('rerender', THREE, '--renderer', 'ifcfg')).toMatch(
      new RegExp(`^${THREE}  [0-9a-f]{10}$`),
    );
    await local.applied(THREE, await local.tip(THREE));
    expect(await local.hostFile(THREE, 'etc/sysconfig/network-scripts/ifcfg-multinic0')).toContain(
      'IPADDR=192.168.100.12',
    );
    const main = await local.git('rev-parse', 'main');
    expect(await local.run('confirm', main.slice(0, 10))).toBe(`confirmed ${main}`);
    expect(await local.run('confirm', ONE)).toBe(`confirmed ${ONE}`);
    expect((await local.cli('confirm', 'nobody')).code).toBe(1);
  });

  test('pause and resume of all nodes; a dry run of any of them changes nothing', async () => {
    await local.settled();
    const refs = await local.git('for-each-ref', 'refs/heads/outcome');
    const preview = NODES.map((node) => `${node}  is paused: commits go on, no run starts`).join('\n');
    expect(await local.run('pause', '--all', '--dry-run')).toBe(preview);
    expect(await local.run('pause', ONE, '--dry-run')).toBe(preview.split('\n')[0]);
    expect(await local.run('retry', ONE, '--dry-run')).toBe(`${ONE}  gets another run`);
    expect(await local.git('for-each-ref', 'refs/heads/outcome')).toBe(refs);

    expect(await local.run('pause', ONE)).toContain(`${ONE} paused`);
    expect(await local.run('pause', '--all')).toBe('2 nodes paused');
    await local.untilStatus('all paused', ({ nodes }) => nodes.every(({ paused }) => paused === true));
    for (const node of NODES) expect(await local.run('log', node)).toMatch(/request +pause requested by/);
    expect(JSON.parse(await local.run('resume', '--all', '-o', 'json'))).toMatchObject({
      kind: 'ManyMoved',
      moved: NODES.map((node) => ({ node, commit: expect.stringMatching(/^[0-9a-f]{40}$/) })),
      skipped: [],
    });
    await local.untilStatus('none paused', ({ nodes }) => nodes.every(({ paused }) => paused !== true));
    expect(await local.run('resume', '--all')).toBe('0 nodes resumed');
    for (const args of [['pause'], ['resume', ONE, '--all']])
      expect(await local.cli(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining('--all') });
  });

  test('commands over HTTP, with the token in a file, print the same', async () => {
    const { origin } = new URL(await local.remote());
    const file = join(dirname(local.dir), 'token');
    await writeFile(file, `${await local.token()}\n`);
    const there = ['--server', origin, '--token-file', file];
    for (const args of [
      ['status'],
      ['log', ONE],
      ['show', ONE],
      ['diff', ONE],
      ['log', ONE, '--limit', '1', '-o', 'json'],
    ])
      expect(ageless((await multinic([...args, ...there])).stdout)).toBe(ageless(await local.run(...args)));
    const env = { MULTINIC_SERVER: origin, MULTINIC_TOKEN_FILE: file };
    // Libraries of colours obey these variables and would colour the output even in a pipe.
    const coloured = { ...env, CI: 'true', FORCE_COLOR: '1', NO_COLOR: undefined };
    const painted = await multinic(['status'], '', coloured);
    expect(painted.code).toBe(0);
    expect(ageless(painted.stdout)).toBe(ageless(await local.run('status')));
    const failed = await multinic(['log', 'nobody'], '', coloured);
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: /) });
    expect((await multinic(['retry', ONE], '', env)).stdout).toContain('to be run again');
    await writeFile(file, 'no-token-of-this-server');
    expect(await multinic(['status', ...there])).toMatchObject({ code: 1, stdout: '' });
  });

  test('every command names its author and the authenticated account, in the commit and in the log', async () => {
    const { origin } = new URL(await local.remote());
    const file = join(dirname(local.dir), 'token-of-operator');
    await writeFile(file, `${await local.token()}\n`);
    const there = { MULTINIC_SERVER: origin, MULTINIC_TOKEN_FILE: file, GIT_CONFIG_GLOBAL: '/dev/null' };
    const named = {
      ...there,
      GIT_CONFIG_COUNT: '2',
      GIT_CONFIG_KEY_0: 'user.name',
      GIT_CONFIG_VALUE_0: 'Carol',
      GIT_CONFIG_KEY_1: 'user.email',
      GIT_CONFIG_VALUE_1: 'carol@example.org',
    };
    const signed = (ref: string): Promise<string> =>
      local.git('log', '-1', '--format=%an <%ae> %(trailers:key=By,separator=%x2c)', ref);
    const both = 'Carol <carol@example.org> By: operator';
    const outcomes = ['retry', 'pause', 'resume', 'confirm'] as const;
    for (const command of outcomes) {
      const { stdout } = await multinic([command, TWO, '-o', 'json'], '', named);
      const { commit } = JSON.parse(stdout) as { commit: string };
      expect([command, await signed(commit)]).toEqual([command, both]);
    }
    await local.settled();
    await local.editConfig((spec) => {
      const nic = spec.nodeConfigs.find(({ attachedNodeName }) => attachedNodeName === TWO)!.interfaces![0]!;
      nic.mtu = 1400;
    });
    for (const command of [
      ['rollback', TWO],
      ['release', TWO],
      ['rerender', TWO, '--renderer', 'keyfile'],
    ]) {
      expect(await multinic(command, '', named)).toMatchObject({ code: 0 });
      expect([command, await signed(`node/${TWO}`)]).toEqual([command, both]);
    }
    const log = await local.run('log', TWO);
    for (const kind of [
      'rollback',
      'spec',
      'rerender',
      'request +retry',
      'request +pause',
      'request +confirm',
    ])
      expect(log).toMatch(
        new RegExp(`${kind} .* by Carol <carol@example.org> \\(authenticated as operator\\)$`, 'm'),
      );

    // Without a name in git, the author is the authenticated account.
    expect(await multinic(['retry', TWO], '', there)).toMatchObject({ code: 0 });
    await local.until('asked', async () => (await local.run('log', TWO)).includes('requested by operator'));
    expect(await local.run('log', TWO)).toMatch(/retry requested by operator {2}by operator$/m);
    await local.settled();
  });

  test('log ends quietly when its pipe closes early', async () => {
    const ended = await execa('sh', [
      '-c',
      `"$0" "$1" log ${ONE} -C "$2" | head -c 1 >/dev/null`,
      process.execPath,
      BUNDLE,
      local.dir,
    ]);
    expect(ended.stderr).toBe('');
  });
});

test('without a controller, status shows the last state and says its age, and changes are refused', async () => {
  await using local = await LocalRun.start();
  await local.stop();
  expect(await local.cli('status')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('3 nodes are configured'),
    stderr: 'no controller runs: this is the status that the last one wrote',
  });
  expect(await local.run('log', ONE)).toContain('Applied');
  expect(await local.cli('retry', ONE)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('start it with multinic local'),
  });
  // A killed controller leaves the file with its address.
  await local.launch();
  await local.kill();
  expect((await local.cli('status')).stderr).toBe(
    'no controller runs: this is the status that the last one wrote',
  );
  expect(await local.cli('retry', ONE)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/no controller answers at .*start it/),
  });
});

test('local --once and status exit with 4 when a node is not configured', async () => {
  await using local = await LocalRun.prepare();
  await local.editHost(TWO, (host) => host.links.splice(1));
  const once = await local.cli('local', local.dir, '--once');
  expect(once.code).toBe(4);
  expect(once.stdout).toMatch(/k8s-worker-02 .*02:00:00:00:02:01/);
  const status = await local.cli('status');
  expect(status.code).toBe(4);
  expect(status.stdout).toMatch(/^k8s-worker-02 {2}Pending .*02:00:00:00:02:01/m);
});

test('local --init makes a home; SIGTERM ends it with 0; an error names a port that is in use', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-cli-'));
  try {
    const home = join(folder, 'home');
    const child = spawn(process.execPath, [
      BUNDLE,
      'local',
      home,
      '--init',
      join(ROOT, 'fixtures/local'),
      '--port',
      '0',
    ]);
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    while (!/Configured.*\n[^]*Configured.*\n[^]*Configured/.test(said)) await once(child.stdout, 'data');
    const { url } = JSON.parse(await readFile(join(home, 'controller.json'), 'utf8')) as { url: string };
    const other = join(folder, 'other');
    await cp(join(ROOT, 'fixtures/local'), other, { recursive: true });
    const taken = await multinic(['local', other, '--port', new URL(url).port]);
    expect(taken).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/port \d+ is taken.*choose one with --port/),
    });
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('a backup of a running controller, restored: a new controller goes on with the whole history', async () => {
  await using local = await LocalRun.start();
  const bundle = join(dirname(local.dir), 'multinic.bundle');
  expect(await local.run('backup', bundle)).toMatch(/multinic\.bundle: \d+ refs$/);
  const saved = await local.git(
    'for-each-ref',
    '--format=%(refname) %(objectname)',
    'refs/heads',
    'refs/audit',
  );
  expect((await git(dirname(local.dir), 'clone', '-q', bundle, 'plain')).code).toBe(0);
  await local.stop();

  expect(await local.cli('restore', bundle)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/with --force \(StoreExists\)/),
  });
  await rm(join(local.dir, 'store.git'), { recursive: true });
  expect(await local.run('restore', bundle)).toBe('restored');
  expect(
    await local.git('for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/audit'),
  ).toBe(saved);
  expect(await local.run('restore', bundle, '--force')).toMatch(
    /^restored; the store before is at .*store\.git\.replaced-/,
  );
  const streamed = await execa(process.execPath, [BUNDLE, 'backup', '-', '-C', local.dir], {
    encoding: 'buffer',
  });
  const { stdout } = await execa(process.execPath, [BUNDLE, 'restore', '-', '--force', '-C', local.dir], {
    input: streamed.stdout,
  });
  expect(stdout).toMatch(/^restored; /);
  const header = '# v2 git bundle\n';
  for (const [name, content, says] of [
    ['bad', 'no bundle', /is no git bundle; .*\(InvalidBackup\)$/],
    ['empty', `${header}\n`, /has no main.*\(InvalidBackup\)$/],
    ['cut', `${header}${'1'.repeat(40)} refs/heads/main\n\nPACK`, /cannot be restored.*\(InvalidBackup\)$/],
  ] as const) {
    await writeFile(`${bundle}.${name}`, content);
    expect(await local.cli('restore', `${bundle}.${name}`, '--force')).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(says),
    });
  }
  for (const [args, code] of [
    [['restore', `${bundle}.none`], 'InvalidBackup'],
    [['restore', local.dir, '--force'], 'InvalidBackup'],
    [['backup', join(bundle, 'x')], 'NotWritable'],
    [['backup', local.dir], 'NotWritable'],
  ] as const) {
    const refused = await local.cli(...args);
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(`(${code})`) });
    expect(refused.stderr.split('\n')).toHaveLength(1);
  }

  await local.launch();
  await local.settled();
  const before = await local.tip(ONE);
  await local.editConfig((spec) => (spec.nodeConfigs[0]!.interfaces![0]!.mtu = 1400));
  expect(await local.git('rev-parse', `node/${ONE}~1`)).toBe(before);
  expect(await local.subjects(`outcome/${ONE}`)).toHaveLength(3);
});
