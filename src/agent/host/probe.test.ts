import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { nic } from '../../../test/support/agent.ts';
import { answering, answers, expectApiServer, probesOf } from './probe.ts';

test('a probe is asked from the NIC that has it in its network, and from no other', () => {
  const network = [nic(0), nic(1, { address: 'fd00:101::10', prefix: 64 })];
  expect(probesOf(['192.168.100.1:22', '[fd00:101::1]:443', 'fd00:101::2', '10.0.0.1'], network)).toEqual([
    { mac: nic(0).mac, from: '192.168.100.10', host: '192.168.100.1', port: 22 },
    { mac: nic(1).mac, from: 'fd00:101::10', host: 'fd00:101::1', port: 443 },
    { mac: nic(1).mac, from: 'fd00:101::10', host: 'fd00:101::2' },
  ]);
});

test('a machine that accepts, and one that refuses, answer; one that is silent does not', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const endpoint = { host: '127.0.0.1', port };
  expect(await answers(endpoint, 1_000, '127.0.0.1')).toBe(true);
  expect(await answering(endpoint)).toEqual(endpoint);
  server.close();
  await once(server, 'close');
  expect(await answers(endpoint, 1_000)).toBe(true);
  // Nobody has an address of this network (RFC 5737), nor a way to it from the loopback.
  expect(await answers({ host: '192.0.2.1', port: 22 }, 200, '127.0.0.1')).toBe(false);
  await expect(expectApiServer(endpoint)).resolves.toBeUndefined();
});
