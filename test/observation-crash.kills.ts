// A kill of the controller at each step of an observation, on a host that has drifted.

import { expect, test } from 'vitest';
import { host, mtuOf, setMtu, untilResults } from './support/drifting-host.ts';
import { LocalRun } from './support/local.ts';

const ONE = 'k8s-worker-01';

test.each(['start', 'ended', 'recorded', 'forgotten'])(
  'a controller that is killed at controller.observation.%s loses no drift, and repairs it once',
  async (point) => {
    await using local = await LocalRun.start();
    await local.restart({ env: { MULTINIC_KILL_AT: `controller.observation.${point}` } });
    await local.editHost(ONE, setMtu(1300));
    expect(await local.ended()).toBe('SIGKILL');
    await local.launch();
    await untilResults(local, ONE, ['Applied', 'Drifted', 'Applied']);
    await local.settled();
    expect(mtuOf(await host(local, ONE))).toBe(1500);
    const jobs = await local.git(
      'log',
      '--format=%(trailers:key=Job,valueonly)',
      '--first-parent',
      `outcome/${ONE}`,
    );
    const names = jobs.split('\n').filter(Boolean);
    expect(new Set(names).size).toBe(names.length);
  },
);
