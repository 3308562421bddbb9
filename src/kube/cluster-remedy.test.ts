import { expect, test } from 'vitest';
import { clusterRemedy } from './cluster-remedy.ts';

test.each([
  [
    'changes wait: multinic resume worker-1',
    'changes wait: kubectl annotate node worker-1 multinic.io/paused-',
  ],
  ['run multinic confirm, or put its entry back', 'run kubectl multinic confirm, or put its entry back'],
  ['mend it with multinic release w.example.org.', 'mend it with kubectl multinic release w.example.org.'],
  ['look, then kubectl multinic retry w', 'look, then kubectl multinic retry w'],
  ['multinic0 has no carrier', 'multinic0 has no carrier'],
])('%s', (message, expected) => {
  expect(clusterRemedy(message, 'multinic-system')).toBe(expected);
});

test('another namespace is carried along', () => {
  expect(clusterRemedy('then multinic retry w', 'net')).toBe('then kubectl multinic retry --namespace net w');
});
