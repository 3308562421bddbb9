import { expect, test } from 'vitest';
import { nodeOfRef, nodeRef, outcomeRef } from './refs.ts';

test.each(['worker-1', 'a.b.c', 'x.lock', 'x.lock.lock', 'lock', 'a.lock.b'])(
  '%s has refs of its own',
  (name) => {
    expect(nodeOfRef(nodeRef(name))).toBe(name);
    expect(nodeOfRef(outcomeRef(name))).toBe(name);
    expect(nodeRef(name)).not.toMatch(/\.lock$/);
  },
);

test('other refs are no node', () => {
  expect(nodeOfRef('refs/heads/main')).toBeUndefined();
  expect(nodeOfRef('refs/meta/writer')).toBeUndefined();
});
