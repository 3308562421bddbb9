// The program's sources of all folders, without their tests and comments. Programs and hosts read nothing that the web
// UI writes, so its sources are left out.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SRC = join(import.meta.dirname, '../../src');

export const SOURCES: readonly string[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.startsWith('ui/'))
  .map((path) => withoutComments(readFileSync(join(SRC, path), 'utf8')));

function withoutComments(text: string): string {
  return text.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');
}

/** Matches of the pattern's first group in all sources. @param pattern with the flag `g` */
export function inSources(pattern: RegExp): string[] {
  return SOURCES.flatMap((text) => [...text.matchAll(pattern)].map((match) => match[1] ?? ''));
}
