// The commands of the docs that are marked `cluster`, as a reader types them: page by page, beside a cluster with one node.
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandBlocks } from '../../scripts/docs/blocks.ts';
import { readPages, ROOT } from '../../scripts/docs/pages.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { BACKUP, type Multinic } from '../cluster/install.ts';
import { helmProgram } from '../cluster/programs.ts';
import { waitFor } from '../nodes/wait.ts';
import { runScript, scriptOf, untilTrue } from '../support/guide.ts';
import { attach, BUILD_MS, config, entry, NAMESPACE, setUp } from '../support/kube-cluster.ts';

const NODE = 'worker-1';
const NODE_ID = '5b6c7d8e-0f1a-4b2c-8d3e-4f5a6b7c8d9e';
const MAC = '02:00:00:00:01:01';
const NAME = 'first';
/** Port of this machine that leads to the store while a page runs. */
const PORT = '18443';

const blocks = commandBlocks(await readPages());
/** The first page makes the clone and the file of the CA, and the last one takes everything away. */
const FIRST = 'docs/kubernetes.md';
const LAST = 'docs/decommissioning.md';
const rank = (path: string): number => (path === FIRST ? 0 : path === LAST ? 2 : 1);
const byPage = [
  ...Map.groupBy(
    blocks.filter(({ runs }) => runs === 'cluster'),
    ({ path }) => path,
  ),
].toSorted(([a], [b]) => rank(a) - rank(b));

/** What a reader sees who types the commands of a page. */
const SAYS: Readonly<Record<string, readonly RegExp[]>> = {
  'docs/kubernetes.md': [/^\+ *- 10\.120\.1\.1\/16$/m],
  'docs/agent-tools.md': [/^nothing to do/m],
  'docs/troubleshooting.md': [/^reached$/m, /multinic controller runs/, /rolebinding\S* created/],
  'docs/decommissioning.md': [/Only history.*worker-1/, /release "multinic-agent" uninstalled/],
};

/** What the commands of a page leave behind. */
const LEAVES: Readonly<Record<string, () => Promise<void>>> = {
  'docs/kubernetes.md': async () => {
    const settings = await readFile(join(folder, 'store/.git/config'), 'utf8');
    expect(settings).toContain('credential');
    expect(settings).not.toMatch(/eyJ|password|:[^/]*@/);
  },
  'docs/gitops.md': async () => {
    const data = ['get', 'configmap', 'argocd-cm', '--namespace=argocd', '--output=jsonpath={.data}'];
    const checks = await cluster.kubectl(data);
    for (const group of ['multinic.io', 'multinic.okestro.io'])
      expect(checks).toContain(`resource.customizations.health.${group}_MultiNicBizConfig`);
  },
  'docs/operating.md': async () => {
    await multinic.rolledOut();
    await expect
      .poll(() => cluster.exec(NODE, ['ls', BACKUP.folder]), { timeout: 90_000 })
      .toMatch(/^multinic-\d{8}T\d{6}Z\.bundle$/m);
  },
  [LAST]: async () => {
    expect(await cluster.kubectl(['get', 'namespaces,crds', '--output=name'])).not.toMatch(/multinic/);
  },
};

let cluster: Cluster;
let multinic: Multinic;
let folder: string;
let helm: string;

beforeAll(async () => {
  ({ cluster, multinic } = await setUp([{ name: NODE, systemUUID: NODE_ID }]));
  helm = dirname(join(await helmProgram(console.log), 'helm'));
  folder = await mkdtemp(join(tmpdir(), 'multinic-docs-'));
  for (const name of ['fixtures', 'deploy', 'crds']) await symlink(join(ROOT, name), join(folder, name));
  const line = `#!/bin/sh\nexec '${process.execPath}' '${ROOT}/dist/multinic.js' "$@"\n`;
  await writeFile(join(folder, 'multinic'), line);
  await chmod(join(folder, 'multinic'), 0o755);
  await multinic.makeFolderVolume(NODE, BACKUP);
  await attach(cluster, NODE, MAC);
  await multinic.applyConfig(config(NAME, [entry(NODE_ID, NODE, [MAC])]));
  await multinic.waitReady(NAME);
  // What an install of Argo CD makes.
  await cluster.kubectl(['create', 'namespace', 'argocd']);
  await cluster.kubectl(['create', 'configmap', 'argocd-cm', '--namespace=argocd']);
  const token = ['create', 'token', 'multinic-agent-operator', '--audience=multinic-agent'];
  await writeFile(join(folder, 'token'), await multinic.kubectl(...token));
}, BUILD_MS);

afterAll(async () => {
  await cluster?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}, 60_000);

/** Ends the process of the controller, so that its container has an earlier log. */
async function restartController(): Promise<void> {
  const { name } = await multinic.leader();
  await multinic.kubectl('exec', name, '--', 'bash', '-c', 'kill 1');
  const path = '--output=jsonpath={.status.containerStatuses[0].restartCount}';
  const restarted = async (): Promise<boolean> =>
    Number(await multinic.kubectl('get', 'pod', name, path)) > 0;
  await waitFor('a restart of the container', restarted, { timeoutMs: 60_000 });
  await multinic.rolledOut();
  await waitFor('a leader', () => multinic.leader(), { timeoutMs: 60_000 });
}

/** Words of the docs that a reader replaces. */
const words = (): Readonly<Record<string, string>> => ({
  NODE,
  NODE_ID,
  NAME,
  NAMESPACE,
  OTHER_NAMESPACE: NAMESPACE,
  YOU: 'alice',
  HOST: 'localhost',
  PORT,
  TOKEN_FILE: 'token',
  CONFIG_FILE: cluster.kubeconfig,
  CONTEXT: 'multinic-test',
  CHART: 'deploy/helm/',
});

function typed(text: string): string {
  const known = words();
  return text.replaceAll(/(?<![$\w])[A-Z][A-Z_]+\b(?!=)/g, (word) => known[word] ?? word);
}

/** A way to the store for pages that need an address of it. The variable would win over the CA that a page names. */
const FORWARD = `unset GIT_SSL_CAINFO
kubectl port-forward -n ${NAMESPACE} service/multinic-agent-store ${PORT}:8443 > forward.out 2>&1 &
${untilTrue('[ -s forward.out ]')}`;

async function runPage(path: string): Promise<{ code: number; output: string; script: string }> {
  const [, all] = byPage.find(([page]) => page === path)!;
  const script = scriptOf(all, typed, FORWARD);
  const programs = [folder, helm, dirname(process.execPath), cluster.env['PATH']];
  const env = { ...cluster.env, PATH: programs.join(delimiter) };
  return { ...(await runScript(script, { cwd: folder, env })), script };
}

describe('the commands of a page run in their order', () => {
  test.each(byPage.map(([path]) => path))(
    '%s',
    async (path) => {
      await multinic.rolledOut();
      await waitFor('a leader', () => multinic.leader(), { timeoutMs: 60_000 });
      // Its commands show the log of a container that ended.
      if (path === 'docs/troubleshooting.md') await restartController();
      const { code, output, script } = await runPage(path);
      expect(code, `${script}\n${output}`).toBe(0);
      for (const says of SAYS[path] ?? []) expect(output).toMatch(says);
      await LEAVES[path]?.();
    },
    400_000,
  );
});
