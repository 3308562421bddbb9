// A kill at each step from a CR to a host, first of the controller, then of its agents. The matrix has every occurrence.

import { describe, expect, inject, test } from 'vitest';
import {
  AGENT_INSTANTS,
  CONTROLLER_INSTANTS,
  expectOneOf,
  expectRecovers,
  rebootAll,
  runOnce,
  tips,
  twoEdits,
} from './support/controller-crash.ts';
import { LocalRun, NODES } from './support/local.ts';

/** A home with three configured nodes, of which two have just been edited. */
async function edited(): Promise<LocalRun> {
  const local = await LocalRun.prepare(inject('configuredHome'));
  const config = await local.config();
  twoEdits(config.spec);
  await local.writeConfig(config);
  return local;
}

test('without a kill both edits arrive (control)', async () => {
  await using local = await edited();
  const before = [await tips(local)];
  expect(await runOnce(local, 'no.such.instant')).toMatchObject({ code: 0, signal: null });
  await expectRecovers(local, { before, generations: 2, agentsWhole: true });
});

describe('the controller is killed', () => {
  test.each(CONTROLLER_INSTANTS)('at %s', async (instant) => {
    await using local = await edited();
    const before = await tips(local);
    expect(await runOnce(local, instant)).toMatchObject({ signal: 'SIGKILL' });
    await expectRecovers(local, { before: [before, await tips(local)], generations: 2, agentsWhole: true });
  });
});

describe('its agents are killed', () => {
  test.each(AGENT_INSTANTS)('at %s', async (instant) => {
    await using local = await edited();
    const before = await tips(local);
    const { code, output } = await runOnce(local, instant);
    expect({ code, output }).toMatchObject({ code: 4 });
    await rebootAll(local);
    await expectRecovers(local, { before: [before, await tips(local)], generations: 2, agentsWhole: false });
    for (const node of NODES) await expectOneOf(local, node, [`node/${node}`]);
  });
});
