import { expect, test } from 'vitest';
import { nodeOfRef, outcomeRef } from './refs.ts';
import { nodeRef } from '../network/node-ref.ts';

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
