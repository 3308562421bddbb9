// Nodes that move between CRs: a node that one CR gains before the other loses it keeps its network, its names and a hold.

import { describe, expect, test } from 'vitest';
import { Fleet } from './support/fleet.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';

/** Subjects of the node's branch since its first spec commit, newest first. */
async function since(fleet: Fleet, node: string): Promise<string[]> {
  const log = await fleet.git(['log', '--format=%s', `node/${node}`]);
  return log.split('\n').slice(0, -2);
}

/** Pushes a person's edit of the MTU, which holds the node. */
async function hold(fleet: Fleet, node: string): Promise<void> {
  const text = await fleet.git(['show', `node/${node}:${FILE}`]);
  await fleet.push(node, { [FILE]: text.replace('mtu: 1500', 'mtu: 1400') }, 'a smaller MTU');
}

describe('nodes that move between CRs:', () => {
  test.each<[string, Record<string, string[]>, Record<string, string[]>]>([
    ['two nodes change places', { one: ['a'], two: ['b'] }, { one: ['b'], two: ['a'] }],
    [
      'three nodes move in a circle',
      { one: ['a'], two: ['b'], zzz: ['c'] },
      { one: ['b'], two: ['c'], zzz: ['a'] },
    ],
    ['a chain', { one: ['a'], two: ['b'], zzz: ['c'] }, { one: ['b'], two: ['c'], zzz: [] }],
    ['one moves', { one: ['a', 'b'], two: ['c'] }, { one: ['b'], two: ['c', 'a'] }],
  ])(
    '%s: hold, network and names stay',
    async (_, before, after) => {
      const nodes = Object.values(before).flat();
      await using fleet = await Fleet.open(nodes);
      const write = (crs: Record<string, string[]>): void => {
        for (const [name, names] of Object.entries(crs))
          fleet.want(name, Object.fromEntries(names.map((node) => [node, 1500])));
      };
      write(before);
      await fleet.pass();
      for (const node of nodes) await hold(fleet, node);
      await fleet.pass();
      write(after);
      const report = await fleet.pass();
      expect([...report.stopped]).toEqual([]);
      const stayed = (name: string, node: string): boolean => before[name]?.includes(node) ?? false;
      for (const [name, names] of Object.entries(after)) {
        for (const node of names) {
          const branch = await fleet.branch(node);
          expect(branch.node.source.name).toBe(name);
          expect(branch.hold).toBeDefined();
          expect(branch.network).toMatchObject([{ name: 'multinic0', mtu: 1400 }]);
          const moved = stayed(name, node) ? [] : [`now of test/${name}`];
          expect((await since(fleet, node)).map((subject) => subject.split(': ').at(-1))).toEqual([
            ...moved,
            'a smaller MTU',
          ]);
        }
      }
      // The CRs on main are as they were written, and a further pass has nothing to do.
      const main = report.main.commit;
      expect((await fleet.pass()).main.commit).toBe(main);
      for (const [name, names] of Object.entries(after))
        expect([...report.main.configs.get(`multinic.io/test/${name}`)!.entries.keys()].toSorted()).toEqual(
          names.map((node) => `i-${node}`).toSorted(),
        );
    },
    60_000,
  );

  test('an exchange that was interrupted goes on', async () => {
    await using fleet = await Fleet.open(['a', 'b']);
    fleet.want('one', { a: 1500 });
    fleet.want('two', { b: 1500 });
    await fleet.pass();
    await hold(fleet, 'a');
    await fleet.pass();
    fleet.want('one', { b: 1500 });
    fleet.want('two', { a: 1500 });
    expect(await fleet.crash({ checkpoint: 'mirror.main' })).toBe(true);
    await fleet.start();
    await fleet.pass();
    const { hold: held, node } = await fleet.branch('a');
    expect([held !== undefined, node.source.name]).toEqual([true, 'two']);
    expect((await fleet.branch('b')).node.source.name).toBe('one');
  }, 60_000);
});
