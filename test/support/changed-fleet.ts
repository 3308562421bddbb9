// A fleet whose only CR has just been changed, and the refs that the change moves.

import { MAIN, MIRRORED } from '../../src/history/refs.ts';
import { nodeRef } from '../../src/network/node-ref.ts';
import { Fleet } from './fleet.ts';

/** The refs that the change moves. */
export const REFS = [MAIN, nodeRef('a'), nodeRef('b'), nodeRef('c'), MIRRORED];

export async function refValues(fleet: Fleet): Promise<Map<string, string>> {
  const text = await fleet.git(['for-each-ref', '--format=%(refname) %(objectname)', ...REFS]);
  return new Map(text.split('\n').map((line) => line.split(' ') as [string, string]));
}

/** Subjects of a ref's commits, newest first. */
export async function subjects(fleet: Fleet, ref: string): Promise<string[]> {
  return (await fleet.git(['log', '--format=%s', ref])).split('\n');
}

/** A home after its first pass, whose CR then changes a, leaves b and adds c. */
export async function changedFleet(): Promise<Fleet> {
  const fleet = await Fleet.open(['a', 'b', 'c']);
  fleet.want('cr', { a: 1500, b: 1500 });
  await fleet.pass();
  fleet.now += 60_000;
  fleet.want('cr', { a: 1400, b: 1450, c: 1500 });
  return fleet;
}
