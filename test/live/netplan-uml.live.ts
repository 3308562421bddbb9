// The truth about a reboot: a kernel of its own, permanent MACs, netplan as Debian ships it.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { UmlMachine } from '../nodes/uml.ts';
import { nic } from '../support/agent.ts';
import { LiveHost } from './support.ts';

let host: LiveHost<UmlMachine>;

beforeAll(async () => {
  host = await LiveHost.bootUml({ [nic(0).mac]: 'tenant-0', [nic(1).mac]: 'tenant-1' });
});

afterEach(({ task }) => {
  if (task.result?.state === 'fail') console.log(host.log);
});

afterAll(() => host?.[Symbol.asyncDispose]());

test('what the agent configured is the same after a reboot', async () => {
  const first = await host.apply('netplan', [nic(0, { mtu: 1400 })]);
  expect(first.outcome).toMatchObject({ result: 'Applied' });
  const configured = { multinic0: '1400 192.168.100.10/24' };
  expect(await host.configured()).toEqual(configured);

  await host.machine.reboot();
  expect(await host.configured()).toEqual(configured);
  expect(await host.sh('networkctl --no-legend')).toMatch(/multinic0 +ether +\w+ +configured/);
  expect(await host.sh('cat /run/systemd/network/10-netplan-multinic0.link')).toContain(
    'PermanentMACAddress=',
  );

  const again = await host.apply('netplan', [nic(0, { mtu: 1400 })]);
  expect(again.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
  expect(again.outcome?.bootId).not.toBe(first.outcome?.bootId);
});
