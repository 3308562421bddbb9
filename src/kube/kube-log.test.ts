// The controller's log in a cluster.

import { KubeConfig } from '@kubernetes/client-node';
import { expect, test, vi } from 'vitest';
import { KubeClient } from './client.ts';
import { createLog } from './kube-log.ts';
import { WorkQueue } from './queue.ts';

test('what an outage of the API makes fail has lines without a stack, and a defect has its stack', async () => {
  const config = new KubeConfig();
  // Nothing listens on the port.
  config.loadFromClusterAndUser(
    { name: 'c', server: 'https://127.0.0.1:1', skipTLSVerify: true },
    { name: 'u' },
  );
  const client = new KubeClient(config);
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => void lines.push(line) });
  const work = async (key: string): Promise<void> => {
    if (key === 'defect') throw new TypeError('x is undefined');
    await client.request('GET', '/api/v1/nodes');
  };
  const queue = new WorkQueue({ name: 'q', log, baseDelayMs: 1, maxDelayMs: 10, work });
  queue.add('outage');
  queue.add('defect');
  await vi.waitFor(() => expect(lines.length).toBeGreaterThan(5));
  await queue.close();
  const of = (key: string): { err: { message: string; stack?: string } }[] =>
    lines.map((line) => JSON.parse(line)).filter((each) => each.key === key);
  expect(of('outage').length).toBeGreaterThan(1);
  for (const { err } of of('outage')) {
    expect(err.message).toContain('the API server at https://127.0.0.1:1 does not answer');
    expect(err).not.toHaveProperty('stack');
  }
  for (const { err } of of('defect')) expect(err.stack).toContain('kube-log.test.ts');
});
