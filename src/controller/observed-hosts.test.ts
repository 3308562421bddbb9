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

  const next = new ObservedHosts(file, log);
  await next.load();
  expect(next.of('worker-1')).toEqual(seen);
  expect(next.of('worker-2')).toEqual({ asked: 3 });
});
