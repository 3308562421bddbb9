import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Folder } from '../../../test/support/agent.ts';
import { kubeletServers, resolveHosts } from './kubelet.ts';
import { openRoot } from '../files/managed-files.ts';

test.each([
  ['https://10.0.0.5:6443', ['10.0.0.5']],
  ['"https://10.0.0.5"', ['10.0.0.5']],
  ['https://[fd00::5]:6443', ['fd00::5']],
  ['https://10.0.0.5:6443/', ['10.0.0.5']],
  ['https://10.0.0.5/k8s/clusters/c-1 # of Rancher', ['10.0.0.5']],
  ['https://api.example.org:6443', ['api.example.org']],
  ['https://api.example.org/', ['api.example.org']],
  ['nonsense', []],
  ['[broken', []],
])('the server %s of a kubeconfig', (server, addresses) => {
  using folder = new Folder();
  mkdirSync(join(folder.path, 'etc/kubernetes'), { recursive: true });
  const kubeconfig = `apiVersion: v1\nclusters:\n- cluster:\n    server: ${server}\n  name: default\n`;
  writeFileSync(join(folder.path, 'etc/kubernetes/kubelet.conf'), kubeconfig);
  expect(kubeletServers(openRoot(folder.path))).toEqual(addresses);
});

test('every cluster of a kubeconfig, in either form of YAML', () => {
  using folder = new Folder();
  mkdirSync(join(folder.path, 'var/lib/kubelet'), { recursive: true });
  writeFileSync(
    join(folder.path, 'var/lib/kubelet/kubeconfig'),
    '{"clusters": [{"cluster": {"server": "https://10.0.0.5:6443"}}, {"cluster": {"server": "https://10.0.0.6"}}]}',
  );
  expect(kubeletServers(openRoot(folder.path))).toEqual(['10.0.0.5', '10.0.0.6']);
});

test('names are resolved as the host does, and addresses stay', async () => {
  const asked: string[] = [];
  const found = await resolveHosts(['10.0.0.5', 'api.example.org', 'nobody'], ([, , name = '']) => {
    asked.push(name);
    return name === 'nobody'
      ? ['false']
      : ['printf', '10.0.0.7 STREAM api\n10.0.0.7 DGRAM\nfd00::7 STREAM\n'];
  });
  expect(asked).toEqual(['api.example.org', 'nobody']);
  expect(found).toEqual(['10.0.0.5', '10.0.0.7', 'fd00::7']);
});
