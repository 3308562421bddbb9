// A kill during the one write of a change may leave any part of its refs moved. The next pass comes to the same end from
// each of these states.

import { expect, test } from 'vitest';
import { changedFleet, REFS, refValues, subjects } from './support/changed-fleet.ts';

test(
  'a change of one CR comes to the same end from every part of its refs',
  { timeout: 120_000 },
  async () => {
    await using fleet = await changedFleet();
    const before = await refValues(fleet);
    await fleet.pass();
    const after = await refValues(fleet);
    for (let mask = 0; mask < 2 ** REFS.length; mask++) {
      await fleet.stop();
      const commands = REFS.map((ref, index) => {
        const value = (mask & (2 ** index)) === 0 ? before.get(ref) : after.get(ref);
        return value === undefined ? `delete ${ref}\n` : `update ${ref} ${value}\n`;
      });
      await fleet.git(['update-ref', '--stdin'], {}, commands.join(''));
      await fleet.start();
      const report = await fleet.pass();
      expect([report.problems.size, report.stopped.size], `state ${mask}`).toEqual([0, 0]);
      expect([await fleet.mtu('a'), await fleet.mtu('b'), await fleet.mtu('c')]).toEqual([1400, 1450, 1500]);
      // One commit for one change, whatever was there before.
      expect((await subjects(fleet, 'node/a')).length, `state ${mask}`).toBe(3);
      expect((await subjects(fleet, 'node/c')).length, `state ${mask}`).toBe(2);
      expect((await subjects(fleet, 'main')).length, `state ${mask}`).toBe(3);
      expect((await fleet.pass()).main.commit).toBe(report.main.commit);
    }
  },
);
