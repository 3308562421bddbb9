// The commands of the docs, as a reader types them: the blocks of a page in their order, in one shell, beside a local home.
//
// A comment before a block says that the command stays (`<!-- stays -->`), that it runs on a cluster (`<!-- cluster -->`,
// test/kube/docs.cluster.ts), which test runs the same commands (`<!-- run by: test/… -->`), or why nothing runs them
// (`<!-- not run: … -->`).

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commandBlocks, type CommandBlock } from '../scripts/docs/blocks.ts';
import { readPages, ROOT } from '../scripts/docs/pages.ts';
import { runScript, scriptOf, untilTrue } from './support/guide.ts';

const blocks = commandBlocks(await readPages());
const byPage = Map.groupBy(
  blocks.filter(({ runs }) => runs === 'local'),
  ({ path }) => path,
);

/** Words of the docs that a reader replaces. */
const WORDS: Readonly<Record<string, string>> = {
  NODE: 'k8s-worker-01',
  FILE: 'fixtures/sample-multinicclusterconfig.yaml',
  FOLDER: 'fixtures/local/crs',
};

/** What a reader sees who types the commands of a page. */
const SAYS: Readonly<Record<string, readonly RegExp[]>> = {
  'README.md': [/Revert ".* mtu 1500 -> 1400"/, /^held {5}since .* by Reader/m, /^multinic0 .* 1500 /m],
  'docs/history.md': [/^held {5}since /m],
  'docs/operating.md': [/k8s-worker-01 paused/],
};

let folder: string;
let port: number;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multinic-guide-'));
  port = await freePort();
  for (const name of ['fixtures', 'package.json', 'dist', 'node_modules'])
    await symlink(join(ROOT, name), join(folder, name));
  // Where a reader has `multinic` by the npm package, and `npx multinic` from a clone.
  for (const [name, shift] of [
    ['multinic', ''],
    ['npx', 'shift; '],
  ] as const) {
    const file = join(folder, name);
    await writeFile(file, `#!/bin/sh\n${shift}exec '${process.execPath}' '${ROOT}/dist/multinic.js' "$@"\n`);
    await chmod(file, 0o755);
  }
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: free } = server.address() as AddressInfo;
  server.close();
  return free;
}

/** Commands of a block with the words of this run, and with a port that is free. */
function typed(text: string): string {
  const said = text.replaceAll(/\b[A-Z]{3,}\b(?!=)/g, (word) => WORDS[word] ?? word);
  return said
    .replaceAll(/multinic local DIR\b/g, `multinic local DIR --port ${port}`)
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`);
}

const CLONE = `TOKEN=$(sed -n 's/^operator: *//p' DIR/tokens.yaml)
git clone -q http://multinic:$TOKEN@127.0.0.1:8080/git store
git -C store switch -q node/NODE\n`;

/** Starts a controller for a page that starts none, and makes the clone for one that uses it and makes none. */
function beforePage(all: readonly CommandBlock[]): string {
  const has = (words: RegExp): boolean => all.some(({ text }) => words.test(text));
  if (has(/multinic local DIR\b/)) return '';
  const clone = has(/-C store\b/) && !has(/git clone/) ? typed(CLONE) : '';
  return `npx multinic local DIR --init fixtures/local --port ${port} > controller.out 2>&1 &
${untilTrue('[ -s controller.out ]')}
export MULTINIC_DIR=DIR
multinic wait --for ready >&2\n${clone}`;
}

describe('the commands of a page run in their order', () => {
  test.each([...byPage])(
    '%s',
    async (path, all) => {
      const script = scriptOf(all, typed, beforePage(all));
      const { code, output } = await runScript(script, {
        cwd: folder,
        env: { PATH: `${folder}${delimiter}${process.env['PATH']}`, HOME: folder, KUBECONFIG: '/nowhere' },
      });
      expect(code, `${script}\n${output}`).toBe(0);
      for (const says of SAYS[path] ?? []) expect(output).toMatch(says);
    },
    300_000,
  );
});

test('npm start shows the demo, from the files of the repository alone', async () => {
  const copy = join(folder, 'copy');
  await mkdir(copy);
  const left = ['node_modules', '.git', 'dist', 'multinic-demo', 'release'].map(
    (name) => `--exclude=./${name}`,
  );
  await execa('bash', ['-c', 'tar -cf - "$@" . | tar -xf - -C copy', 'bash', ...left, '-C', ROOT], {
    cwd: folder,
  });
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const { stdout } = await execa('npm', ['start'], { cwd: copy, env: { HOME: folder, NO_COLOR: '1' } });
  expect(stdout).toMatch(/k8s-worker-02: .*ifcfg-multinic0/);
  expect(stdout).toMatch(/Applied .*\n.*spec {5}remove multinic1/);
  expect(stdout).toContain('npx multinic rollback k8s-worker-01 -C multinic-demo');
}, 300_000);

test('each test that a block names exists', () => {
  const named = blocks.flatMap(({ path, by }) => (by === undefined ? [] : [[path, by] as const]));
  expect(named.filter(([, by]) => !by.split(', ').every((file) => existsSync(join(ROOT, file))))).toEqual([]);
});

test('each block that nothing runs says why, and most blocks run', () => {
  const none = blocks.filter(({ runs }) => runs === 'none');
  expect(none.filter(({ reason }) => (reason ?? '').length < 10)).toEqual([]);
  expect(1 - none.length / blocks.length).toBeGreaterThan(0.85);
});
