import type { Oid } from '../src/api/oid.ts';
import { oid } from './support/oid.ts';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { recordPushes } from '../src/store/push/audit.ts';
import { AUDIT_REF } from '../src/store/model/store-refs.ts';
import { Batch } from '../src/store/model/batch.ts';
import { openReader } from '../src/store/reader.ts';
import { Store } from '../src/store/store.ts';
import type { StoreOptions } from '../src/store/store.ts';
import type { NewCommit } from '../src/store/model/store-port.ts';
import { BULK_CREATIONS } from '../src/store/git/transaction.ts';
import { processes } from './support/processes.ts';
import { inFolder } from './support/store-crash.ts';
import { codeOf } from './support/store-values.ts';

const PERSON = {
  GIT_AUTHOR_NAME: 'Alice',
  GIT_AUTHOR_EMAIL: 'alice@example.org',
  GIT_COMMITTER_NAME: 'Alice',
  GIT_COMMITTER_EMAIL: 'alice@example.org',
};
const AUTHOR = { name: 'viola', email: 'viola@example.org' };
const NODE = 'refs/heads/node/worker-1';

function commitOf(fields: Partial<NewCommit>): NewCommit {
  return { parents: [], files: new Map(), author: AUTHOR, subject: 'a change', trailers: [], ...fields };
}

async function inStore(
  check: (store: Store, dir: string) => Promise<void>,
  options: StoreOptions = {},
): Promise<void> {
  await inFolder(async (folder) => {
    const dir = join(folder, 'store.git');
    const store = await Store.open(dir, options);
    try {
      await check(store, dir);
      await store.fsck();
    } finally {
      await store.close();
    }
  });
}

function git(dir: string, ...args: string[]): string {
  return execFileSync('git', ['-C', dir, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...PERSON },
  });
}

test('a new store has a main that plain git can clone', async () => {
  await inStore(async (store, dir) => {
    git(dir, 'clone', '--quiet', dir, `${dir}.clone`);
    expect(git(`${dir}.clone`, 'log', '--format=%cn <%ce> %s').trim()).toBe(
      'multinic-agent <controller@multinic.io> The store begins',
    );
    expect([...(await store.reader.refs('refs/')).keys()]).toEqual(['refs/heads/main', 'refs/meta/writer']);
  });
});

test('a batch of two branches is written whole, and reads back unchanged', async () => {
  await inStore(async (store, dir) => {
    const main = await store.reader.ref('refs/heads/main');
    const batch = new Batch();
    const change = batch.commit(
      commitOf({
        parents: [main!],
        files: new Map([['configs/multinic.io/ns/net/cr.yaml', 'spec: {}\n']]),
        subject: 'net: new',
      }),
    );
    const birth = batch.commit(
      commitOf({ files: new Map([['node.yaml', 'name: worker-1\n']]), subject: 'birth' }),
    );
    const spec = batch.commit(
      commitOf({
        parents: [birth],
        files: new Map([
          ['etc/netplan/90-multinic0.yaml', 'é\n'],
          ['etc/netplan/91-multinic1.yaml', ''],
        ]),
        subject: 'worker-1: add multinic0',
        body: 'Because.\n\nAnd so on.',
        trailers: [
          ['Change', 'spec'],
          ['Ends-Hold', 'multinic0'],
          ['Ends-Hold', 'multinic1'],
        ],
      }),
    );
    batch.move('refs/heads/main', change, main ?? null);
    batch.move(NODE, spec, null);
    const [changeId, birthId, specId] = (await store.write(batch)) as [Oid, Oid, Oid];

    expect(await store.reader.ref('refs/heads/main')).toBe(changeId);
    expect(await store.reader.ref(NODE)).toBe(specId);
    expect(await store.reader.commit(specId)).toMatchObject({
      oid: specId,
      parents: [birthId],
      author: AUTHOR,
      committer: { name: 'multinic-agent', email: 'controller@multinic.io' },
      subject: 'worker-1: add multinic0',
      body: 'Because.\n\nAnd so on.',
      trailers: [
        ['Change', 'spec'],
        ['Ends-Hold', 'multinic0'],
        ['Ends-Hold', 'multinic1'],
      ],
    });
    expect([...(await store.reader.files(specId))]).toEqual([
      ['etc/netplan/90-multinic0.yaml', 'é\n'],
      ['etc/netplan/91-multinic1.yaml', ''],
      ['node.yaml', 'name: worker-1\n'],
    ]);
    expect([...(await store.reader.files(specId, 'etc/netplan')).keys()]).toEqual([
      'etc/netplan/90-multinic0.yaml',
      'etc/netplan/91-multinic1.yaml',
    ]);
    expect([...(await store.reader.list(specId, 'etc/none')).keys()]).toEqual([]);
    expect((await store.reader.log(specId)).map(({ subject }) => subject)).toEqual([
      'worker-1: add multinic0',
      'birth',
    ]);
    expect(await store.reader.log(specId, { until: birthId })).toHaveLength(1);
    expect(await store.reader.isAncestor(birthId, specId)).toBe(true);
    expect(await store.reader.isAncestor(specId, birthId)).toBe(false);
    expect(await store.reader.diff(null, birthId)).toContain('+name: worker-1');
    expect(git(dir, 'log', '-1', '--format=%(trailers:key=Change,valueonly)', NODE).trim()).toBe('spec');
  });
});

