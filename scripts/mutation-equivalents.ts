// Changes that no test can notice, because the program does the same with them. Each with its reason.
import type { Place } from './mutation.ts';

export interface Equivalent {
  readonly file: string;
  /** The line's text, without blanks around it. */
  readonly code: string;
  /** `<token> -> <token>`. */
  readonly change: string;
  readonly why: string;
}

export const EQUIVALENTS: readonly Equivalent[] = [
  {
    file: 'src/mirror/branch-mirror.ts',
    code: 'const READ_AT_ONCE = 256;',
    change: '256 -> 257',
    why: 'the number of reads that go to git together bounds the memory, and all branches are read all the same',
  },
];

export function isEquivalent(place: Place): boolean {
  return EQUIVALENTS.some((each) => matches(each, place));
}

export function matches(
  { file, code, change }: Equivalent,
  { file: path, source, mutation }: Place,
): boolean {
  const { at, from, to } = mutation;
  const begin = source.lastIndexOf('\n', at) + 1;
  const line = source.slice(begin, source.indexOf('\n', at)).trim();
  return file === path && code === line && change === `${from.trim()} -> ${to.trim()}`;
}
