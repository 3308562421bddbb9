// Changes the program in one place at a time and runs the unit tests that the place is related to: a change that no test
// notices shows a missing test. The tree stays as it is: only vitest sees the changed text.
//
//   npm run mutation                                        the rooms below, 40 places each
//   npm run mutation -- --sample 8 src/scheduler            some places of one room, always the same ones
//   npm run mutation -- --sample 0 src/kube/lease.ts        all places
//   npm run mutation -- src/history/policy.ts:54            all places of one line
//   npm run mutation -- --room src/history                  only with the tests of the room itself: seconds a place less
//   npm run mutation -- --beside src/history                only with the tests in the file beside the source
import { glob, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isEquivalent } from './mutation-equivalents.ts';
import { TestProcess } from './mutation-process.ts';

const ROOT = resolve(import.meta.dirname, '..');
const ROOMS = 'src/kube/lease.ts src/scheduler src/mirror src/history src/network src/agent/plan'.split(' ');
/** Share of the changes that the tests have to notice. */
const WANTED = 0.95;

/** A change of one place. */
export interface Mutation {
  readonly at: number;
  readonly from: string;
  readonly to: string;
}

/** Replacements of tokens. Blanks tell an operator from a bracket of types: oxfmt writes them. */
const CHANGES: readonly (readonly [token: RegExp, to: (token: string) => string])[] = [
  [/ === /g, () => ' !== '],
  [/ !== /g, () => ' === '],
  [/ < /g, () => ' <= '],
  [/ <= /g, () => ' < '],
  [/ > /g, () => ' >= '],
  [/ >= /g, () => ' > '],
  [/ && /g, () => ' || '],
  [/ \|\| /g, () => ' && '],
  [/ \+ (?=[\w(])/g, () => ' - '],
  [/ - (?=[\w(])/g, () => ' + '],
  [/(?<=[( ])!(?=[\w(])/g, () => ''],
  [/\btrue\b/g, () => 'false'],
  [/\bfalse\b/g, () => 'true'],
  // Skips the results of a comparison (`? -1 : 1`), of which only the sign counts.
  [
    /(?<![\w.$]|\? -1 : |\? -(?=1 : (?:1|Number)\b))\d[\d_]*(?![\w.])/g,
    (token) => String(Number(token.replaceAll('_', '')) + 1),
  ],
];

/** Parts of a source in which nothing is changed: comments, texts, patterns, imports and types. */
const KEPT =
  /\/\*[^]*?\*\/|\/\/.*|'(?:[^'\\\n]|\\.)*'|`[^`]*`|(?<=[(=:,] ?)\/(?:[^/\\\n]|\\.)+\/[a-z]*|^import [^]*?;$|^(?:export )?(?:interface|type) [^]*?\n(?=\n|$)|^ +readonly .*$/gm;

export function mutationsOf(source: string): Mutation[] {
  const code = source.replaceAll(KEPT, (part) => part.replaceAll(/[^\n]/g, '\u0000'));
  return CHANGES.flatMap(([token, to]) =>
    [...code.matchAll(token)].map(({ index, 0: from }) => ({ at: index, from, to: to(from) })),
  ).sort((a, b) => a.at - b.at);
}

/** A sample that is the same at each run: every n-th place. @param size 0: all */
export function sampleOf<T>(all: readonly T[], size: number): T[] {
  if (size === 0 || all.length <= size) return [...all];
  return Array.from({ length: size }, (_, index) => all[Math.floor((index * all.length) / size)]!);
}

/** A change with the source around it. */
export interface Place {
  readonly file: string;
  readonly source: string;
  readonly mutation: Mutation;
}

export function lineOf({ source, mutation }: Place): number {
  return source.slice(0, mutation.at).split('\n').length;
}

/** The places of a file, of a room's sources, or of one line: `src/history/policy.ts:54`. */
export async function placesOf(path: string): Promise<Place[]> {
  const [name = '', line] = path.split(':');
  const places: Place[] = [];
  for await (const file of glob(name.endsWith('.ts') ? name : `${name}/*.ts`, { cwd: ROOT })) {
    if (file.endsWith('.test.ts')) continue;
    const source = await readFile(join(ROOT, file), 'utf8');
    places.push(...mutationsOf(source).map((mutation) => ({ file, source, mutation })));
  }
  return places
    .filter((place) => line === undefined || lineOf(place) === Number(line))
    .toSorted((a, b) => (a.file < b.file ? -1 : Number(a.file > b.file)) || a.mutation.at - b.mutation.at);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      sample: { type: 'string', default: '40' },
      room: { type: 'boolean', default: false },
      beside: { type: 'boolean', default: false },
    },
  });
  await using tests = new TestProcess(values.beside ? 'beside' : values.room ? 'room' : 'others');
  let few = false;
  for (const room of positionals.length > 0 ? positionals : ROOMS)
    few = (await runRoom(tests, room, Number(values.sample))) < WANTED || few;
  if (few) process.exitCode = 1;
}

/** @returns share of the changes that the tests noticed */
async function runRoom(tests: TestProcess, room: string, size: number): Promise<number> {
  const places = await placesOf(room);
  const sample = sampleOf(places, size);
  const counted = sample.filter((place) => !isEquivalent(place));
  for (const file of new Set(counted.map((place) => place.file))) {
    const failures = await tests.failures(file);
    if (failures.length > 0)
      throw new Error(`tests of ${file} fail without any change, mend them first: ${failures.join('; ')}`);
  }
  let noticed = 0;
  for (const [index, place] of counted.entries()) {
    const { file, source, mutation } = place;
    const { at, from, to } = mutation;
    const line = lineOf(place);
    const failures = await tests.failures(file, source.slice(0, at) + to + source.slice(at + from.length));
    const survives = failures.length === 0;
    if (!survives) noticed += 1;
    // Prints the count so far, so that an aborted run has a result too.
    const change = `${survives ? 'survives' : 'noticed'}: ${file}:${line} ${from.trim()} -> ${to.trim()}`;
    // A failure that the change does not explain, for instance of time, shows in the line.
    const text = survives ? source.split('\n')[line - 1]!.trim() : failures[0];
    console.log(`${noticed} of ${index + 1}  ${change}  ${text}`);
  }
  const left = sample.length - counted.length;
  console.log(
    `${room}: ${noticed} of ${counted.length} noticed (${places.length} places; equivalent, left out: ${left})`,
  );
  return counted.length === 0 ? 1 : noticed / counted.length;
}

if (import.meta.main) await main();
