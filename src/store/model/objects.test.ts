import { expect, test } from 'vitest';
import { parseCommit, parseTree } from './objects.ts';

const TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const PARENT = '1'.repeat(40);
const OID = '2'.repeat(40);

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
    committer: { name: '', email: '', time: -5 },
    subject: 'subject',
    body: '',
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
