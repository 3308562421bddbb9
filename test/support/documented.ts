// Commands and files as the pages of docs/ print them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeBlocksOf, pageOf, ROOT } from '../../scripts/docs/pages.ts';

/** The blocks of code of one section of a page. @param path such as `docs/quick-start.md` */
export async function blocksOf(path: string, heading: string): Promise<string[]> {
  const text = await readFile(join(ROOT, path), 'utf8');
  const section = text.split(/^## /m).find((each) => each.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`${path} has no section ${heading}`);
  return codeBlocksOf(pageOf(path, section)).map((block) => block.text);
}

/** Commands of a block, one line each, without comments. */
export function commandsOf(block: string): string[] {
  return block
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.replace(/(^|\s+)# .*/, ''))
    .filter((line) => line !== '');
}
