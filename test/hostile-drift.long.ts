// What somebody may send to the requests of drift who has one node's token, another token, or none; and what a host may
// have in its files.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import type { DriftEntry } from '../src/history/drifts.ts';
import { managedFiles, treeId } from '../src/network/tree.ts';
import { LocalRun } from './support/local.ts';

const [ONE, TWO] = ['k8s-worker-01', 'k8s-worker-02'] as const;
const IFCFG = 'etc/sysconfig/network-scripts/ifcfg-multinic0';
const KIB = 1024;
const HEX = 'd'.repeat(64);

let local: LocalRun;
let origin = '';
let tokens: { readonly operator: string; readonly nodes: Readonly<Record<string, string>> };
let commit = '';
let own = new Map<string, string>();

beforeAll(async () => {
  local = await LocalRun.prepare((await LocalRun.prepare()).dir);
  const file = join(local.dir, 'inventory.yaml');
  const inventory = parse(await readFile(file, 'utf8')) as {
    nodes: { name: string; annotations?: object }[];
  };
  for (const node of inventory.nodes) node.annotations = { 'multinic.io/drift': 'report' };
  await writeFile(file, stringify(inventory));
  await local.launch();
  await local.settled();
  origin = new URL(await local.remote()).origin;
  tokens = parse(await readFile(join(local.dir, 'tokens.yaml'), 'utf8')) as typeof tokens;
  commit = await local.tip(TWO);
  const paths = (await local.git('ls-tree', '-r', '--name-only', commit)).split('\n');
  const texts = paths.map(
    async (path) => [path, `${await local.git('show', `${commit}:${path}`)}\n`] as const,
  );
  own = new Map(managedFiles(new Map(await Promise.all(texts))));
});

afterAll(() => local[Symbol.asyncDispose]());

interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly text: string;
}

