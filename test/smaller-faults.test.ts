// Small faults found by trying the product: a text of blanks, a name that git reads as a revision, a
// process that cannot start.

import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test, vi } from 'vitest';
import { Branches } from '../src/history/node-branch.ts';
import { openReader } from '../src/store/reader.ts';
import { entryFor, Fleet } from './support/fleet.ts';

test.each([' \n', '\n  \n', '  \ttext\n ', '\u0085'])(
  'a text %j in a CR makes one commit, and none at each pass',
  async (text) => {
    await using fleet = await Fleet.open(['a']);
    fleet.write('cr', { providerId: text, nodeConfigs: [{ ...entryFor('a', 1500), note: text }] });
    const first = await fleet.pass();
    const second = await fleet.pass();
    await fleet.restart();
    const third = await fleet.pass();
    expect([second.main.commit, third.main.commit]).toEqual([first.main.commit, first.main.commit]);
  },
);

test('a name that git reads as a revision is the name of no node', async () => {
  await using fleet = await Fleet.open(['a']);
  fleet.want('cr', { a: 1500 });
  await fleet.pass();
  const branches = new Branches(fleet.reader);
  expect(await branches.read('a')).toBeDefined();
  for (const name of ['a~', 'a~1', 'a^', 'a^{tree}', 'a@{0}', 'a:node.yaml', '../node/a', 'a..a', '', '*'])
    expect([name, await branches.read(name)]).toEqual([name, undefined]);
});

test('a reader whose git cannot start rejects, and the process goes on', async () => {
  await using fleet = await Fleet.open([]);
  const reader = openReader(join(fleet.dir, 'store.git'));
  vi.stubEnv('PATH', '/nowhere');
  try {
    await expect(reader.ref('refs/heads/main')).rejects.toThrow(/git/);
  } finally {
    vi.unstubAllEnvs();
  }
  // The next read starts git again.
  expect(await reader.ref('refs/heads/main')).toMatch(/^[0-9a-f]{40}$/);
  await reader.close();
});

test.each([
  ['reader', 'StoreUnreadable', expect.stringMatching(/^[0-9a-f]{40}$/)],
  ['push', 'Busy', 0],
  ['command', 'CommandMissing', 0],
])(
  'a process that finds no file descriptors is an error, and the program goes on: %s',
  async (what, code, value) => {
    await using fleet = await Fleet.open([]);
    const script = join(import.meta.dirname, 'support/without-descriptors.ts');
    const limited = ['-c', 'ulimit -n 128; exec "$0" "$@"', process.execPath, script, what];
    const { stdout } = await execa('sh', [...limited, join(fleet.dir, 'store.git')]);
    const lines = stdout.split('\n').map((line) => JSON.parse(line) as { few: object; enough: object });
    expect(lines).toHaveLength(15);
    expect(lines.map(({ enough }) => enough)).toEqual(lines.map(() => ({ value })));
    // Where a file cannot be opened either, the error of the system says so.
    const refused = lines.map(({ few }) => few).filter((few) => !('value' in few));
    expect(refused).toContainEqual({ name: 'MultinicError', code });
    expect(refused.filter((each) => 'name' in each && each.name === 'TypeError')).toEqual([]);
  },
);

test('whether a commit is on a branch is asked of git once, and not at each pass', async () => {
  await using fleet = await Fleet.open(['a']);
  fleet.want('cr', { a: 1500 });
  await fleet.pass();
  const { tip } = await fleet.branch('a');
  const birth = tip.parents[0]!;
  const reader = openReader(join(fleet.dir, 'store.git'));
  expect(await reader.isAncestor(birth, tip.oid)).toBe(true);
  expect(await reader.isAncestor(tip.oid, birth)).toBe(false);
  vi.stubEnv('PATH', '/nowhere');
  try {
    expect(await reader.isAncestor(birth, tip.oid)).toBe(true);
    expect(await reader.isAncestor(tip.oid, birth)).toBe(false);
  } finally {
    vi.unstubAllEnvs();
  }
  await reader.close();
});
