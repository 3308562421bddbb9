// Pushes of plain git that a running controller must not accept: each is refused with the reason on the
// pusher's terminal, and nothing moves.

import { chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Copy, LocalRun } from './support/local.ts';

const NODE = 'k8s-worker-01';
const BRANCH = `node/${NODE}`;
const FILE = 'etc/netplan/90-multinic0.yaml';

let local: LocalRun;
let copy: Copy;
let refs: string;

beforeAll(async () => {
  local = await LocalRun.start();
  copy = await local.clone();
});

afterAll(async () => {
  await local[Symbol.asyncDispose]();
});

beforeEach(async () => {
  refs = await allRefs();
  await copy.switch(NODE);
  await copy.git('reset', '-q', '--hard', `origin/${BRANCH}`);
  await copy.git('clean', '-qfdx');
});

const allRefs = (): Promise<string> =>
  local.git('for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads/');

const write = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(join(copy.dir, path)), { recursive: true });
  await writeFile(join(copy.dir, path), text);
};

const edit = async (change: (text: string) => string): Promise<void> =>
  write(FILE, change(await readFile(join(copy.dir, FILE), 'utf8')));

/** Runs git with more environment variables, such as the committer's name, which override its configuration. */
const withEnv = async (assignment: string, command: string): Promise<string> =>
  copy.git('-c', `alias.so=!${assignment} git ${command}`, 'so');

const commit = async (...args: string[]): Promise<void> => {
  await copy.git('add', '-A');
  await copy.git('commit', '-q', '-m', 'hostile', ...args);
};

/** Makes a tree that git's usual commands refuse to make. */
const commitTree = async (entries: string): Promise<void> => {
  const tree = await copy.git('ls-tree', 'HEAD').then((text) => mktree(`${text}\n${entries}`));
  const made = await copy.git('commit-tree', tree, '-p', 'HEAD', '-m', 'hostile');
  await copy.git('update-ref', `refs/heads/${BRANCH}`, made);
};

const mktree = async (text: string): Promise<string> => {
  await writeFile(join(copy.dir, '.git/entries'), `${text}\n`);
  return copy.git('-c', 'alias.made=!git mktree <.git/entries', 'made');
};

async function expectRefused(refspec: string, ...reasons: RegExp[]): Promise<void> {
  const { code, stderr, stdout } = await copy.tryGit('push', 'origin', refspec);
  expect(code, `the push of ${refspec} went through`).not.toBe(0);
  for (const reason of reasons) expect(`${stdout}\n${stderr}`).toMatch(reason);
  expect(await allRefs()).toBe(refs);
}

test('a path that is not managed', async () => {
  await write('etc/passwd', 'root::0:0::/:/bin/sh\n');
  await commit();
  await expectRefused(BRANCH, /remote: .*etc\/passwd is not a file that netplan nodes have from us/);
});

test('a path with ..', async () => {
  const blob = await copy.git('rev-parse', `HEAD:${FILE}`);
  const inner = await mktree(`100644 blob ${blob}\tpasswd`);
  await commitTree(`040000 tree ${inner}\t..`);
  await expectRefused(BRANCH, /remote: |'\.\.'|hasDotdot/);
});

test('a symlink', async () => {
  await rm(join(copy.dir, FILE));
  await symlink('/etc/shadow', join(copy.dir, FILE));
  await commit();
  await expectRefused(BRANCH, /remote: .*mode 120000/);
});

test('an executable file', async () => {
  await chmod(join(copy.dir, FILE), 0o755);
  await commit();
  await expectRefused(BRANCH, /remote: .*mode 100755/);
});

test('a new branch, a deleted branch, another ref', async () => {
  await expectRefused(
    'HEAD:refs/heads/node/k8s-worker-99',
    /remote: .*does not exist|remote: .*k8s-worker-99/,
  );
  await expectRefused('HEAD:refs/heads/feature', /remote: /);
  await expectRefused(`:refs/heads/${BRANCH}`, /remote: |delet/);
  await expectRefused('+HEAD:refs/heads/main', /remote: /);
  await expectRefused(`+HEAD:refs/heads/outcome/${NODE}`, /remote: /);
  await expectRefused('HEAD:refs/audit/pushes', /remote: /);
  await expectRefused('HEAD:refs/meta/writer', /remote: /);
  await expectRefused('HEAD:refs/tags/v1', /remote: /);
});

test('a force push', async () => {
  await copy.git('reset', '-q', '--hard', 'HEAD~1');
  await write('etc/netplan/90-multinic0.yaml', 'x');
  await commit();
  await expectRefused(`+${BRANCH}`, /remote: .*append-only|fast-forward/);
});

