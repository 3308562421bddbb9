// The commands of the docs, as a reader types them: the blocks of a page in their order, in one shell, beside a local home.
//
// A comment before a block says that the command stays (`<!-- stays -->`), which test runs the same commands
// (`<!-- run by: test/… -->`), or why nothing runs them (`<!-- not run: … -->`).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commandBlocks, type CommandBlock } from '../scripts/docs/blocks.ts';
import { readPages, ROOT } from '../scripts/docs/pages.ts';

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

const waitFor = (condition: string): string => `until ${condition}; do sleep 0.1; done\n`;

/** A shell script of the blocks. A block that stays runs beside the later ones. */
function scriptOf(all: readonly CommandBlock[]): string {
  const starts = all.some(({ text }) => /multinic local DIR\b/.test(text));
  const before = starts
    ? ''
    : `npx multinic local DIR --init fixtures/local --port ${port} > controller.out 2>&1 &
${waitFor('[ -s controller.out ]')}
export MULTINIC_DIR=DIR
multinic wait --for ready >&2\n`;
  const parts = all.map(({ text, stays }, index) => {
    const commands = typed(text);
    const begin = `echo '== block ${index + 1}' >&2\n`;
    if (!stays) return `${begin}${commands}\n`;
    const out = `stays-${index}.out`;
    // A reader sees the first line of a command that stays, and goes on.
    return `${begin}{\n${commands}\n} > ${out} 2>&1 &\n${waitFor(`[ -s ${out} ]`)}`;
  });
  return `set -euo pipefail\n${before}${parts.join('')}`;
}

async function runPage(all: readonly CommandBlock[]): Promise<{ code: number; output: string }> {
  const script = join(folder, 'guide.sh');
  await writeFile(script, scriptOf(all));
  const shell = spawn('bash', [script], {
    cwd: folder,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      PATH: `${folder}${delimiter}${process.env['PATH']}`,
      HOME: folder,
      NO_COLOR: '1',
      KUBECONFIG: '/nowhere',
      GIT_AUTHOR_NAME: 'Reader',
      GIT_AUTHOR_EMAIL: 'reader@example.org',
      GIT_COMMITTER_NAME: 'Reader',
      GIT_COMMITTER_EMAIL: 'reader@example.org',
    },
  });
  let output = '';
  const hear = (chunk: Buffer): void => void (output += chunk.toString());
  shell.stdout.on('data', hear);
  shell.stderr.on('data', hear);
  const [code] = (await once(shell, 'exit')) as [number | null];
  process.kill(-shell.pid!, 'SIGTERM');
  await execa('bash', ['-c', `while pgrep -g ${shell.pid} >/dev/null; do sleep 0.1; done`], {
    timeout: 20_000,
  });
  return { code: code ?? -1, output };
}

describe('the commands of a page run in their order', () => {
  test.each([...byPage])(
    '%s',
    async (path, all) => {
      const { code, output } = await runPage(all);
      expect(code, `${scriptOf(all)}\n${output}`).toBe(0);
      for (const says of SAYS[path] ?? []) expect(output).toMatch(says);
    },
    300_000,
  );
});

test('each test that a block names exists', () => {
  const named = blocks.flatMap(({ path, by }) => (by === undefined ? [] : [[path, by] as const]));
  expect(named.filter(([, by]) => !by.split(', ').every((file) => existsSync(join(ROOT, file))))).toEqual([]);
});

test('each block that nothing runs says why, and most blocks run', () => {
  const none = blocks.filter(({ runs }) => runs === 'none');
  expect(none.filter(({ reason }) => (reason ?? '').length < 10)).toEqual([]);
  expect(1 - none.length / blocks.length).toBeGreaterThan(0.5);
});
