// Options and the source of a command that only reads.

import type { Command, Option } from 'commander';
import { outputOption, withProgress, type Format } from './output.ts';
import { openSource, type Source } from './source.ts';
import { withConnection, type ConnectionFlags } from './target.ts';

export interface ReadingFlags extends ConnectionFlags {
  readonly output: Format;
}

export function reading(command: Command, output: Option = outputOption()): Command {
  return withConnection(command).addOption(output);
}

export async function look(flags: ConnectionFlags, see: (source: Source) => Promise<void>): Promise<void> {
  const source = await openSource(flags);
  try {
    await withProgress('still reading', see(source));
  } finally {
    await source.close();
  }
}