test('a merge', async () => {
  await copy.git('checkout', '-q', '-b', 'side', 'HEAD~1');
  await copy.git('commit', '-q', '--allow-empty', '-m', 'side');
  await copy.git('switch', '-q', BRANCH);
  await copy.git('merge', '-q', '--no-ff', '-m', 'merge', 'side');
  await copy.git('branch', '-q', '-D', 'side');
  await expectRefused(BRANCH, /remote: .*is a merge/);
});

test('a huge file, and a push that is too large', async () => {
  await edit((text) => `${text}# ${'x'.repeat(70_000)}\n`);
  await commit();
  await expectRefused(BRANCH, /remote: .*larger than 64 KiB/);
  const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(65_536))).toString('base64');
  const large = Array.from({ length: 160 }, (_, index) => `${noise.slice(index)}${index}`).join('\n');
  await edit((text) => `${text}# ${large.replaceAll('\n', '\n# ')}\n`);
  await commit();
  await expectRefused(BRANCH, /at most 8 are taken/);
});

test('broken YAML, foreign keys, another MAC twice, an address that no CR may have', async () => {
  for (const [change, reason] of [
    [(text: string) => `${text}  : : [`, /remote: .*90-multinic0\.yaml/],
    [(text: string) => text.replace('dhcp4: false', 'dhcp4: true'), /remote: .*dhcp4/],
    [(text: string) => `${text}      gateway4: 192.168.100.1\n`, /remote: .*gateway4/],
    [
      (text: string) => text.replace('02:00:00:00:01:01', '02:00:00:00:01:02'),
      /remote: .*MAC|remote: .*02:00:00:00:01:02/,
    ],
    [(text: string) => text.replace('192.168.100.10/24', '127.0.0.1/8'), /remote: .*loopback/],
    [(text: string) => text.replace('mtu: 1500', 'mtu: 10'), /remote: .*mtu/],
  ] as const) {
    await edit(change);
    await commit();
    await expectRefused(BRANCH, reason);
    await copy.git('reset', '-q', '--hard', `origin/${BRANCH}`);
  }
});

test('node.yaml changed', async () => {
  const text = await copy.git('show', 'HEAD:node.yaml');
  await write('node.yaml', `${text}\n# mine\n`);
  await commit();
  await expectRefused(BRANCH, /remote: .*node\.yaml says who the node is/);
});

test("the controller's committer address, in upper or lower case, and a date in the future", async () => {
  await edit((text) => text.replace('mtu: 1500', 'mtu: 1400'));
  await copy.git('add', '-A');
  await withEnv('GIT_COMMITTER_EMAIL=Controller@MultiNIC.io', "commit -q -m 'hostile\n\nChange: spec'");
  await expectRefused(BRANCH, /remote: .*controller's committer address/);
  await withEnv('GIT_COMMITTER_DATE=2098-01-01T00:00:00Z', 'commit -q --amend --no-edit');
  await expectRefused(BRANCH, /remote: .*in the future/);
});

test('1,000 commits', async () => {
  const stream = Array.from(
    { length: 1000 },
    (_, index) =>
      `commit refs/heads/${BRANCH}\ncommitter Alice <alice@example.com> 1700000000 +0000\ndata 2\n${index % 10}\n${index === 0 ? `from refs/heads/${BRANCH}^0\n` : ''}`,
  ).join('\n');
  await writeFile(join(copy.dir, '.git/stream'), stream);
  await copy.git('-c', 'alias.many=!git fast-import --quiet <.git/stream', 'many');
  await expectRefused(BRANCH, /remote: .*more than 100 commits/);
});

test('one bad commit among good ones, and one bad branch among good ones', async () => {
  await edit((text) => text.replace('mtu: 1500', 'mtu: 1400'));
  await commit();
  await write('etc/shadow', 'x\n');
  await commit();
  await copy.git('rm', '-q', 'etc/shadow');
  await copy.git('commit', '-q', '-m', 'hide it');
  await expectRefused(BRANCH, /remote: .*etc\/shadow/);
  await copy.git('reset', '-q', '--hard', 'HEAD~2');
  const { code } = await copy.tryGit('push', 'origin', BRANCH, `+${BRANCH}:refs/heads/node/k8s-worker-02`);
  expect(code).not.toBe(0);
  expect(await allRefs()).toBe(refs);
});

test('the same edit without the faults is accepted', async () => {
  const tip = await copy.edit(NODE, FILE, (text) => text.replace('mtu: 1500', 'mtu: 1400'));
  await local.applied(NODE, tip);
  expect(await local.hostFile(NODE, FILE)).toMatch(/mtu: 1400/);
});