test('files are replaced, shared by id and removed', async () => {
  await inStore(async (store) => {
    const first = new Batch();
    const old = new Map([
      ['a/b', 'one'],
      ['a/c', 'two'],
      ['d', 'three'],
    ]);
    first.move(NODE, first.commit(commitOf({ files: old })), null);
    const [tip] = (await store.write(first)) as [Oid];
    const blob = (await store.reader.list(tip)).get('d')!.oid;
    const second = new Batch();
    const removed = second.commit(
      commitOf({
        parents: [tip],
        files: new Map([
          ['a', null],
          ['e', { blob }],
        ] as [string, null | { blob: Oid }][]),
      }),
    );
    const replaced = second.commit(
      commitOf({ parents: [removed], files: new Map([['f', 'x']]), replace: true }),
    );
    const merged = second.commit(commitOf({ parents: [replaced, tip], subject: 'both' }));
    second.move(NODE, merged, tip);
    const [a, b, c] = (await store.write(second)) as [Oid, Oid, Oid];
    expect([...(await store.reader.files(a))]).toEqual([
      ['d', 'three'],
      ['e', 'three'],
    ]);
    expect([...(await store.reader.files(b))]).toEqual([['f', 'x']]);
    expect((await store.reader.commit(c)).parents).toEqual([b, tip]);
    expect((await store.reader.commit(c)).tree).toBe((await store.reader.commit(b)).tree);
    expect((await store.reader.log(c, { firstParent: true })).map(({ oid }) => oid)).toEqual([c, b, a, tip]);
  });
});

test('a write that meets newer refs moves nothing and names them, and the next write succeeds', async () => {
  await inStore(async (store, dir) => {
    const first = new Batch();
    first.move(NODE, first.commit(commitOf({})), null);
    const [tip] = (await store.write(first)) as [Oid];
    const rival = oid(git(dir, 'commit-tree', '-m', 'a push', '-p', tip, `${tip}^{tree}`).trim());
    git(dir, 'update-ref', NODE, rival, tip);

    const late = new Batch();
    late.move('refs/heads/node/worker-0', late.commit(commitOf({ subject: 'other' })), null);
    late.move(NODE, late.commit(commitOf({ parents: [tip], subject: 'late' })), tip);
    const error = await store.write(late).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'LostRace', data: { refs: [NODE] } });
    expect(await store.reader.ref('refs/heads/node/worker-0')).toBeUndefined();
    expect(await store.reader.ref(NODE)).toBe(rival);

    const again = new Batch();
    again.move(NODE, again.commit(commitOf({ parents: [rival] })), rival);
    const [next] = await store.write(again);
    expect(await store.reader.ref(NODE)).toBe(next);
  });
});

test('writes of one process wait for each other, so a decision made in turn never loses', async () => {
  await inStore(async (store) => {
    const append = (): Promise<string[]> =>
      store.transact(async (reader) => {
        const tip = await reader.ref(NODE);
        const batch = new Batch();
        const parents = tip === undefined ? [] : [tip];
        batch.move(NODE, batch.commit(commitOf({ parents })), tip ?? null);
        return batch;
      });
    await Promise.all(Array.from({ length: 12 }, append));
    const tip = (await store.reader.ref(NODE))!;
    expect(await store.reader.log(tip)).toHaveLength(12);
  });
});

