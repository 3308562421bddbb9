// The agent is killed at a step, or the node loses its power there: the next run finishes or undoes the change, and the commit is on
// the host. A few steps each time, all of them in the matrix.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { STEPS } from '../../src/agent/run/steps.ts';
import type { Network } from '../../src/network/interface.ts';
import { nic } from '../support/agent.ts';
import { foreign, foreignState, HOSTS, LiveHost, NOT_OURS } from '../support/live-host.ts';

/** Checkpoints; a restore comes only after a failure. */
const ALL = [...STEPS.filter((step) => step !== 'restore'), 'write.file', 'activate.link'];
const TRIED = process.env['MATRIX'] === undefined ? ['arm', 'write.file', 'activate.link', 'finish'] : ALL;
/** First step at which the host record has a change. */
const PENDING: ReadonlySet<string> = new Set([
  ...STEPS.slice(STEPS.indexOf('arm'), STEPS.indexOf('finish') + 1),
  'write.file',
  'activate.link',
]);
const FIRST: Network = [nic(0), nic(1)];
/** Another address, a NIC less, a NIC more with another MTU. */
const SECOND: Network = [nic(0, { address: '192.168.100.11' }), nic(2, { mtu: 1400 })];
const STATES = new Map([
  [FIRST, { multinic0: '1500 192.168.100.10/24', multinic1: '1500 192.168.101.10/24' }],
  [SECOND, { multinic0: '1500 192.168.100.11/24', multinic2: '1400 192.168.102.10/24' }],
]);

describe.each(HOSTS)('%s', (rootfs, kind) => {
  let host: LiveHost;
  let now = FIRST;

  beforeAll(async () => {
    host = await LiveHost.boot(rootfs);
    for (const index of [0, 1, 2])
      await host.machine.attachNic({ mac: nic(index).mac, network: `tenant-${index}` });
    await host.apply(kind, FIRST);
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  describe.each(TRIED)('at %s', (step) => {
    test.each(['killed', 'without power'])(
      '%s',
      async (how) => {
        now = now === FIRST ? SECOND : FIRST;
        const commit = await host.store.commit(kind, now);
        await host.settled();
        await foreign(host);
        let before = await foreignState(host);
        expect((await host.run(commit, { killAt: `agent.${step}` })).code).toBe(137);
        if (how === 'without power') {
          await host.machine.kill();
          await host.machine.start();
          await host.managed();
          // Other software sets its rules and routes again after the boot, and before the next run.
          await foreign(host);
          before = await foreignState(host);
        }
        const { outcome } = await host.run(commit);
        expect(outcome).toMatchObject({ result: 'Applied' });
        expect(await host.configured()).toEqual(STATES.get(now));
        expect(await host.sh(NOT_OURS)).toBe(before);
        expect(host.log.includes('an interrupted run was')).toBe(PENDING.has(step));
        expect(await host.sh('cat /var/lib/multinic/record.json')).toContain('"pending": null');
        expect(await host.sh('systemctl list-units --all --plain --no-legend "multinic-restore*"')).toBe('');
      },
      300_000,
    );
  });

  test('after a power cut an incomplete change is undone, and foreign state set since the boot stays', async () => {
    now = now === FIRST ? SECOND : FIRST;
    const commit = await host.store.commit(kind, now);
    const [, added] = now;
    expect((await host.run(commit, { killAt: 'agent.activate.link' })).code).toBe(137);
    await host.machine.kill();
    await host.machine.start();
    await host.managed();
    await foreign(host);
    const before = await foreignState(host);
    // The change is no longer complete, so the next run undoes it, and gives the new NIC its old name again.
    await host.sh(`ip address flush dev ${added?.name} scope global`);
    expect((await host.run(commit)).outcome).toMatchObject({ result: 'Applied' });
    expect(host.log).toContain('an interrupted run was undone');
    expect(await host.configured()).toEqual(STATES.get(now));
    expect(await host.sh(NOT_OURS)).toBe(before);
  }, 300_000);

  test('killed during its restore: the next run ends the restore, and applies its commit', async () => {
    now = now === FIRST ? SECOND : FIRST;
    const commit = await host.store.commit(kind, now);
    await host.settled();
    await foreign(host);
    const before = await foreignState(host);
    const silent = now === FIRST ? '192.168.101.99' : '192.168.102.99';
    const killed = await host.run(commit, { probes: [silent], killAt: 'agent.restore.link' });
    expect(killed.code).toBe(137);
    expect(killed.log).toContain('ProbeFailed');
    expect((await host.run(commit)).outcome).toMatchObject({ result: 'Applied' });
    expect(host.log).toContain('an interrupted run was undone');
    expect(await host.configured()).toEqual(STATES.get(now));
    expect(await foreignState(host)).toBe(before);
  });
});
