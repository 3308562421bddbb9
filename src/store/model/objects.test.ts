import { oid } from '../../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import { parseCommit, parseTree } from './objects.ts';

const TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const PARENT = oid('1'.repeat(40));
const OID = oid('2'.repeat(40));

function commit(...lines: string[]): Buffer {
  return Buffer.from(lines.join('\n'));
}

test('a signed merge by people with odd names', () => {
  const parsed = parseCommit(
    OID,
    commit(
      `tree ${TREE}`,
      `parent ${PARENT}`,
      `parent ${OID}`,
      'author Zoë O > <z@example.org> 1700000000 +0200',
      'committer  <> -5 -0100',
      'gpgsig -----BEGIN PGP SIGNATURE-----',
      ' ',
      ' tree 3333333333333333333333333333333333333333',
      ' -----END PGP SIGNATURE-----',
      '',
      'subject',
      '',
    ),
  );
  expect(parsed).toEqual({
    oid: OID,
    tree: TREE,
    parents: [PARENT, OID],
    author: { name: 'Zoë O >', email: 'z@example.org', time: 1_700_000_000 },
    committer: { name: '', email: '', time: 0 },
    subject: 'subject',
    body: '',
    trailers: [],
    flaw: 'its committer has no date between 1970 and 9999',
  });
});

describe('headers that git and others could read differently', () => {
  const plain = [`tree ${TREE}`, 'author a <b> 1 +0000', 'committer a <b> 1 +0000'];

  test.each([
    ['author', 'x <y> 9 +0000'],
    ['committer', 'x <y> 9 +0000'],
    ['tree', OID],
  ])('of two %s headers the first counts, as git has it', (key, value) => {
    const parsed = parseCommit(OID, commit(...plain, `${key} ${value}`, '', 'subject'));
    expect(parsed).toMatchObject({
      tree: TREE,
      author: { name: 'a', time: 1 },
      committer: { name: 'a', time: 1 },
      flaw: `it has two ${key} headers`,
    });
  });

  test.each([
    ['-1', 0, true],
    ['0', 0, false],
    ['253402300799', 253_402_300_799, false],
    ['253402300800', 253_402_300_799, true],
    ['99999999999999999999', 253_402_300_799, true],
  ])('a date of %s is read as %d', (time, read, flawed) => {
    for (const key of ['author', 'committer']) {
      const lines = plain.map((line) => (line.startsWith(key) ? `${key} a <b> ${time} +0000` : line));
      const parsed = parseCommit(OID, commit(...lines, '', 'subject'));
      expect(parsed[key as 'author' | 'committer'].time).toBe(read);
      expect(parsed.flaw !== undefined).toBe(flawed);
      expect(new Date(read * 1000).toISOString()).toMatch(/Z$/);
    }
  });
});

test('names, addresses and subjects are one bounded line that no terminal obeys', () => {
  const { author, subject, flaw } = parseCommit(
    OID,
    commit(
      `tree ${TREE}`,
      `author \u001b]0;x\u0007${'n'.repeat(300)} <e\u009b31m> 1 +0000`,
      'committer a <b> 1 +0000',
      '',
      `\u001b[2J${'s'.repeat(900)}`,
      'and on',
    ),
  );
  expect(author).toEqual({ name: `?]0;x?${'n'.repeat(191)}...`, email: 'e?31m', time: 1 });
  expect(subject).toBe(`?[2J${'s'.repeat(493)}...`);
  expect(flaw).toBeUndefined();
});

test('a commit of which only the beginning was read says so', () => {
  const text = commit(
    `tree ${TREE}`,
    'author a <b> 1 +0000',
    'committer a <b> 1 +0000',
    '',
    'subject',
    '',
    'body',
  );
  expect(parseCommit(OID, text, 40_000_000)).toMatchObject({
    subject: 'subject',
    body: 'body\n[cut: the commit has 40000000 bytes]',
    trailers: [],
  });
});

test('a commit without a message', () => {
  const parsed = parseCommit(
    OID,
    commit(`tree ${TREE}`, 'author a <b> 1 +0000', 'committer a <b> 1 +0000', ''),
  );
  expect(parsed).toMatchObject({ tree: TREE, parents: [], subject: '', trailers: [] });
});

test('a tree with folders, executables and names beyond ASCII', () => {
  const data = Buffer.concat([
    Buffer.from('100755 naïve name\0'),
    Buffer.alloc(20, 0),
    Buffer.from('40000 etc\0'),
    Buffer.alloc(20, 0x20),
    Buffer.from('120000 link\0'),
    Buffer.alloc(20, 0xff),
  ]);
  expect(parseTree(data)).toEqual([
    { mode: '100755', name: 'naïve name', oid: '00'.repeat(20) },
    { mode: '040000', name: 'etc', oid: '20'.repeat(20) },
    { mode: '120000', name: 'link', oid: 'ff'.repeat(20) },
  ]);
  expect(parseTree(Buffer.alloc(0))).toEqual([]);
});
