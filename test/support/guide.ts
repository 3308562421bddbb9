// Commands of the docs as a reader types them: the blocks of a page in their order, in one shell.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { CommandBlock } from '../../scripts/docs/blocks.ts';

/** Line of a shell that waits until a condition is true. */
export const untilTrue = (condition: string): string => `until ${condition}; do sleep 0.1; done\n`;

/**
 * A shell script of the blocks. A block that stays runs beside the later ones.
 * @param typed the commands of a block with the words of this run
 * @param before commands before the first block
 */
export function scriptOf(
  blocks: readonly CommandBlock[],
  typed: (text: string) => string,
  before = '',
): string {
  const parts = blocks.map(({ text, stays }, index) => {
    const commands = typed(text);
    const begin = `echo '== block ${index + 1}' >&2\n`;
    if (!stays) return `${begin}${commands}\n`;
    const out = `stays-${index}.out`;
    // A reader sees the first line of a command that stays, and goes on.
    return `${begin}{\n${commands}\n} > ${out} 2>&1 &\n${untilTrue(`[ -s ${out} ]`)}`;
  });
  return `set -euo pipefail\n${before}${parts.join('')}`;
}

/** Runs a script in a folder, and ends what it leaves behind. @param env beside that of the tests, and a git with a name */
export async function runScript(
  text: string,
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<{ code: number; output: string }> {
  const script = join(cwd, 'guide.sh');
  await writeFile(script, text);
  const shell = spawn('bash', [script], {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      NO_COLOR: '1',
      GIT_AUTHOR_NAME: 'Reader',
      GIT_AUTHOR_EMAIL: 'reader@example.org',
      GIT_COMMITTER_NAME: 'Reader',
      GIT_COMMITTER_EMAIL: 'reader@example.org',
      ...env,
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
