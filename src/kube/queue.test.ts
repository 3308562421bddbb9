import pino from 'pino';
import { expect, test, vi } from 'vitest';
import { KubeError } from './client.ts';
import { WorkQueue } from './queue.ts';

const log = pino({ level: 'silent' });

test('a key that comes often while it runs runs once more, and never beside itself', async () => {
  let running = 0;
  const runs: number[] = [];
  const gates: (() => void)[] = [];
  const queue = new WorkQueue({
    name: 'q',
    log,
    work: async () => {
      running += 1;
      runs.push(running);
      await new Promise<void>((resolve) => gates.push(resolve));
      running -= 1;
    },
  });
  for (let i = 0; i < 5; i += 1) queue.add('a');
  await vi.waitFor(() => expect(gates).toHaveLength(1));
  for (let i = 0; i < 5; i += 1) queue.add('a');
  gates.shift()!();
  await vi.waitFor(() => expect(gates).toHaveLength(1));
  gates.shift()!();
  await queue.close();
  expect(runs).toEqual([1, 1]);
});

test('what fails comes again after a pause, not before the server said', async () => {
  const at: number[] = [];
  const queue = new WorkQueue({
    name: 'q',
    log,
    baseDelayMs: 1,
    work: async () => {
      at.push(performance.now());
      if (at.length === 1) throw new KubeError(429, 'TooManyRequests', 'slow down', { retryAfterMs: 200 });
    },
  });
  queue.add('a');
  await vi.waitFor(() => expect(at).toHaveLength(2), { timeout: 2000 });
  expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(190);
  expect(queue.depth).toBe(0);
  await queue.close();
});

test('no more at once than it may, and the earliest of two delays counts', async () => {
  let running = 0;
  let most = 0;
  const done: string[] = [];
  const queue = new WorkQueue({
    name: 'q',
    log,
    concurrency: 2,
    work: async (key) => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setTimeout(resolve, 5));
      running -= 1;
      done.push(key);
    },
  });
  for (const key of 'abcdef') queue.add(key);
  queue.addAfter('late', 60_000);
  queue.addAfter('late', 10);
  await vi.waitFor(() => expect(done).toHaveLength(7));
  expect(most).toBe(2);
  await queue.close();
});

test('draining runs what waits for its time, and takes nothing more', async () => {
  const done: string[] = [];
  const queue = new WorkQueue({ name: 'q', log, work: async (key) => void done.push(key) });
  queue.addAfter('a', 60_000);
  await queue.drain();
  queue.add('b');
  expect(done).toEqual(['a']);
});
