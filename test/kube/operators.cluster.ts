// The commands of the operators' runbooks give the kind of answer that operators know.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import type { Multinic } from '../cluster/install.ts';
import { run } from '../nodes/command.ts';
import { waitFor } from '../nodes/wait.ts';
import { attach, BUILD_MS, config, entry, setUp } from '../support/kube-cluster.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const NAME = 'production-cluster-network';
const ID = 'i-0123456789abcdef0';
const ACCOUNT = '--as=system:serviceaccount:multinic-system:multinic-agent';

let cluster: Cluster;
let multinic: Multinic;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-operators-'));
  const names = ['k8s-worker-01', 'k8s-worker-02', 'k8s-worker-03', 'k8s-dev-01', 'spare'];
  ({ cluster, multinic } = await setUp(names.map((name) => ({ name }))));
  await attach(cluster, 'k8s-worker-01', '02:00:00:00:01:01', '02:00:00:00:01:02');
  await attach(cluster, 'k8s-worker-02', '02:00:00:00:02:01');
  await attach(cluster, 'k8s-worker-03', '02:00:00:00:03:01');
  await attach(cluster, 'k8s-dev-01', '02:00:00:00:04:01');
  await attach(cluster, 'spare', '02:00:00:00:05:01');
}, BUILD_MS);

afterAll(async () => {
  await cluster?.stop();
  await rm(dir, { recursive: true, force: true });
}, 60_000);

/** Runs a line of a runbook, unchanged, in a shell in the repository. */
function sh(line: string): Promise<string> {
  return run('bash', ['-c', line], { cwd: REPOSITORY, env: cluster.env, timeoutMs: 120_000 });
}

describe('applying', () => {
  test('kubectl apply -f fixtures/sample-multinicclusterconfig.yaml', async () => {
    expect(await sh('kubectl apply -f fixtures/sample-multinicclusterconfig.yaml')).toContain(
      `${NAME} created`,
    );
    await multinic.waitReady(NAME);
  });

  test('kubectl apply -f fixtures/sample-multinicclusterconfig-dev.yaml', async () => {
    await sh('kubectl apply -f fixtures/sample-multinicclusterconfig-dev.yaml');
    const { status } = await multinic.waitReady('development-cluster-network');
    expect(status?.summary).toMatchObject({ totalNodes: 1, configuredNodes: 1 });
  });

  test('a CR of multinic.io beside them', async () => {
    const own = entry('i-spare', 'spare', ['02:00:00:00:05:01']);
    await multinic.applyConfig(config('own-group', [own], 'multinic.io'));
    const { status } = await multinic.waitReady('own-group', 'multinic.io');
    expect(status?.nodeStatuses[0]).toMatchObject({ attachedNodeName: 'spare', state: 'Configured' });
  });
});

