// Holds docs/architecture.md to the folders and imports of the sources.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const MAX_SOURCES = 16;
/** Folders whose sources stand in rooms. */
const WITH_ROOMS = ['src/store', 'src/agent', 'src/ui'];
const TOP = 'the top of the folder';

interface Row {
  readonly path: string;
  readonly purpose: string;
  readonly imports: readonly string[];
}

const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => /(?<!\.test|\.d)\.tsx?$/.test(file))
  .map((file) => `src/${file}`);

/** The rows of a table of docs/architecture.md, in its order. */
function rowsOf(head: string): Row[] {
  const text = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const table = text.slice(text.indexOf(`| ${head} |`)).split('\n\n')[0] ?? '';
  return table
    .split('\n')
    .slice(2)
    .filter((line) => line.startsWith('|'))
    .map((line) => {
      const [path = '', purpose = '', imports = ''] = line
        .split('|')
        .slice(1)
        .map((cell) => cell.trim());
      return {
        path: path.replaceAll('`', ''),
        purpose,
        imports: imports.split(', ').filter((each) => each !== ''),
      };
    });
}

/** Files of the sources that a source imports, statically or not. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, to = '']) =>
    normalize(join(dirname(file), to)),
  );
}

/** The other places that each place imports. @param placeOf names the place of a file; undefined: the file is in none */
function arrows(placeOf: (file: string) => string | undefined): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const file of sources) {
    const from = placeOf(file);
    if (from === undefined) continue;
    const to = importsOf(file).flatMap((each) => placeOf(each) ?? []);
    found.set(from, new Set([...(found.get(from) ?? []), ...to.filter((each) => each !== from)]));
  }
  return found;
}

function expectTable(rows: readonly Row[], found: ReadonlyMap<string, ReadonlySet<string>>): void {
  const documented = new Map(rows.map(({ path, imports }) => [path, imports.toSorted()]));
  const real = new Map([...found].map(([path, imports]) => [path, [...imports].toSorted()]));
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(real));
}

function expectDownwards(rows: readonly Row[], nameOf: (row: Row) => string): void {
  const upwards = rows.flatMap(({ path, imports }, index) => {
    const above = new Set(rows.slice(0, index).map(nameOf));
    return imports.filter((each) => !above.has(each)).map((each) => `${path} imports ${each}`);
  });
  expect(upwards).toEqual([]);
}

const folderOf = (file: string): string => file.split('/')[1] ?? '';

describe('docs/architecture.md', () => {
  const folders = rowsOf('Folder');

  it('names every folder with what it imports', () => {
    const found = arrows(folderOf);
    expectTable(folders, new Map([...found].map(([folder, imports]) => [`src/${folder}`, imports])));
  });

  it('has every folder import folders above it only', () => {
    expectDownwards(folders, ({ path }) => folderOf(path));
  });

  it.each(WITH_ROOMS)('names every room of %s with what it imports, downwards', (base) => {
    const rows = rowsOf(`Room of \`${base}\``);
    const short = (dir: string): string => (dir === base ? TOP : dir.slice(base.length + 1));
    const found = arrows((file) => (file.startsWith(`${base}/`) ? dirname(file) : undefined));
    expectTable(rows, new Map([...found].map(([dir, to]) => [dir, new Set([...to].map(short))])));
    expectDownwards(rows, ({ path }) => short(path));
  });

  it('says the purpose of each folder as its README.md does', () => {
    const rooms = WITH_ROOMS.flatMap((base) => rowsOf(`Room of \`${base}\``));
    const rows = [...folders, ...rooms.filter(({ path }) => !WITH_ROOMS.includes(path))];
    const documented = Object.fromEntries(rows.map(({ path, purpose }) => [path, `${purpose}\n`]));
    const read = rows.map(({ path }) => [path, readFileSync(join(ROOT, path, 'README.md'), 'utf8')]);
    expect(documented).toEqual(Object.fromEntries(read));
  });
});

/** Packages that a source and all that it imports at its start need. */
function packagesOf(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return new Set();
  seen.add(file);
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found = [...text.matchAll(/^(?:import|export) (?!type )[^;]*?from '([^']+)'/gm)].map(
    ([, to = '']) => to,
  );
  const inner = found
    .filter((to) => to.startsWith('.'))
    .flatMap((to) => [...packagesOf(normalize(join(dirname(file), to)), seen)]);
  return new Set([...found.filter((to) => !to.startsWith('.')), ...inner]);
}

describe('a start', () => {
  it('of the code that writes history loads both (control)', () => {
    expect([...packagesOf('src/history/outcome-branch.ts')]).toEqual(expect.arrayContaining(['zod', 'yaml']));
  });

  it.each(['src/cli/program.ts', 'src/history/timeline.ts', 'src/store/reader.ts'])(
    'of %s loads no schema and no YAML, which take as long as all else',
    (file) => {
      expect([...packagesOf(file)].filter((each) => ['zod', 'yaml'].includes(each))).toEqual([]);
    },
  );
});

describe('sources', () => {
  it.each(WITH_ROOMS)(`of %s stand in rooms of at most ${MAX_SOURCES}`, (base) => {
    const rooms = Map.groupBy(
      sources.filter((file) => file.startsWith(`${base}/`)),
      (file) => dirname(file),
    );
    const full = [...rooms].filter(([, files]) => files.length > MAX_SOURCES).map(([room]) => room);
    expect(full).toEqual([]);
  });

  it('have base names that do not clash', () => {
    const names = Map.groupBy(sources, (file) => basename(file));
    expect([...names].flatMap(([, files]) => (files.length > 1 ? files : []))).toEqual([]);
  });
});
