import { beforeEach, expect, test } from 'vitest';
import { completed, programName, rememberWhere } from './remedy.ts';

const MESSAGE = 'changes wait: multinic resume k8s-worker-01; multinic local DIR shows all';

beforeEach(() => rememberWhere({}));

test('without a home the remedy is as it was', () => {
  expect(completed(MESSAGE)).toBe(MESSAGE);
});

test.each([
  [{ cluster: true as const, namespace: 'net' }, 'multinic resume --cluster -n net k8s-worker-01;'],
  [{ dir: 'x', namespace: 'multinic-system' }, 'multinic resume -C x k8s-worker-01;'],
  [{ dir: 'multinic-demo' }, 'multinic resume -C multinic-demo k8s-worker-01;'],
  [{ dir: "it's $& here" }, `multinic resume -C 'it'\\''s $& here' k8s-worker-01;`],
  [
    { server: 'https://a:1', tokenFile: 'token' },
    'multinic resume --server https://a:1 --token-file token k8s-worker-01;',
  ],
])('%o', (where, says) => {
  rememberWhere(where);
  expect(completed(MESSAGE)).toContain(says);
  expect(completed(MESSAGE)).toContain('multinic local DIR shows all');
});

test.each([
  ['/usr/local/bin/multinic', 'multinic'],
  ['/opt/multinic/multinic.js', 'multinic'],
  ['/usr/local/bin/kubectl-multinic', 'kubectl multinic'],
  ['/home/a/.krew/bin/kubectl-multi_nic', 'kubectl multi-nic'],
])('the program %s is called as %s', (file, name) => {
  expect(programName(file)).toBe(name);
});
