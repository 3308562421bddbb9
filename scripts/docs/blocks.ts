// Blocks of commands in the docs, and how each is tested. A comment before a block says why it does not run in a local home.
import { codeBlocksOf, type Page } from './pages.ts';

export interface CommandBlock {
  readonly path: string;
  /** Commands of the block. */
  readonly text: string;
  /**
   * `local`: test/guides.long.ts runs it. `cluster`: test/kube/docs.cluster.ts runs it. `elsewhere`: the test `by` runs
   * the same commands. `none`: nothing runs it.
   */
  readonly runs: 'local' | 'cluster' | 'elsewhere' | 'none';
  /** The command does not end, so it runs beside the blocks after it. */
  readonly stays: boolean;
  /** Test file that runs the same commands. */
  readonly by?: string;
  /** The reason why no test runs the block. */
  readonly reason?: string;
}

/** Korean pages have the commands of their English pages; decisions have no guide. */
const OTHERS = /^docs\/(?:ko|decisions)\//;

function blockOf(path: string, text: string, comment: string): CommandBlock {
  const [, mark, says] = /^(run by|not run): (.+)$/s.exec(comment) ?? [];
  const [first] = comment.split(', ');
  const stays = comment.split(', ').at(-1) === 'stays';
  if (mark === 'run by') return { path, text, runs: 'elsewhere', stays, by: says! };
  if (mark === 'not run') return { path, text, runs: 'none', stays, reason: says! };
  return { path, text, runs: first === 'cluster' ? 'cluster' : 'local', stays };
}

/** All blocks of commands of the pages, in their order. */
export function commandBlocks(pages: readonly Page[]): CommandBlock[] {
  return pages
    .filter(({ path }) => !OTHERS.test(path))
    .flatMap((page) =>
      codeBlocksOf(page)
        .filter(({ language }) => language === 'sh')
        .map(({ text, comment }) => blockOf(page.path, text, comment)),
    );
}
