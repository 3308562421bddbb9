// The CLI on a laptop, which reaches only the API server, with a kubeconfig; and a backup that restores a lost store.
import { mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codeBlocksOf, pageOf } from '../../scripts/docs/pages.ts';
import type { StatusReport } from '../../src/controller/status-report.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { STORE_FOLDER, type Multinic } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { run } from '../nodes/command.ts';
import {
  BUILD_MS,
  config,
  entry,
  kubeconfigOf,
  metricsOf,
  NAMESPACE,
  nodeOf,
  setUp,
  untilConfig,
} from '../support/kube-cluster.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const NAME = 'fleet';
const NODE = 'root-01';

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
let dir: string;

beforeAll(async () => {
  ({ cluster, multinic } = await setUp([{ name: 'worker-1' }], { backups: true }));
  kubelet = await RootKubelet.start(cluster, { nodes: 2, nics: 2 });
  dir = await mkdtemp(join(tmpdir(), 'multinic-laptop-'));
  for (const name of ['multinic', 'kubectl-multinic'])
    await symlink(join(REPOSITORY, 'dist/multinic.js'), join(dir, name));
  await multinic.applyConfig(
    config(
      NAME,
      kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs)),
    ),
  );
  await multinic.waitReady(NAME);
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
  await rm(dir, { recursive: true, force: true });
}, 60_000);

/** Runs a line of a shell, with kubectl and its plugin on the path. @param kubeconfig absent: the administrator's */
function sh(line: string, kubeconfig?: string): Promise<string> {
  const path = [join(REPOSITORY, 'node_modules/.bin'), dir, cluster.env['PATH']].join(delimiter);
  const env = { ...cluster.env, PATH: path, ...(kubeconfig !== undefined && { KUBECONFIG: kubeconfig }) };
  return run('bash', ['-o', 'pipefail', '-c', line], { cwd: dir, env, timeoutMs: 120_000 });
}

/** Number of restarts of the controller's container. */
function restarts(): Promise<string> {
  return multinic.kubectl(
    'get',
    'pods',
    '--selector=app.kubernetes.io/component=controller',
    '--output=jsonpath={.items[*].status.containerStatuses[0].restartCount}',
  );
}

