// A kill at each step of a swap of addresses between two nodes: the swap goes on, and no two hosts ever have one address.

import { expect, inject, test } from 'vitest';
import { ADDRESS, deal, expectAt, results, Watch } from './support/address-moves.ts';
import { rebootAll, runOnce } from './support/controller-crash.ts';
import { LocalRun, NODES } from './support/local.ts';

const [ONE, TWO] = NODES;

const INSTANTS = [
  'mirror.branches',
  'controller.start',
  'local.job.launched#2',
  'controller.recorded',
  'controller.recorded#2',
  'agent.activate.link',
  'agent.finish',
];
test.each(INSTANTS)('a swap goes on that is killed at %s', async (instant) => {
  await using local = await LocalRun.prepare(inject('configuredHome'));
  const config = await local.config();
  deal(config.spec, { [ONE]: TWO, [TWO]: ONE });
  await local.writeConfig(config);
  await using _ = new Watch(local);
  const killed = await runOnce(local, instant);
  expect([killed.signal, killed.code]).toContainEqual(instant.startsWith('agent.') ? 4 : 'SIGKILL');
  // A run that was killed, or that lost its store, is tried again after a minute, or at once after a boot.
  let ended = killed;
  for (let boots = 0; boots < 3 && ended.code !== 0; boots += 1) {
    await rebootAll(local);
    ended = await runOnce(local);
  }
  expect(ended).toMatchObject({ code: 0 });
  await local.launch();
  await local.settled();
  await expectAt(local, { [ONE]: ADDRESS[TWO], [TWO]: ADDRESS[ONE] });
  for (const node of [ONE, TWO]) expect((await results(local, node)).join()).not.toContain('AddressTaken');
  await local.git('fsck', '--strict');
});
