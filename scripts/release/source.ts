import { execa } from 'execa';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commitOf } from '../commit.ts';
import { ROOT, type Source } from './part.ts';

/** The program that is released. */
export const BUNDLE = join(ROOT, 'dist/multinic.js');

/** @throws Error if dist/ was not built from this tree */
export async function sourceOf(): Promise<Source> {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const commit = await commitOf();
  const built = await buildOf();
  if (built.version !== version || built.commit !== commit)
    throw new Error(
      `dist/ was built from ${built.version} (${built.commit}), and this is ${version} (${commit}): npm run build, then again`,
    );
  const { stdout } = await execa('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, reject: false });
  return { version, commit, time: Number(stdout) || 0 };
}

async function buildOf(): Promise<{ readonly version: string; readonly commit: string }> {
  const args = [BUNDLE, 'version', '--client', '-o', 'json'];
  const { exitCode, stdout } = await execa(process.execPath, args, { reject: false });
  if (exitCode !== 0) throw new Error('dist/ has no program that runs: npm run build, then again');
  return (JSON.parse(stdout) as { client: { version: string; commit: string } }).client;
}
