// `npm run cluster` as a person uses it: the printed commands work as they are, and Ctrl-C leaves nothing.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { run } from '../nodes/command.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const START_MS = 3_600_000;
let child: ChildProcess | undefined;

afterAll(async () => {
  if (child === undefined || child.exitCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}, 60_000);

/** @returns what it has printed when it waits for Ctrl-C */
async function start(): Promise<string> {
  child = spawn(process.execPath, ['scripts/cluster.ts', '--nodes', '2'], {
    cwd: REPOSITORY,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const part of child.stdout!.setEncoding('utf8')) {
    text += part as string;
    if (text.includes('nothing stays')) return text;
  }
  throw new Error(`it ended:\n${text}`);
}

test(
  'a CR for its nodes is applied, changed and rolled back by the lines that it prints',
  async () => {
    const printed = await start();
    const lines = printed.split('\n').filter((line) => line.startsWith('  '));
    const wait =
      'kubectl wait -n multinic-system --for=condition=Ready multinicclusterconfig/sample --timeout=90s';
    const script = lines.map((line) => (/kubectl apply/.test(line) ? `${line}\nsleep 2\n${wait}` : line));
    const said = await run('bash', ['-e', '-u', '-c', script.join('\n')], { timeoutMs: 300_000 });
    expect(said).toMatch(/worker-1 +Ready/);
    expect(said).toMatch(/worker-2.*Configured/);
    expect(said).toMatch(/worker-1.*rolled back/);

    const kubeconfig = /KUBECONFIG=(\S+)/.exec(printed)![1]!;
    child!.kill('SIGINT');
    const [code] = (await once(child!, 'exit')) as [number | null];
    expect(code).toBe(0);
    await expect(access(dirname(kubeconfig))).rejects.toMatchObject({ code: 'ENOENT' });
  },
  START_MS,
);