describe('looking', () => {
  test('kubectl get deployment', async () => {
    expect(await sh('kubectl get deployment -n multinic-system multinic-agent-controller')).toMatch(
      /multinic-agent-controller +1\/1/,
    );
  });

  test('kubectl get multinicclusterconfigs -A -o wide shows the CRs of both groups', async () => {
    const wide = await sh('kubectl get multinicclusterconfigs -A -o wide');
    for (const name of [NAME, 'development-cluster-network', 'own-group']) expect(wide).toContain(name);
    expect(wide).toMatch(/NODES +CONFIGURED +FAILED/);
  });

  test('kubectl get multinicclusterconfig finds one by its name', async () => {
    expect(await sh(`kubectl get multinicclusterconfig -n multinic-system ${NAME}`)).toContain(NAME);
  });

  test('kubectl describe multinicclusterconfig', async () => {
    const text = await sh(`kubectl describe multinicclusterconfig -n multinic-system ${NAME}`);
    expect(text).toContain('multinic.okestro.io/v1');
    expect(text).toMatch(/State: +Configured/);
    expect(text).toMatch(/Last Job Name: +multinic-agent-i-0123456789abcdef0-\d{14}/);
    expect(text).toContain('Events:');
  });

  test('custom columns of the Applied condition', async () => {
    const columns = `NAME:.metadata.name,APPLIED:.status.conditions[?(@.type=='Applied')].status`;
    const text = await sh(`kubectl get multinicclusterconfigs -A -o custom-columns="${columns}"`);
    expect(text).toMatch(new RegExp(`${NAME} +True`));
    expect(text).toMatch(/own-group +True/);
  });

  test('kubectl get jobs by the label', async () => {
    const text = await sh('kubectl get jobs -n multinic-system -l app.kubernetes.io/name=multinic-agent');
    expect(text).toMatch(/multinic-agent-i-0123456789abcdef0-\d{14} +\S* *1\/1/);
  });

  test('node names and their systemUUIDs', async () => {
    const columns = 'NAME:.metadata.name,SYSTEM_UUID:.status.nodeInfo.systemUUID';
    expect(await sh(`kubectl get nodes -o custom-columns=${columns}`)).toMatch(
      /k8s-worker-01 +[0-9a-f-]{32,36}/,
    );
  });

  test('the status in its known form', async () => {
    const { status, metadata } = await multinic.configOf(NAME);
    expect(status).toMatchObject({
      observedGeneration: metadata.generation,
      observedSpecHash: 'a1b2c3d4e5f6789a',
      summary: { totalNodes: 3, configuredNodes: 3, failedNodes: 0, pendingNodes: 0 },
    });
    expect(status?.conditions.map(({ type }) => type).sort()).toEqual(
      ['Applied', 'InProgress', 'Ready', 'Reconciling', 'Stalled'].sort(),
    );
    expect(status?.nodeStatuses[0]).toMatchObject({
      attachedNodeId: ID,
      attachedNodeName: 'k8s-worker-01',
      state: 'Configured',
      lastProcessed: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      lastJobName: expect.stringMatching(/^multinic-agent-i-0123456789abcdef0-\d{14}$/),
    });
  });
});

describe('logs', () => {
  test('of the controller, followed: JSON lines that name CR, node and commit', async () => {
    const text = await followed(
      'kubectl logs -n multinic-system -l app.kubernetes.io/component=controller -f --tail=-1',
    );
    const lines = text.trim().split('\n').slice(0, -1);
    for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow();
    expect(text).toContain('k8s-worker-01');
    expect(text).toContain(NAME);
  });

  const newest = `$(kubectl get jobs -n multinic-system -l instance=${ID} --sort-by=.metadata.creationTimestamp -o name | tail -1)`;

  test('of the newest Job of a node', async () => {
    expect(await sh(`kubectl logs -n multinic-system ${newest} -f`)).toContain('Applied');
  });

  test('the known keywords in that log', async () => {
    const text = await sh(
      `kubectl logs -n multinic-system ${newest} | grep -E "(DetectActiveInterfaces|CleanupOrphanedConfigs|orphaned)"`,
    );
    expect(text).toContain('DetectActiveInterfaces');
    expect(text).toContain('CleanupOrphanedConfigs');
  });
});

describe('kubectl exec in the pod of `multinic shell`', () => {
  test.each([
    ['ls -la /etc/netplan/backup/', '91-multinic1.yaml.'],
    ['ip link show', 'multinic0'],
  ])('%s', async (command, expected) => {
    // Makes a change first, so that a backup exists.
    await multinic.editConfig(NAME, ({ nodeConfigs }) => {
      nodeConfigs[0]!.interfaces = nodeConfigs[0]!.interfaces!.slice(0, 1);
    });
    await multinic.waitReady(NAME);
    const pod = (
      await sh(`node dist/multinic.js shell k8s-worker-01 --kubeconfig ${cluster.kubeconfig}`)
    ).trim();
    expect(await sh(`kubectl exec -n multinic-system ${pod} -- ${command}`)).toContain(expected);
    await sh(`kubectl delete pod -n multinic-system ${pod} --wait=false`);
  });
});

describe('rights', () => {
  test.each([
    ['get nodes', 'yes'],
    ['watch multinicclusterconfigs', 'yes'],
    ['create jobs -n multinic-system', 'yes'],
    ['create jobs -n default', 'no'],
    ['get secrets -n kube-system', 'no'],
    ['delete nodes', 'no'],
  ])('can-i %s: %s', async (what, answer) => {
    expect(await sh(`kubectl auth can-i ${what} ${ACCOUNT} || true`)).toMatch(new RegExp(`^${answer}\\b`));
  });
});

