// Changes the program in one place at a time and runs the unit tests that the place is related to: a change that no test
// notices shows a missing test. Works on a copy of the tree.
//
//   npm run mutation                                        the rooms below, 40 places each: about an hour
//   npm run mutation -- --sample 8 src/scheduler            some places of one room, always the same ones
//   npm run mutation -- --sample 0 src/kube/lease.ts        all places
import { cp, glob, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';

const ROOT = resolve(import.meta.dirname, '..');
const ROOMS = 'src/kube/lease.ts src/scheduler src/mirror src/history src/network src/agent/plan'.split(' ');
/** Share of the changes that the tests have to notice. */
const WANTED = 0.95;
/** A change that makes a loop endless is noticed by this. */
const TIMEOUT_MS = 90_000;

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
  [/(?<![\w.$])\d[\d_]*(?![\w.])/g, (token) => String(Number(token.replaceAll('_', '')) + 1)],
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

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { sample: { type: 'string', default: '40' } },
  });
  const copy = await mkdtemp(join(tmpdir(), 'multinic-mutation-'));
  try {
    for (const part of [
      'src',
      'test',
      'scripts',
      'fixtures',
      'docs',
      'crds',
      'deploy',
      'package.json',
      'tsconfig.json',
      'vitest.config.ts',
      'README.md',
    ])
      await cp(join(ROOT, part), join(copy, part), { recursive: true, verbatimSymlinks: true });
    await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    let few = false;
    for (const room of positionals.length > 0 ? positionals : ROOMS)
      few = (await runRoom(copy, room, Number(values.sample))) < WANTED || few;
    if (few) process.exitCode = 1;
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** @returns share of the changes that the tests noticed */
async function runRoom(copy: string, room: string, size: number): Promise<number> {
  const places: { file: string; source: string; mutation: Mutation }[] = [];
  for await (const file of glob(room.endsWith('.ts') ? room : `${room}/*.ts`, { cwd: ROOT })) {
    if (file.endsWith('.test.ts')) continue;
    const source = await readFile(join(ROOT, file), 'utf8');
    places.push(...mutationsOf(source).map((mutation) => ({ file, source, mutation })));
  }
  const sample = sampleOf(
    places.toSorted(
      (a, b) => (a.file < b.file ? -1 : Number(a.file > b.file)) || a.mutation.at - b.mutation.at,
    ),
    size,
  );
  for (const file of new Set(sample.map((place) => place.file)))
    if (!(await passes(copy, file)))
      throw new Error(`the tests of ${file} fail without any change: mend them first`);
  let noticed = 0;
  for (const { file, source, mutation } of sample) {
    const { at, from, to } = mutation;
    await writeFile(join(copy, file), source.slice(0, at) + to + source.slice(at + from.length));
    const survives = await passes(copy, file);
    await writeFile(join(copy, file), source);
    if (!survives) noticed += 1;
    else {
      const line = source.slice(0, at).split('\n').length;
      console.log(
        `survives: ${file}:${line} ${from.trim()} -> ${to.trim()}  ${source.split('\n')[line - 1]!.trim()}`,
      );
    }
  }
  console.log(`${room}: ${noticed} of ${sample.length} noticed (${places.length} places)`);
  return sample.length === 0 ? 1 : noticed / sample.length;
}

async function passes(copy: string, file: string): Promise<boolean> {
  const args = [
    'related',
    file,
    '--run',
    '--project',
    'unit',
    '--bail',
    '1',
    '--reporter',
    'dot',
    '--maxWorkers',
    '1',
  ];
  const { exitCode } = await execa(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], {
    cwd: copy,
    reject: false,
    timeout: TIMEOUT_MS,
    stdio: 'ignore',
  });
  return exitCode === 0;
}

if (import.meta.main) await main();
