// A node with very many routes of a daemon: a run takes hardly longer and obeys signals, and a route that ends meanwhile
// does not fail it.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RendererKind } from '../../src/network/node.ts';
import type { RootfsKind } from '../nodes/rootfs.ts';
import { nic } from '../support/agent.ts';
import { atArm, LiveHost } from '../support/live-host.ts';

const MANY = 100_000;
const KINDS: readonly (readonly [rootfs: RootfsKind, kind: RendererKind])[] = [['netplan', 'netplan']];
const OTHER_KINDS: typeof KINDS = [
  ['netplan-bullseye', 'netplan'],
  ['networkmanager', 'keyfile'],
];

describe.each(process.env['MATRIX'] === undefined ? KINDS : [...KINDS, ...OTHER_KINDS])(
  '%s',
  (rootfs, kind) => {
    let host: LiveHost;

    beforeAll(async () => {
      host = await LiveHost.boot(rootfs);
      await host.machine.attachNic({ mac: nic(0).mac, network: 'tenant-0' });
      await host.apply(kind, [nic(0)]);
    });

    afterEach(({ task }) => {
      if (task.result?.state === 'fail') console.log(host.log);
    });

    afterAll(() => host?.[Symbol.asyncDispose]());

    /** Gives the primary NIC a number of routes, as a routing daemon does. */
    async function addRoutes(count: number): Promise<void> {
      await host.sh(`i=0; while [ $i -lt ${count} ]; do
      echo "route replace 10.$((64 + i / 65536)).$((i / 256 % 256)).$((i % 256))/32 via ${host.lab.slot.address('0.1')} dev eth0 proto bird"
      i=$((i + 1)); done | ip -batch -`);
    }

    /** @returns seconds of the run alone, without the start of its process, and CPU seconds of all */
    async function changeMtu(mtu: number): Promise<{ seconds: number; cpu: number }> {
      const { outcome } = await host.apply(kind, [nic(0, { mtu })]);
      expect(outcome).toMatchObject({ result: 'Applied' });
      return { seconds: (outcome?.durationMs ?? 0) / 1000, cpu: host.cpuSeconds };
    }

    test('a change takes at most twice as long as with ten routes', async () => {
      const few: Awaited<ReturnType<typeof changeMtu>>[] = [];
      const many: typeof few = [];
      // Measures in turns, because the machine may have other work meanwhile.
      for (const mtu of [1400, 1410, 1420]) {
        await host.sh('ip route flush proto bird');
        await addRoutes(10);
        few.push(await changeMtu(mtu));
        await addRoutes(MANY);
        many.push(await changeMtu(mtu + 5));
      }
      console.log({ few, many });
      const least = (all: typeof few): number => Math.min(...all.map(({ cpu }) => cpu));
      expect(least(many)).toBeLessThan(2 * least(few));
    }, 600_000);

    test('SIGTERM in the middle of a change ends the run, and the host is as before', async () => {
      const routes = 'ip route show proto bird | wc -l';
      expect(Number(await host.sh(routes))).toBe(MANY);
      const before = await host.configured();
      // The parent of the command is the agent, which gets SIGTERM as soon as the NIC has the new MTU.
      const mtu = 1330;
      const tell = `agent=$PPID sh -c 'until [ "$(cat /sys/class/net/multinic0/mtu)" = ${mtu} ]; do sleep 0.01; done
    kill -TERM $agent' & true`;
      const { outcome, code } = await atArm(host, tell, () => host.apply(kind, [nic(0, { mtu })]));
      expect(code).toBe(1);
      expect(outcome).toMatchObject({ result: 'Failed', reason: 'Interrupted' });
      expect(await host.configured()).toEqual(before);
      expect(Number(await host.sh(routes))).toBe(MANY);
      expect((await host.apply(kind, [nic(0, { mtu })])).outcome).toMatchObject({ result: 'Applied' });
      expect(host.log).not.toContain('an interrupted run');
    }, 300_000);

    test('a route that ends during a run does not roll it back', async () => {
      const gone = '10.64.0.7/32';
      const { outcome } = await atArm(host, `ip route del ${gone}`, () =>
        host.apply(kind, [nic(0, { mtu: 1500 })]),
      );
      expect(outcome).toMatchObject({ result: 'Applied' });
      expect(await host.sh(`ip route show ${gone}`)).toBe('');
    }, 300_000);
  },
);