describe('kubectl multinic', () => {
  test('status of every node, as a table and as JSON', async () => {
    expect(await sh('kubectl multinic status')).toMatch(/root-01.*Configured/);
    const report = JSON.parse(await sh('kubectl multinic status -o json')) as StatusReport;
    expect(report.nodes.map(({ node }) => node)).toEqual(kubelet.nodes.map(({ name }) => name));
  });

  test('the same by multinic --cluster', async () => {
    const line = `multinic status --cluster --kubeconfig ${cluster.kubeconfig} --namespace ${NAMESPACE}`;
    expect(await sh(`ln -sf kubectl-multinic multinic; PATH=.:$PATH ${line}`)).toMatch(/root-02.*Configured/);
    const inferred = await sh('PATH=.:$PATH multinic status 2>&1');
    expect(inferred).toMatch(/^cluster .*, namespace multinic-system$/m);
    expect(inferred).toMatch(/root-02.*Configured/);
    expect(await sh(`PATH=.:$PATH multinic retry ${NODE} 2>&1 || true`)).toContain('(TargetNotNamed)');
  });

  test('in the pod of the leader everything works without an option', async () => {
    const inPod = 'kubectl exec -n multinic-system deployment/multinic-agent-controller -- multinic';
    expect(await sh(`${inPod} status`)).toMatch(/root-02.*Configured/);
    expect(await sh(`${inPod} log ${NODE}`)).toContain('Applied');
    expect(await sh(`${inPod} retry ${NODE}`)).toContain('to be run again');
    expect(await sh(`${inPod} wait ${NODE}`)).toBe('1 node ready');
    expect(await sh(`${inPod} version`)).toMatch(/^server/m);
  });

  test('the leader lists its runs, and its metrics have runs, the store and the certificate', async () => {
    const leader = 'deployment/multinic-agent-controller';
    const begun = JSON.parse(
      await sh(`kubectl logs -n multinic-system ${leader} | grep 'multinic controller runs'`),
    ) as { version: string; commit: string; kubernetes: string; flags: { namespace: string } };
    expect(begun).toMatchObject({
      kubernetes: expect.stringMatching(/^1\.\d+$/),
      flags: { namespace: NAMESPACE },
    });
    const script = "fetch('http://127.0.0.1:8080/metrics').then((it) => it.text()).then(console.log)";
    const metrics = await sh(`kubectl exec -n multinic-system ${leader} -- node -e "${script}"`);
    const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
    expect(value('multinic_runs_total{result="Applied",reason=""}')).toBeGreaterThanOrEqual(2);
    expect(value('multinic_store_bytes')).toBeGreaterThan(1000);
    expect(value('multinic_store_free_bytes')).toBeGreaterThan(1000);
    expect(value('multinic_certificate_expiry_timestamp_seconds')).toBeGreaterThan(Date.now() / 1000);
    expect(metrics).toContain(`multinic_build_info{version="${begun.version}",commit="${begun.commit}"} 1`);
  });

  test('log, show and diff of a node', async () => {
    expect(await sh(`kubectl multinic log ${NODE}`)).toMatch(/Applied[^]*multinic0/);
    expect(await sh(`kubectl multinic show ${NODE}`)).toContain('etc/netplan/90-multinic0.yaml');
    expect(await sh(`kubectl multinic diff ${NODE} --host`)).toBe('');
  });

  test('rollback asks on a terminal and holds the node, and release ends the hold', async () => {
    await multinic.editConfig(NAME, ({ nodeConfigs }) => {
      nodeConfigs[0]!.interfaces![0]!.mtu = 1400;
    });
    await multinic.waitReady(NAME);
    const tip = await multinic.git('rev-parse', `node/${NODE}`);
    for (const line of [`multinic rollback ${NODE}`, `kubectl multinic rollback ${NODE}`]) {
      const asked = stripVTControlCharacters(
        await sh(`PATH=.:$PATH script -qec "${line}" /dev/null <<< n || true`),
      );
      expect(asked).toMatch(/\? \[y\/N\]/);
      expect(asked).toContain('nothing was changed (NotConfirmed)');
    }
    expect(await multinic.git('rev-parse', `node/${NODE}`)).toBe(tip);
    await sh(`kubectl multinic rollback ${NODE}`);
    await expect
      .poll(() => kubelet.file(NODE, 'etc/netplan/90-multinic0.yaml'), { timeout: 60_000 })
      .toContain('mtu: 1500');
    expect(await sh(`kubectl multinic status ${NODE} || true`)).toMatch(/held/i);
    await sh(`kubectl multinic release ${NODE}`);
    await expect
      .poll(() => kubelet.file(NODE, 'etc/netplan/90-multinic0.yaml'), { timeout: 60_000 })
      .toContain('mtu: 1400');
  }, 200_000);

  test('pause and resume use the right of the person', async () => {
    expect(await sh(`kubectl multinic pause ${NODE}`)).toBe(`${NODE} paused`);
    await multinic.editConfig(NAME, ({ nodeConfigs }) => {
      nodeConfigs[0]!.interfaces![0]!.mtu = 1450;
    });
    await untilConfig(multinic, NAME, 'paused', (it) => nodeOf(it, NODE)?.reason === 'Paused');
    expect(await sh(`kubectl multinic resume ${NODE}`)).toBe(`${NODE} resumed`);
    await multinic.waitReady(NAME);
    expect(await kubelet.file(NODE, 'etc/netplan/90-multinic0.yaml')).toContain('mtu: 1450');
  }, 200_000);

  test('pause and resume of all nodes too, and a dry run changes none', async () => {
    const annotated = (): Promise<string> =>
      sh(
        "kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.annotations.multinic\\.io/paused} {end}'",
      );
    expect(await sh('kubectl multinic pause --all --dry-run')).toMatch(/^root-02 {2}is paused/m);
    expect((await annotated()).trim()).toBe('');
    const all = (await sh('kubectl get nodes -o name')).split('\n');
    expect(await sh('kubectl multinic pause --all')).toBe(`${all.length} nodes paused`);
    expect((await annotated()).trim()).toBe(all.map(() => 'true').join(' '));
    await untilConfig(multinic, NAME, 'paused', (it) =>
      kubelet.nodes.every(({ name }) => nodeOf(it, name)?.paused),
    );
    expect(await sh('kubectl multinic resume --all')).toBe(`${all.length} nodes resumed`);
    expect((await annotated()).trim()).toBe('');
  }, 200_000);

  test('is completed by kubectl, with the nodes of the cluster', async () => {
    const file = join(dir, 'kubectl_complete-multinic');
    await sh(`multinic completion kubectl > ${file} && chmod +x ${file}`);
    expect((await sh('kubectl __complete multinic rol 2>/dev/null')).split('\n')[0]).toBe('rollback');
    expect(await sh('kubectl __complete multinic log root-0 2>/dev/null')).toMatch(/^root-01\nroot-02\n/);
  });

  test('with a token of their own: who may read is refused a command, in words', async () => {
    const reader = await kubeconfigOf(multinic, 'reader', 'multinic-agent-history-reader');
    expect(await sh('kubectl multinic status', reader)).toContain(NODE);
    expect(await sh(`kubectl multinic retry ${NODE} 2>&1 || true`, reader)).toMatch(/may not|Forbidden/);
  });

  test('an administrator sends the store no token that the API server accepts', async () => {
    // The certificate of the kubeconfig gets a token of the operators' account, for the store alone.
    await sh(`kubectl multinic retry ${NODE}`);
    const by = await multinic.git('log', '-3', '--format=%(trailers:key=By,valueonly)', `outcome/${NODE}`);
    expect(by).toContain('multinic-agent-operator');
  });

  test('and is named all the same, with the name of the certificate', async () => {
    await sh(`git config --global user.name Alice && kubectl multinic retry ${NODE}`);
    await sh(`git config --global --unset user.name; kubectl multinic retry ${NODE}`);
    const authors = await multinic.git('log', '-10', '--format=%an', `outcome/${NODE}`);
    expect(authors.split('\n')).toEqual(expect.arrayContaining(['Alice (admin)', 'admin']));
  });

  test('who may not even list pods is told what it takes', async () => {
    const stranger = await kubeconfigOf(multinic, 'stranger', 'multinic-agent-history-reader', false);
    expect(await sh('kubectl multinic status 2>&1 || true', stranger)).toMatch(/pods.*forbidden|may not/i);
  });
});