test('/healthz by port-forward', async () => {
  const forward = spawn(
    join(cluster.programs, 'kubectl'),
    ['port-forward', '-n', 'multinic-system', 'deployment/multinic-agent-controller', '18080:8080'],
    { env: { ...process.env, ...cluster.env }, stdio: 'ignore' },
  );
  try {
    const health = await waitFor(
      'the forwarded port',
      async () => (await (await fetch('http://localhost:18080/healthz')).json()) as Record<string, unknown>,
      { timeoutMs: 20_000 },
    );
    expect(health).toMatchObject({
      status: 'healthy',
      uptime: expect.stringMatching(/^(\d+h)?(\d+m)?\d+s$/),
      processed_configs: 3,
      active_jobs: 0,
      crd_watcher_status: 'running',
      last_crd_processed: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    });
    const metrics = await (await fetch('http://localhost:18080/metrics')).text();
    expect(metrics).toMatch(/^controller_runtime_reconcile_total/m);
    expect((await fetch('http://localhost:18080/readyz')).status).toBe(200);
  } finally {
    forward.kill();
    await once(forward, 'exit');
  }
});

test('a plain mistake in a CR is a warning on the terminal, and the CR is accepted', async () => {
  const wrong = config('mistakes', [
    { attachedNodeName: 'spare', interfaces: [{ address: '192.168.100.10' }] },
  ]);
  await writeFile(join(dir, 'mistakes.json'), JSON.stringify(wrong));
  const said = await sh(`kubectl apply -f ${join(dir, 'mistakes.json')} 2>&1`);
  expect(said).toMatch(/Warning: .*attachedNodeId: write the OpenStack instance ID/);
  expect(said).toMatch(/Warning: .*no macAddress/);
  expect(said).toContain('mistakes created');
  await multinic.deleteConfig('mistakes');
});

test.each([
  ['view', 'get', 'yes'],
  ['view', 'patch', 'no'],
  ['edit', 'get', 'yes'],
  ['edit', 'patch', 'no'],
  ['admin', 'delete', 'no'],
  ['multinic-agent-configs-edit', 'patch', 'yes'],
])('who may %s, may %s CRs: %s', async (role, verb, answer) => {
  await sh(`kubectl create rolebinding test-${role} --clusterrole=${role} --user=${role} -n default || true`);
  await expect
    .poll(() => sh(`kubectl auth can-i ${verb} multinicclusterconfigs -n default --as=${role} || true`))
    .toMatch(new RegExp(`^${answer}\\b`));
});

describe('the chart', () => {
  test('helm test', async () => {
    expect(
      await cluster.helm(['test', 'multinic-agent', '-n', 'multinic-system'], { timeoutMs: 120_000 }),
    ).toContain('Succeeded');
  });

  test.each(['dev', 'staging', 'production'])('values-%s.yaml', async (kind) => {
    const file = `deploy/helm/values-${kind}.yaml`;
    await access(join(REPOSITORY, file));
    const flags = ['--set', 'controller.image.tag=v1.0.0', '--set', 'controller.replicas=2'];
    const text = await cluster.helm(
      [
        'template',
        'multinic-agent',
        'deploy/helm/',
        '-n',
        'multinic-system',
        '--validate',
        '--values',
        file,
        ...flags,
      ],
      { cwd: REPOSITORY },
    );
    expect(text).toContain(':v1.0.0');
    expect(text).toContain('replicas: 2');
  });

  test('scripts/build-and-deploy.sh names its types', async () => {
    const help = await sh('./scripts/build-and-deploy.sh --help');
    for (const word of ['--type', 'dev', 'staging', 'production']) expect(help).toContain(word);
  });
});

/** Output of an endless command after a moment. */
async function followed(line: string): Promise<string> {
  const child = spawn('bash', ['-c', `exec ${line}`], {
    env: { ...process.env, ...cluster.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const end = once(child, 'exit');
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  await sleep(3_000);
  child.kill();
  await end;
  return text;
}
