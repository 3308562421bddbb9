// A few random histories with fixed seeds; `npm run test:matrix` runs a hundred.

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lives, live } from './support/model.ts';
import { entryFor, Fleet } from './support/fleet.ts';

describe('random CR edits, pushes, reverts, commands and crashes end in the state of the model:', () => {
  test.each(fc.sample(lives(30), { seed: 20260101, numRuns: 2 }))('history %#', async (...steps) => {
    await expect(live(steps)).resolves.toBeUndefined();
  });
});

describe("branches are a function of main's commits", () => {
  const NODES = ['a', 'b', 'c'];
  const NO_GUARD = { fraction: 1, minimum: 1000 };
  /** Entries move between CRs, two CRs claim one node, IDs are missing, a node has two entries. */
  const entry = fc.record({
    node: fc.constantFrom(...NODES),
    mtu: fc.constantFrom(1400, 1500, null, 12),
    unnamed: fc.integer({ min: 0, max: 9 }).map((value) => value === 0),
  });
  const edit = fc.record({
    config: fc.constantFrom('one', 'two'),
    entries: fc.option(fc.array(entry, { maxLength: 3 }), { freq: 8 }),
  });
  const story = fc.record({
    edits: fc.array(edit, { minLength: 4, maxLength: 10 }),
    cuts: fc.array(fc.nat({ max: 9 }), { maxLength: 2 }),
  });

  test.each(fc.sample(story, { seed: 7, numRuns: 8 }))(
    'one pass a commit, or many commits a pass: %#',
    async ({ edits, cuts }) => {
      await using one = await Fleet.open(NODES, NO_GUARD);
      const stops: (() => Promise<void>)[] = [];
      await using many = await Fleet.open(NODES, NO_GUARD);
      for (const [index, { config, entries }] of edits.entries()) {
        if (entries === null) one.configs.delete(config);
        else {
          const nodeConfigs = entries.map(({ node, mtu, unnamed }) => ({
            ...entryFor(node, mtu),
            ...(unnamed && { attachedNodeId: '' }),
          }));
          one.write(config, { nodeConfigs });
        }
        const { main } = await one.pass();
        const configs = new Map(one.configs);
        if (cuts.includes(index) || index === edits.length - 1)
          stops.push(() => many.takeMain(one, main.commit, configs));
      }
      for (const stop of stops) await stop();
      for (const node of NODES)
        expect({ node, log: await log(many, node) }).toEqual({ node, log: await log(one, node) });
    },
  );
});

/** Kind of each commit of a branch, and the commit of main that each comes from. */
function log(fleet: Fleet, node: string): Promise<string> {
  const format = '%T %s %(trailers:key=Change,key=Main-Commit,valueonly,separator=%x20)';
  return fleet.git(['log', `--format=${format}`, `node/${node}`]).catch(() => 'not born');
}
