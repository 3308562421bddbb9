import { describe, expect, test } from 'vitest';
import type { Commit, Reader } from '../model/store-port.ts';
import { FLUSH, pkt } from './pktline.ts';
import { confine } from './wants.ts';

const BRANCH = 'refs/heads/node/a';
const oidOf = (index: number): string => index.toString(16).padStart(40, '0');
const TIP = 1000;

/** A branch of a thousand commits. Any other question to the store is an error. */
const reader = {
  ref: async () => oidOf(TIP),
  commit: async (oid: string) => {
    const index = Number.parseInt(oid, 16);
    return { oid, parents: index > 1 ? [oidOf(index - 1)] : [] } as unknown as Commit;
  },
} as unknown as Reader;

const wants = (...indexes: number[]): Buffer =>
  Buffer.concat([...indexes.map((index) => pkt(`want ${oidOf(index)}\n`)), FLUSH, pkt('done\n')]);

describe("a node's fetch", () => {
  test('of its tip and of the newest commits before it, without a process of git', async () => {
    for (const index of [TIP, TIP - 1, TIP - 255]) {
      await expect(confine(wants(index), BRANCH, reader)).resolves.toEqual(wants(index));
    }
    await expect(confine(wants(TIP - 256), BRANCH, reader)).rejects.toMatchObject({ code: 'Forbidden' });
    await expect(confine(wants(TIP + 1), BRANCH, reader)).rejects.toThrow(/no recent commit of refs/);
  });

  test('names eight commits at most', async () => {
    const named = Array.from({ length: 9 }, (_, index) => TIP - index);
    await expect(confine(wants(...named.slice(1)), BRANCH, reader)).resolves.toBeDefined();
    await expect(confine(wants(...named), BRANCH, reader)).rejects.toThrow(/more than 8 commits/);
  });
});