test('plain git as the docs have it: clone, log, push, and no token in the clone', async () => {
  const writer = await kubeconfigOf(multinic, 'writer', 'multinic-agent-history-writer');
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    nodeConfigs[0]!.interfaces![0]!.mtu = 1420;
  });
  await multinic.waitReady(NAME);
  const docs = pageOf('docs/kubernetes.md', await readFile(join(REPOSITORY, 'docs/kubernetes.md'), 'utf8'));
  const [block] = codeBlocksOf(docs).filter(({ text }) => text.includes('get configmap multinic-agent-ca'));
  const script = block!.text.replace('&\n', '&\ntrap "kill $!" EXIT\n');
  const push = `git -C store switch -q node/${NODE}
    git -C store -c user.name=Alice -c user.email=alice@example.org revert --no-edit HEAD
    git -C store push 2>&1`;
  const said = await sh(
    `unset GIT_SSL_CAINFO; mkdir git-docs; cd git-docs; PATH=..:$PATH; set -e; ${script.replace('worker-1', NODE)}\n${push}`,
    writer,
  );
  expect(said).toContain('multinic0');
  expect(said).toContain(`node/${NODE} -> node/${NODE}`);
  await untilConfig(multinic, NAME, 'held', (it) => nodeOf(it, NODE)?.held === true);
  expect(await sh(`kubectl multinic log ${NODE}`, writer)).toMatch(/Alice.*writer/);
  await sh(`kubectl multinic release ${NODE}`, writer);
  await multinic.waitReady(NAME);
  const config = await readFile(join(dir, 'git-docs/store/.git/config'), 'utf8');
  expect(config).toContain('credential');
  expect(config).not.toMatch(/eyJ|password|:[^/]*@/);
});

