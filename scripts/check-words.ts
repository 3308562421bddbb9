// Refuses comment lines that open with a pronoun or a question word: such a line leaves its subject out, or points at
// something that the reader has not seen. `--lower` writes lower numbers to scripts/check-words.json. The Korean pages
// are compared with their English ones, and the docs with their bounds.
import { glob, readFile, writeFile } from 'node:fs/promises';
import { docsComplaints } from './docs/bounds.ts';
import { reportKoreanDocs } from './korean-docs.ts';

const SOURCES = ['src/**/*.ts', 'scripts/**/*.ts', 'bench/**/*.ts'];
const ALLOWANCE = 'scripts/check-words.json';
const OPENING = /(?:^\s*\*|(?:^|\s)\/\/|(?:^|\s)\/\*\*?)\s+((?:What|Who|Those|Of|By|Else|Less|It|They)\b.*)/;
const RULE =
  'A comment begins with its subject: a noun and a verb, present tense; first what the code does, then why (docs/glossary.md).';

export interface Opening {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** Comment lines of a source that open with one of the refused words. */
export function openingsIn(file: string, source: string): Opening[] {
  return source.split('\n').flatMap((text, index) => {
    const found = OPENING.exec(text)?.[1];
    return found === undefined ? [] : [{ file, line: index + 1, text: found }];
  });
}

/** Folder that an allowance is for: `src/agent` for every file below it, `bench` for all of bench. */
export function roomOf(file: string): string {
  const [top, next, ...rest] = file.split('/');
  return top === 'src' && rest.length > 0 ? `${top}/${next}` : top!;
}

export type Allowance = Readonly<Record<string, number>>;

/** Complaints, in words for people; empty if each folder has exactly the number that it is allowed. */
export function complaints(openings: readonly Opening[], allowance: Allowance): string[] {
  const byRoom = Map.groupBy(openings, ({ file }) => roomOf(file));
  const rooms = [...new Set([...Object.keys(allowance), ...byRoom.keys()])].toSorted();
  return rooms.flatMap((room) => {
    const found = byRoom.get(room) ?? [];
    const allowed = allowance[room] ?? 0;
    if (found.length > allowed) {
      const lines = found.map(({ file, line, text }) => `${file}:${line}: ${text}`);
      return [...lines, `${room} has ${found.length} such comments and may have ${allowed}. ${RULE}`];
    }
    const lower = `${room} has ${found.length} such comments and may have ${allowed}: lower the number with \`npm run words:lower\`.`;
    return found.length < allowed ? [lower] : [];
  });
}

/** The allowance with each number that can go down; no number goes up. */
export function lowered(openings: readonly Opening[], allowance: Allowance): Allowance {
  const count = Map.groupBy(openings, ({ file }) => roomOf(file));
  const entries = Object.entries(allowance).map(
    ([room, allowed]) => [room, Math.min(allowed, count.get(room)?.length ?? 0)] as const,
  );
  return Object.fromEntries(entries.filter(([, allowed]) => allowed > 0));
}

async function openings(): Promise<Opening[]> {
  const found: Opening[] = [];
  for await (const file of glob(SOURCES, { exclude: ['**/*.test.ts'] }))
    found.push(...openingsIn(file, await readFile(file, 'utf8')));
  return found.toSorted((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}

if (import.meta.main) {
  const found = await openings();
  const allowance = JSON.parse(await readFile(ALLOWANCE, 'utf8')) as Allowance;
  if (process.argv.includes('--lower'))
    await writeFile(ALLOWANCE, `${JSON.stringify(lowered(found, allowance), undefined, 2)}\n`);
  else {
    const said = [...complaints(found, allowance), ...(await docsComplaints())];
    for (const line of said) console.error(line);
    process.exitCode = (await reportKoreanDocs()) && said.length === 0 ? 0 : 1;
  }
}
