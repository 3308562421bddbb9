import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Folder } from '../../../test/support/agent.ts';
import { kubeletServers } from './kubelet.ts';
import { openRoot } from '../files/managed-files.ts';

test.each([
  ['https://10.0.0.5:6443', ['10.0.0.5']],
  ['"https://10.0.0.5"', ['10.0.0.5']],
  ['https://[fd00::5]:6443', ['fd00::5']],
  ['https://api.example.org:6443', []],
])('the server %s of a kubeconfig', (server, addresses) => {
  using folder = new Folder();
  mkdirSync(join(folder.path, 'etc/kubernetes'), { recursive: true });
  const kubeconfig = `apiVersion: v1\nclusters:\n- cluster:\n    server: ${server}\n  name: default\n`;
  writeFileSync(join(folder.path, 'etc/kubernetes/kubelet.conf'), kubeconfig);
  expect(kubeletServers(openRoot(folder.path))).toEqual(addresses);
});