describe('a backup', () => {
  const pod = '$(kubectl get pods -n multinic-system -l multinic.io/leader=true -o name)';
  const inPod = `kubectl exec -i -n multinic-system ${pod} -- multinic`;

  test('is one file, which plain git clones', async () => {
    await sh(`${inPod} backup -C /var/lib/multinic - > multinic.bundle`);
    expect((await stat(join(dir, 'multinic.bundle'))).size).toBeGreaterThan(1_000);
    await sh('git clone -q multinic.bundle plain');
    await sh('kubectl multinic backup outside.bundle');
    expect(await sh('git bundle list-heads outside.bundle')).toBe(
      await sh('git bundle list-heads multinic.bundle'),
    );
    expect(await sh(`git -C plain log --format=%s origin/node/${NODE}`)).toContain('multinic0');
  });

  test('is written by the leader itself, and restores in its pod as the docs have it', async () => {
    const files = await sh(`kubectl exec -n multinic-system ${pod} -- ls /var/lib/multinic-backup`);
    expect(files.trim()).toMatch(/^multinic-\d{8}T\d{6}Z\.bundle$/);
    const metrics = await metricsOf(multinic);
    const [, at] = /^multinic_last_backup_timestamp_seconds ([\d.e+]+)$/m.exec(metrics)!;
    const [, date, time] = /-(\d{8})T(\d{6})Z/.exec(files)!;
    expect(new Date(Number(at) * 1000).toISOString().replaceAll(/[-:T]|\.\d+Z/g, '')).toBe(`${date}${time}`);
    const file = `/var/lib/multinic-backup/${files.trim()}`;
    // Into another folder: this store has more history by now.
    const restored = await sh(`${inPod} restore -C /tmp/again ${file}`);
    expect(restored.trim()).toBe('restored');
  });

  test('brings the history back after the volume was lost, and no host is touched but for what changes', async () => {
    const [tip, outcome] = (await multinic.git('rev-parse', `node/${NODE}`, `outcome/${NODE}`)).split('\n');
    const runs = kubelet.runs.length;
    await multinic.kubectl('scale', 'deployment/multinic-agent-controller', '--replicas=0');
    await multinic.kubectl(
      'wait',
      '--for=delete',
      'pods',
      '--selector=app.kubernetes.io/component=controller',
      '--timeout=90s',
    );
    await cluster.exec('worker-1', ['sh', '-c', `rm -rf ${STORE_FOLDER}/*`]);
    await multinic.kubectl('scale', 'deployment/multinic-agent-controller', '--replicas=1');
    await multinic.rolledOut();
    // The old status is still there, and describes the lost store.
    await expect
      .poll(() => multinic.git('log', '--branches=outcome/*', '--format=%s').catch(String), {
        timeout: 90_000,
      })
      .toMatch(/Applied[^]*Applied/);

    const begun = await restarts();
    expect(await sh('kubectl multinic restore --force outside.bundle')).toContain('restored');
    // The controller notices the restore, and starts again on this store.
    await expect.poll(restarts, { timeout: 60_000 }).not.toBe(begun);
    await multinic.rolledOut();
    expect(await multinic.git('rev-parse', `node/${NODE}`)).toBe(tip);
    expect(await multinic.git('merge-base', '--is-ancestor', outcome!, `outcome/${NODE}`)).toBe('');
    await multinic.editConfig(NAME, ({ nodeConfigs }) => {
      nodeConfigs[1]!.interfaces![0]!.mtu = 1400;
    });
    // The host's record names a commit of the store in between.
    await untilConfig(
      multinic,
      NAME,
      'root-02 wants a word',
      (it) => nodeOf(it, 'root-02')?.message?.includes('multinic confirm root-02') === true,
    );
    await sh('kubectl multinic confirm root-02');
    await multinic.waitReady(NAME);
    const changed = kubelet.runs.slice(runs).filter(({ changedHost }) => changedHost);
    expect(changed.map(({ node, outcome }) => [node, outcome?.written])).toEqual([
      ['root-02', ['etc/netplan/90-multinic0.yaml']],
    ]);
    expect(await multinic.git('fsck', '--strict', '--no-dangling')).toBe('');
  }, 300_000);
});