test('many new branches are written at once, beside existing ones', async () => {
  await inStore(async (store, dir) => {
    const names = Array.from({ length: BULK_CREATIONS + 50 }, (_, index) => `refs/heads/node/bulk-${index}`);
    const one = new Batch();
    one.move(names[7] ?? '', one.commit(commitOf({ subject: 'was there' })), null);
    const [there] = (await store.write(one)) as [Oid];
    const main = (await store.reader.ref('refs/heads/main'))!;

    const all = new Batch();
    for (const ref of names) all.move(ref, all.commit(commitOf({ subject: ref })), null);
    all.move('refs/heads/main', all.commit(commitOf({ parents: [main], subject: 'all' })), main);
    expect(await store.write(all).catch(codeOf)).toBe('LostRace');
    expect((await store.reader.refs('refs/heads/node/')).size).toBe(1);
    expect(await store.reader.ref('refs/heads/main')).toBe(main);

    const rest = new Batch();
    for (const ref of names)
      if (ref !== names[7]) rest.move(ref, rest.commit(commitOf({ subject: ref })), null);
    rest.move('refs/heads/main', rest.commit(commitOf({ parents: [main], subject: 'rest' })), main);
    await store.write(rest);
    git(dir, 'pack-refs', '--all');
    const refs = await store.reader.refs('refs/heads/node/');
    expect(refs.size).toBe(names.length);
    expect(refs.get(names[7] ?? '')).toBe(there);
    expect((await store.reader.commit(refs.get(names[9]!)!)).subject).toBe(names[9]);
    const moved = (await store.reader.ref('refs/heads/main'))!;
    expect((await store.reader.commit(moved)).subject).toBe('rest');
  });
});

test('commit times never go back when the clock does', async () => {
  let now = 2_000_000_000_000;
  await inStore(
    async (store) => {
      const first = new Batch();
      first.move(NODE, first.commit(commitOf({})), null);
      const [tip] = (await store.write(first)) as [Oid];
      now -= 86_400_000;
      const second = new Batch();
      const middle = second.commit(commitOf({ parents: [tip] }));
      second.move(NODE, second.commit(commitOf({ parents: [middle] })), tip);
      second.move('refs/heads/node/new', second.commit(commitOf({ subject: 'no parent' })), null);
      const times = (await store.reader.commits(await store.write(second))).map(
        ({ committer }) => committer.time,
      );
      expect(times).toEqual([2_000_000_000, 2_000_000_000, 1_999_913_600]);
    },
    { clock: () => now },
  );
});

test('hostile texts in names, subjects and trailers stay in their fields', async () => {
  await inStore(async (store, dir) => {
    const batch = new Batch();
    const mark = batch.commit(
      commitOf({
        author: { name: 'Eve <eve@x>\ncommitter Eve', email: 'a>b\n<c\0' },
        subject: 'one\nreset refs/heads/main\n\0',
        body: 'data 3\n\ncommit refs/heads/main\n\nChange: spec',
        trailers: [['Ref', 'x\n\nChange: birth']],
        files: new Map([['etc/a b', 'data <<EOF\n\0\n']]),
      }),
    );
    const plain = batch.commit(commitOf({ parents: [mark], body: 'Change: spec\nCR-UID: 1' }));
    batch.move(NODE, plain, null);
    const [oid, plainOid] = (await store.write(batch)) as [Oid, Oid];
    const commit = await store.reader.commit(oid);
    expect(commit.author).toMatchObject({ name: 'Eve eve@x committer Eve', email: 'ab c' });
    expect(commit.subject).toBe('one reset refs/heads/main');
    expect(commit.trailers).toEqual([['Ref', 'x Change: birth']]);
    expect((await store.reader.commit(plainOid)).trailers).toEqual([]);
    expect(git(dir, 'log', '-1', '--format=%(trailers)', plainOid).trim()).toBe('');
    expect([...(await store.reader.files(oid))]).toEqual([['etc/a b', 'data <<EOF\n\0\n']]);
  });
});

