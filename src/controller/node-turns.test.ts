import { expect, test } from 'vitest';
import { NodeTurns } from './node-turns.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('commands for one node run one after the other, also after one that failed; other nodes do not wait', async () => {
  const turns = new NodeTurns();
  const steps: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (name: string, node: string, fails = false): Promise<void> =>
    turns.of(node, async () => {
      steps.push(`${name} begins`);
      await new Promise<void>((resolve) => ends.set(name, resolve));
      if (fails) throw new Error(name);
    });
  const first = run('first', 'a', true);
  const second = run('second', 'a');
  const other = run('other', 'b');
  const many = [run('all', ''), run('all again', '')];
  await settle();
  expect(steps.sort()).toEqual(['all again begins', 'all begins', 'first begins', 'other begins']);
  ends.get('first')!();
  await expect(first).rejects.toThrow('first');
  await settle();
  expect(steps).toContain('second begins');
  for (const name of ['second', 'other', 'all', 'all again']) ends.get(name)!();
  await Promise.all([second, other, ...many]);
});
