// First mistakes of a new user: each is answered by one line with its cause and its remedy.

import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { selfSigned } from './support/certificate.ts';
import { LocalRun, NODES } from './support/local.ts';

const ROOT = resolve(import.meta.dirname, '..');
const BUNDLE = join(ROOT, 'dist/multinic.js');

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-mistakes-'));
  const flock = (await execa('which', ['flock'])).stdout;
  await mkdir(join(dir, 'bin'));
  await symlink(flock, join(dir, 'bin/flock'));
  await cp(join(ROOT, 'fixtures/local'), join(dir, 'home'), { recursive: true });
  await writeFile(join(dir, 'token'), 'some-token\n');
  await writeFile(join(dir, 'down'), kubeconfig({ token: 'x' }));
  await writeFile(
    join(dir, 'login'),
    kubeconfig({ exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'no-such-login' } }),
  );
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function kubeconfig(user: object): string {
  return stringify({
    clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'staging', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'staging',
  });
}

async function typed(
  line: string,
  env: Record<string, string> = {},
): Promise<{ code: number; said: string }> {
  const ended = await execa(process.execPath, [BUNDLE, ...line.split(' ')], {
    cwd: dir,
    env: { HOME: dir, KUBECONFIG: '', ...env },
    reject: false,
    input: '',
  });
  return { code: ended.exitCode ?? -1, said: ended.stderr };
}

test.each([
  ['no kubeconfig', 'status --cluster', /there is no kubeconfig: .*--kubeconfig \(InvalidKubeconfig\)$/],
  ['no kubeconfig', 'shell w1', /there is no kubeconfig: /],
  ['no kubeconfig', 'crds apply', /there is no kubeconfig: /],
  [
    'the API is down',
    'status --kubeconfig down',
    /at https:\/\/127\.0\.0\.1:1 does not answer \(.*ECONNREFUSED.*\): see whether it runs .*\(KubeUnreachable\)$/,
  ],
  ['the API is down', 'shell w1 --kubeconfig down', /ECONNREFUSED.*\(KubeUnreachable\)$/],
  ['the API is down', 'backup x --kubeconfig down', /ECONNREFUSED.*\(KubeUnreachable\)$/],
  [
    'the API is down',
    'crds apply --timeout 1 --kubeconfig down',
    /after 1 s \(.*ECONNREFUSED.*\(CrdsNotEstablished\)$/,
  ],
  [
    'the login program is missing',
    'status --kubeconfig login',
    /spawn no-such-login E(?:NOENT|ACCES).*--context \(InvalidKubeconfig\)$/,
  ],
  [
    'a mistyped context',
    'status --context prod --kubeconfig down',
    /no context prod: choose one with --context \(staging\)/,
  ],
  [
    'a template that is none',
    'local new --init /nope',
    /\/nope is no template .*fixtures\/local \(NotAHome\)$/,
  ],
  [
    'a folder that is no home',
    'local nowhere',
    /has no inventory\.yaml; .*--init fixtures\/local \(NotAHome\)$/,
  ],
  [
    'an address of nobody',
    'local home --host 192.0.2.1 --once',
    /192\.0\.2\.1 is no address of this machine: .*--host.*\(AddressNotHere\)$/,
  ],
  [
    'a server without https://',
    'status --server localhost:8443 --token-file token',
    /localhost:8443 is not the URL of a controller: .*https:\/\/host:port.*\(InvalidServer\)$/,
  ],
  [
    'a folder that is not there',
    'status -C nowhere',
    /run multinic local nowhere --init fixtures\/local, or name the home with -C, .* \(NoStore\)$/,
  ],
  [
    'a folder that is no home',
    'retry w1 -C bin',
    /start it with multinic local DIR --init fixtures\/local, name another home .* \(NoController\)$/,
  ],
  [
    'a home whose controller never ran',
    'log k8s-worker-01 -C home',
    /no controller has worked on \S+home yet: run multinic local home \(NoStatus\)$/,
  ],
  ['a folder instead of files', 'validate home/crs', /name its files, home\/crs\/\*\.yaml \(Unreadable\)$/],
  ['a file that is not there', 'render first.yaml', /\(ENOENT\): name a file that has CRs \(Unreadable\)$/],
  [
    'a backup that is not there',
    'restore -C home last.bundle',
    /last\.bundle cannot be read \(ENOENT\); name a file that multinic backup wrote \(InvalidBackup\)$/,
  ],
  [
    'a token file that is not there',
    'status --server https://127.0.0.1:8443 --token-file nobody',
    /nobody cannot be read: name the file that has the token \(NoToken\)$/,
  ],
])('%s: multinic %s', async (_, line, says) => {
  const { code, said } = await typed(line);
  expect({ code, lines: said.split('\n').length }).toEqual({ code: 1, lines: 1 });
  expect(said).toMatch(says);
  const left = await readdir(dir);
  expect(left).not.toContain('new');
  expect(left).not.toContain('nowhere');
  expect(left).not.toContain('x.part');
});

test('a machine without git', async () => {
  const { code, said } = await typed('local home --once', { PATH: join(dir, 'bin') });
  expect(code).toBe(1);
  expect(said).toMatch(/install git .*\(GitMissing\)$/);
});

test('a server whose certificate is not trusted', async () => {
  const server = createServer(await selfSigned('127.0.0.1'), (_, response) => response.end('{}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { code, said } = await typed(`status --server ${url} --token-file token`);
  server.close();
  expect(code).toBe(1);
  expect(said).toMatch(
    /certificate of .* is not trusted \(\w+\): name its CA with NODE_EXTRA_CA_CERTS=ca\.crt/,
  );
});

test('resume of a node that its CR pauses', async () => {
  await using local = await LocalRun.start();
  await local.editConfig((_, config) => (config.metadata.annotations = { 'multinic.io/paused': 'true' }));
  const { nodes } = await local.untilStatus('paused', (report) => report.nodes.every(({ paused }) => paused));
  expect(nodes).toHaveLength(3);
  const refused = await local.cli('resume', NODES[0]);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(
    /is paused by the annotation multinic\.io\/paused of its CR .*: take the annotation off the CR \(PausedByConfig\)$/,
  );
});

test('status of a home in which one file cannot be read', async () => {
  await using local = await LocalRun.start();
  await writeFile(join(local.dir, 'crs/more.yaml'), 'a: [');
  await local.untilStatus('unreadable', ({ unreadable }) => unreadable !== undefined);
  const { code, stdout } = await local.cli('status');
  expect(stdout).toMatch(/^\S+production-cluster-network {2}Ready /m);
  expect(stdout).toMatch(/^Cannot be read: crs\/more\.yaml: .*; mend the file$/m);
  expect(code).toBe(4);
});

test('status before the first CR', async () => {
  await using local = await LocalRun.prepare();
  await local.removeConfig();
  await local.run('local', local.dir, '--once');
  expect(await local.cli('status')).toMatchObject({
    code: 0,
    stdout: 'there is no MultiNicBizConfig yet: apply one, and its nodes are listed here',
  });
});