test.each([
  ['a path that leaves the tree', { files: new Map([['../x', 'x']]) }, NODE],
  ['a path into .git', { files: new Map([['a/.GIT/config', 'x']]) }, NODE],
  ['an absolute path', { files: new Map([['/etc/passwd', 'x']]) }, NODE],
  ['a path with a newline', { files: new Map([['a\nD b', 'x']]) }, NODE],
  ['a parent of a later mark', { parents: [{ mark: 1 }] }, NODE],
  ['no subject', { subject: ' \n' }, NODE],
  ['a trailer key with a space', { trailers: [['a b', 'c']] as const }, NODE],
  ['a ref that ends in .lock', {}, 'refs/heads/node/a.lock'],
  ['a ref with a newline', {}, 'refs/heads/a\ncommit'],
  ['a name that is no ref', {}, 'HEAD'],
  ['the fence itself', {}, 'refs/meta/writer'],
] satisfies [string, Partial<NewCommit>, string][])(
  '%s is refused before git sees it',
  async (_, fields, ref) => {
    await inStore(async (store) => {
      const before = await store.reader.refs('refs/');
      const batch = new Batch();
      batch.move(ref, batch.commit(commitOf(fields)), null);
      const code = await store.write(batch).catch(codeOf);
      expect(['InvalidBatch', 'NotFound']).toContain(code);
      expect(await store.reader.refs('refs/')).toEqual(before);
    });
  },
);

test('pushes are recorded one after the other, in any order', async () => {
  await inStore(async (store) => {
    const principal = { name: 'operator', role: 'write' } as const;
    const zero = oid('0'.repeat(40));
    const records = await Promise.all(
      [1, 2, 3].map((digit) =>
        recordPushes(store, [{ principal, ref: NODE, old: zero, new: oid(String(digit).repeat(40)) }]),
      ),
    );
    const tip = (await store.reader.ref(AUDIT_REF))!;
    const log = await store.reader.log(tip, { reverse: true });
    expect(log.map(({ oid }) => oid)).toEqual(records.flat());
    expect(log[1]?.subject).toBe(`operator pushes ${NODE} 0000000000..2222222222`);
    expect(log[1]?.trailers).toEqual([
      ['Principal', 'operator'],
      ['Ref', NODE],
      ['Old', zero],
      ['New', oid('2'.repeat(40))],
    ]);
  });
});

test('a reader whose git is killed starts git again', async () => {
  await inStore(async (store, dir) => {
    const tip = (await store.reader.ref('refs/heads/main'))!;
    const reader = openReader(dir);
    await reader.commit(tip);
    const readers = (await processes()).filter(
      ({ parent, command }) => parent === process.pid && command.includes(`${dir} cat-file`),
    );
    expect(readers).toHaveLength(2);
    for (const { pid } of readers) process.kill(pid, 'SIGKILL');
    expect((await reader.list(tip)).size).toBe(0);
    expect(await reader.ref('refs/heads/main')).toBe(tip);
    await reader.close();
    expect(await reader.ref('refs/heads/main').catch(codeOf)).toBe('StoreClosed');
  });
});

test('a folder that is no store is an error, not an endless wait', async () => {
  await inFolder(async (folder) => {
    mkdirSync(join(folder, 'empty'));
    const reader = openReader(join(folder, 'empty'));
    expect(await reader.commit(oid('1'.repeat(40))).catch(codeOf)).toBe('StoreUnreadable');
    expect(await reader.refs('refs/').catch(codeOf)).toBe('GitFailed');
    await reader.close();
  });
});

test('an error names a file that is not text, or a missing object', async () => {
  await inStore(async (store, dir) => {
    writeFileSync(`${dir}.bytes`, Buffer.from([0xff, 0xfe]));
    const binary = oid(git(dir, 'hash-object', '-w', `${dir}.bytes`).trim());
    expect(await store.reader.blob(binary).catch(codeOf)).toBe('NotText');
    expect(await store.reader.commit(oid('1'.repeat(40))).catch(codeOf)).toBe('NotFound');
    expect(await store.reader.log(oid('1'.repeat(40))).catch(codeOf)).toBe('NotFound');
    expect(await store.reader.list(oid('1'.repeat(40)), 'etc').catch(codeOf)).toBe('NotFound');
  });
});