async function call(
  method: 'POST' | 'PUT',
  path: string,
  body: unknown,
  token: string | undefined = tokens.operator,
): Promise<Answer> {
  const answer = await fetch(`${origin}/api/v1${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token !== '' && { authorization: `Bearer ${token}` }),
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  const { code } = text.startsWith('{') ? (JSON.parse(text) as { code?: string }) : {};
  return { status: answer.status, text, ...(code !== undefined && { code }) };
}

/** The files of a drifted host, as its observer sends them. */
function hostTree(files: Record<string, string | null>, more: object = {}): object {
  const all = new Map(own);
  for (const [path, content] of Object.entries(files)) {
    if (content === null) all.delete(path);
    else all.set(path, content);
  }
  return { version: 1, node: TWO, job: 'a-job', commit, digest: HEX, tree: treeId(all), files, ...more };
}

const put = (body: unknown, token = tokens.nodes[TWO], node: string = TWO): Promise<Answer> =>
  call('PUT', `/nodes/${node}/host-tree`, body, token);

const accept = (body: unknown, token?: string, node: string = TWO): Promise<Answer> =>
  call('POST', `/nodes/${node}/accept`, body, token);

const refs = (): Promise<string> => local.git('for-each-ref', '--format=%(refname) %(objectname)');

describe('the files of a host', () => {
  const changed = (): Record<string, string> => ({
    [IFCFG]: own.get(IFCFG)!.replace('MTU=1500', 'MTU=1400'),
  });

  test('are taken from the node itself, and make no commit by themselves', async () => {
    const before = await refs();
    expect(await put(hostTree(changed()))).toMatchObject({ status: 204 });
    expect(await put(hostTree({ [IFCFG]: null }))).toMatchObject({ status: 204 });
    expect(await refs()).toBe(before);
    expect(await local.api('/drift')).toEqual([]);
  });

  test.each<[string, () => string, number]>([
    ['nobody', () => '', 401],
    ['somebody who guesses', () => 'x'.repeat(43), 401],
    ['an operator', () => tokens.operator, 403],
    ['another node', () => tokens.nodes[ONE]!, 403],
  ])('are not taken from %s', async (_, token, status) => {
    expect(await put(hostTree(changed()), token())).toMatchObject({ status });
  });

  test.each<[string, () => unknown, number]>([
    ['of another node', () => hostTree(changed(), { node: ONE }), 400],
    ['of a commit that the branch does not have', () => hostTree(changed(), { commit: 'e'.repeat(40) }), 400],
    ['with another tree ID', () => hostTree(changed(), { tree: 'e'.repeat(40) }), 400],
    ['with a field more', () => hostTree(changed(), { result: 'Drifted' }), 400],
    [
      'with a line in the name of the job',
      () => hostTree(changed(), { digest: `${HEX}\nResult: Applied` }),
      400,
    ],
    ['with a file of over 64 KiB', () => hostTree({ [IFCFG]: '#'.repeat(64 * KIB + 1) }), 400],
    [
      'with over 256 KiB in all',
      () =>
        hostTree(
          Object.fromEntries(
            Array.from({ length: 5 }, (__, index) => [`${IFCFG}${index}`, '#'.repeat(60 * KIB)]),
          ),
        ),
      400,
    ],
    ['that are larger than any request', () => hostTree({ [IFCFG]: '#'.repeat(600 * KIB) }), 413],
    [
      'that are too many',
      () =>
        hostTree(Object.fromEntries(Array.from({ length: 250 }, (__, index) => [`${IFCFG}${index}`, '#']))),
      400,
    ],
    ['that are no JSON', () => '{', 400],
    ['that are a list', () => [hostTree(changed())], 400],
    ['that are nothing', () => '', 400],
  ])('%s are refused', async (_, body, status) => {
    const before = await refs();
    const answer = await put(body());
    expect(answer).toMatchObject({ status });
    expect(answer.text).not.toContain('Internal');
    expect(await refs()).toBe(before);
  });

  test.each([
    'etc/passwd',
    'node.yaml',
    '../../../etc/shadow',
    `/${IFCFG}`,
    `${IFCFG}/../../../passwd`,
    `${IFCFG}\u0000`,
    `${IFCFG}\n`,
    `etc/sysconfig/network-scripts/ifcfg-multinic0\u202e`,
    '.git/config',
    '',
  ])('with the path %j are refused', async (path) => {
    const body = hostTree({}, { files: { x: 'y' } });
    const text = JSON.stringify(body).replace('"x"', JSON.stringify(path));
    expect(await put(text)).toMatchObject({ status: 400 });
  });

  test('of a report that never comes are forgotten, and the host is observed as ever', async () => {
    expect(await put(hostTree(changed(), { job: 'multinic-observe-x-20260101000000' }))).toMatchObject({
      status: 204,
    });
    await writeFile(join(local.hostRoot(TWO), IFCFG), own.get(IFCFG)!.replace('MTU=1500', 'MTU=1350'));
    await call('POST', '/observe', { nodes: [TWO] });
    await local.until('the drift', async () => (await local.api<DriftEntry[]>('/drift')).length === 1);
    expect(await local.git('show', `outcome/${TWO}:${IFCFG}`)).toContain('MTU=1350');
  });
});

describe('accept', () => {
  const dryRun = { dryRun: true };

  test.each<[string, () => string, number]>([
    ['nobody', () => '', 401],
    ['the node itself', () => tokens.nodes[TWO]!, 403],
    ['another node', () => tokens.nodes[ONE]!, 403],
  ])('is not taken from %s', async (_, token, status) => {
    for (const path of ['/observe', `/nodes/${TWO}/accept`, `/nodes/${TWO}/retry`])
      expect(await call('POST', path, { ...dryRun, nodes: [TWO] }, token())).toMatchObject({ status });
  });

  test.each<[string, object, string, number]>([
    ['of a drift that is not the newest', { drift: 'f'.repeat(40) }, 'DriftOutdated', 422],
    ['of a drift that is no commit', { drift: '../../main\nAccepts: x' }, 'DriftOutdated', 422],
    ['of a drift that is no text', { drift: { $ne: '' } }, 'InvalidRequest', 400],
    ['with a field more', { force: true }, 'InvalidRequest', 400],
  ])('%s is refused', async (_, body, code, status) => {
    const before = await refs();
    expect(await accept({ yes: true, ...body })).toMatchObject({
      status,
      ...(code !== undefined && { code }),
    });
    expect(await refs()).toBe(before);
  });

  test('of a node that is none, or that has not drifted, is refused', async () => {
    expect(await accept({}, tokens.operator, 'nobody')).toMatchObject({ status: 422, code: 'NoSuchNode' });
    expect(await accept({}, tokens.operator, '..%2f..%2fmain')).toMatchObject({ code: 'NoSuchNode' });
    expect(await accept({}, tokens.operator, ONE)).toMatchObject({ code: 'NothingToAccept' });
  });

  test.each([
    ['control characters', '# \u001B]0;title\u0007\u001B[2J\n', /invisible character U\+001B/],
    ['text that turns round', '# \u202Egnp.exe\n', /invisible character U\+202E/],
  ])('of a file with %s is refused, and nothing of them reaches a message', async (_, line, words) => {
    const [before] = await local.api<DriftEntry[]>('/drift');
    await writeFile(join(local.hostRoot(TWO), IFCFG), `${line}${own.get(IFCFG)!}MTU=1340\n`);
    await call('POST', '/observe', { nodes: [TWO] });
    await local.until(
      'another drift',
      async () => (await local.api<DriftEntry[]>('/drift'))[0]?.commit !== before?.commit,
    );
    const tip = await local.tip(TWO);
    const answer = await accept({ yes: true });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.text).toMatch(words);
    const said = [
      await local.git('log', '-1', '--format=%B', `outcome/${TWO}`),
      JSON.stringify(await local.node(TWO)),
    ];
    for (const text of [...said, answer.text]) expect(text).not.toMatch(/[^\P{C}\n]/u);
    expect(await local.tip(TWO)).toBe(tip);
  });

  test('by an author with several lines has one line of them, and no trailer of theirs', async () => {
    await writeFile(join(local.hostRoot(TWO), IFCFG), own.get(IFCFG)!.replace('MTU=1500', 'MTU=1330'));
    await call('POST', '/observe', { nodes: [TWO] });
    await local.until('the drift of the MTU alone', async () => {
      const [drift] = await local.api<DriftEntry[]>('/drift');
      return drift?.differences[0]?.found === 'mtu 1330';
    });
    const author = { name: 'Mallory\nAccepts: 1\n\nDuration: 2', email: 'm@example.org>\ncommitter x' };
    expect(await accept({ yes: true, author })).toMatchObject({ status: 200 });
    const commit = await local.git('cat-file', 'commit', `node/${TWO}`);
    expect(commit.split('\n').filter((line) => /^(author|committer) /.test(line))).toEqual([
      expect.stringMatching(/^author Mallory/),
      expect.stringMatching(/^committer multinic-agent </),
    ]);
    expect(commit).not.toMatch(/^(Accepts: 1|Duration)/m);
  });
});
