import { expect, test } from 'vitest';
import { isWatched } from './watch.ts';

test.each([
  ['', true],
  ['crs', true],
  ['crs/a.yaml', true],
  ['crs/.a.yaml.swp', false],
  ['crs/folder/a.yaml', false],
  ['inventory.yaml', true],
  ['.inventory.yaml.0a1b2c3d.tmp', false],
  ['nodes', true],
  ['nodes/worker-1/root', true],
  ['nodes/worker-1/root/host.yaml', true],
  ['nodes/worker-1/root/etc', false],
  ['nodes/worker-1/other', false],
  ['nodes/worker-1/root/host.yaml/x', false],
  ['store.git', false],
  ['jobs', false],
  ['tokens.yaml', false],
])('"%s" is watched: %s', (path, watched) => {
  expect(isWatched(path)).toBe(watched);
});
