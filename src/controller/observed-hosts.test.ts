import { pino } from 'pino';
import { expect, test } from 'vitest';
import { ObservedHosts } from './observed-hosts.ts';

const IDS = { bootID: 'boot', systemUUID: 'uuid' };

test('observed.json keeps its keys, and the next process reads what this one wrote', async () => {
  let text: string | undefined;
  const file = { read: async () => text, write: async (written: string) => void (text = written) };
  const log = pino({ level: 'silent' });
  const hosts = new ObservedHosts(file, log);
  await hosts.load();
  const seen = { ...IDS, machineId: 'machine', at: 1, begun: { ...IDS, machineId: 'other', at: 2 } };
  hosts.set('worker-1', seen);
  hosts.set('worker-2', { asked: 3 });
  await hosts.save();
  expect(JSON.parse(text!)).toEqual({
    version: 1,
    hosts: {
      'worker-1': { ...IDS, machineID: 'machine', at: 1, begun: { ...IDS, machineID: 'other', at: 2 } },
      'worker-2': { asked: 3 },
    },
  });

  expect(hosts.lost).toBe(true);

  const next = new ObservedHosts(file, log);
  await next.load();
  expect(next.lost).toBe(false);
  expect(next.of('worker-1')).toEqual(seen);
  expect(next.of('worker-2')).toEqual({ asked: 3 });
});

test.each([undefined, '', '{', '{"version":2,"hosts":{}}'])(
  'a file that says nothing is lost, and is there from then on: %j',
  async (before) => {
    let text = before;
    const file = { read: async () => text, write: async (written: string) => void (text = written) };
    const hosts = new ObservedHosts(file, pino({ level: 'silent' }));
    await hosts.load();
    expect(hosts.lost).toBe(true);
    await hosts.saveIfDue();
    expect(JSON.parse(text!)).toEqual({ version: 1, hosts: {} });
  },
);

test('the file is written every 30 seconds at most, only after a change, and again where it could not be', async () => {
  const written: string[] = [];
  let full = false;
  const write = async (text: string): Promise<void> => {
    if (full) throw new Error('no space');
    written.push(text);
  };
  const hosts = new ObservedHosts({ read: async () => undefined, write }, pino({ level: 'silent' }));
  await hosts.load();
  for (let second = 0; second <= 60; second += 1) {
    hosts.set('worker-1', { at: second });
    await hosts.saveIfDue(second * 1000);
  }
  expect(written.map((text) => (JSON.parse(text) as { hosts: object }).hosts)).toEqual(
    [0, 30, 60].map((at) => ({ 'worker-1': { at } })),
  );
  await hosts.saveIfDue(100_000);
  expect(written).toHaveLength(3);
  hosts.set('worker-1', { at: 101 });
  full = true;
  await hosts.saveIfDue(130_000);
  full = false;
  await hosts.saveIfDue(160_000);
  expect(written).toHaveLength(4);
});
