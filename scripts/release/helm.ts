import { execa } from 'execa';
import { join } from 'node:path';
import { helmProgram } from '../../test/cluster/programs.ts';
import { missingBuilds } from '../../test/nodes/cache.ts';

export const NO_HELM =
  'helm is not here: install it, or name it with HELM=/path/to/helm, or let the tests build it (npm run test:cluster -- chart)';

const quiet = (): void => undefined;

/** The helm of $HELM, of the PATH, or of the tests' cache; undefined if there is none. */
export async function findHelm(): Promise<string | undefined> {
  const named = process.env['HELM'];
  if (named) {
    if (await runs(named)) return named;
    throw new Error(`HELM=${named} does not run: name a helm 3 program, or leave HELM out`);
  }
  if (await runs('helm')) return 'helm';
  let folder = '';
  const missing = await missingBuilds(async () => {
    folder = await helmProgram(quiet);
  });
  return missing.length === 0 ? join(folder, 'helm') : undefined;
}

async function runs(program: string): Promise<boolean> {
  const { exitCode } = await execa(program, ['version', '--short'], { reject: false });
  return exitCode === 0;
}
