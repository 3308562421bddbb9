// From a CR to files on nodes and back, in a real cluster: with kubectl of operators, and git of people.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import type { Multinic } from '../cluster/install.ts';
import { AgentJob } from '../../src/api/job.ts';
import { waitFor } from '../nodes/wait.ts';
import {
  attach,
  BUILD_MS,
  conditionOf,
  config,
  entry,
  events,
  hostFile,
  linkName,
  nodeOf,
  Person,
  setUp,
  untilConfig,
  VERSION,
} from '../support/kube-cluster.ts';

const SAMPLE = join(import.meta.dirname, '../../fixtures/sample-multinicclusterconfig.yaml');
const EXPECTED = join(import.meta.dirname, '../expected/k8s-worker-01');
const NAME = 'production-cluster-network';
const UUID = '5b6c7d8e-0f1a-4b2c-8d3e-4f5a6b7c8d9e';
const MAC = { one: '02:00:00:00:01:01', two: '02:00:00:00:01:02', late: '02:00:00:00:01:03' };

let cluster: Cluster;
let multinic: Multinic;
let alice: Person;

beforeAll(async () => {
  const names = ['k8s-worker-01', 'k8s-worker-02', 'k8s-worker-03'];
  const nodes = [...names.map((name) => ({ name })), { name: 'other', systemUUID: UUID }];
  ({ cluster, multinic } = await setUp(nodes));
  await attach(cluster, 'k8s-worker-01', MAC.one, MAC.two, MAC.late);
  await attach(cluster, 'k8s-worker-02', '02:00:00:00:02:01');
  await attach(cluster, 'k8s-worker-03', '02:00:00:00:03:01');
  await attach(cluster, 'other', '02:00:00:00:09:01');
}, BUILD_MS);

afterAll(async () => {
  await alice?.[Symbol.asyncDispose]();
  await cluster?.stop();
}, 60_000);

test('the sample CR ends Ready, and its files are on the nodes', async () => {
  // One provider ID in the form of OpenStack's cloud provider; the other two nodes are found by their names.
  const providerID = 'openstack:///i-0123456789abcdef0';
  await cluster.kubectl(['patch', 'node', 'k8s-worker-01', '-p', JSON.stringify({ spec: { providerID } })]);
  await cluster.kubectl(['apply', '-f', SAMPLE]);
  const sample = await multinic.waitReady(NAME);
  for (const path of ['etc/netplan/90-multinic0.yaml', 'etc/netplan/91-multinic1.yaml']) {
    const expected = (await readFile(join(EXPECTED, path), 'utf8')).trimEnd();
    expect(await hostFile(cluster, 'k8s-worker-01', `/${path}`)).toBe(expected);
  }
  for (const node of ['k8s-worker-02', 'k8s-worker-03'])
    expect(await hostFile(cluster, node, '/etc/netplan/90-multinic0.yaml')).toContain('192.168.100.1');
  expect(await linkName(cluster, 'k8s-worker-01', MAC.one)).toBe('multinic0');
  expect(await linkName(cluster, 'k8s-worker-01', MAC.two)).toBe('multinic1');
  expect(sample.status).toMatchObject({
    observedGeneration: sample.metadata.generation,
    observedSpecHash: 'a1b2c3d4e5f6789a',
    summary: { totalNodes: 3, configuredNodes: 3, failedNodes: 0, pendingNodes: 0 },
  });
});

test('a CR of the other group configures the node with that systemUUID, in any spelling', async () => {
  const cr = config('other', [entry(UUID.toUpperCase(), 'some-vm', ['02:00:00:00:09:01'])], 'multinic.io');
  await multinic.applyConfig(cr);
  await multinic.waitReady('other', 'multinic.io');
  expect(await hostFile(cluster, 'other', '/etc/netplan/90-multinic0.yaml')).toContain('10.120.9.1/16');
});

test('each node had one Job, named and labelled as operators know them', async () => {
  // A UUID with its dashes would make the name too long; the label has the ID as the CR has it.
  const ids = ['i-0123456789abcdef0', 'i-0fedcba987654321a', 'i-0abcdef123456789b', UUID.toUpperCase()];
  for (const id of ids) {
    const jobs = await multinic.jobsOf(id);
    const named = id.startsWith('i-') ? id : UUID.replaceAll('-', '');
    expect(jobs.map(({ metadata }) => metadata.name)).toEqual([
      expect.stringMatching(new RegExp(`^multinic-agent-${named}-\\d{14}$`)),
    ]);
    expect(jobs[0]?.metadata.labels).toMatchObject({
      'app.kubernetes.io/name': 'multinic-agent',
      instance: id,
    });
    // The outcome is in the store, so the Job may go. Before 1.21 the controller itself deletes it.
    const { spec, metadata } = jobs[0]!;
    expect(metadata.annotations?.['multinic.io/recorded']).toBe('true');
    const hasTtl = Number(VERSION.split('.')[1]) >= 21;
    expect((spec.ttlSecondsAfterFinished ?? 0) > 0).toBe(hasTtl);
  }
});

test('an agent knows the addresses of the API servers and the store behind their Services', async () => {
  const [job] = (
    await multinic.json<{
      items: { spec: { template: { metadata: { annotations: Record<string, string> } } } }[];
    }>('get', 'jobs')
  ).items;
  const { peers } = AgentJob.parse(JSON.parse(job!.spec.template.metadata.annotations['multinic.io/job']!));
  const servers = (
    await cluster.kubectl(['get', 'endpointslices', '-o', 'jsonpath={.items[*].endpoints[*].addresses[*]}'])
  ).split(' ');
  const store = await multinic.kubectl(
    'get',
    'pods',
    '--selector=app.kubernetes.io/component=controller',
    '-o',
    'jsonpath={.items[*].status.podIPs[*].ip}',
  );
  expect(peers).toEqual(expect.arrayContaining([...servers, ...store.split(' ')]));
});

test('a Job has only the rights that the agent needs, and is bound to its node', async () => {
  const [pod] = (
    await multinic.json<{ items: { spec: AgentPodSpec }[] }>(
      'get',
      'pods',
      '--selector=app.kubernetes.io/component=agent',
    )
  ).items;
  const spec = pod!.spec;
  const container = spec.containers[0]!;
  expect(spec).toMatchObject({
    hostNetwork: true,
    automountServiceAccountToken: false,
    serviceAccountName: 'multinic-agent-job',
    priorityClassName: 'multinic-agent',
    restartPolicy: 'Never',
  });
  expect(spec.hostPID ?? false).toBe(false);
  expect(container.securityContext).toMatchObject({
    readOnlyRootFilesystem: true,
    capabilities: { add: ['NET_ADMIN', 'SYS_ADMIN', 'SYS_CHROOT'], drop: ['ALL'] },
  });
  expect(container.resources).toMatchObject({ requests: expect.anything(), limits: expect.anything() });
  expect(JSON.stringify(spec.affinity)).toContain('metadata.name');
  expect(spec.volumes.map(({ hostPath }) => hostPath?.path).filter(Boolean)).toEqual(['/']);
});

test('git log has the author and the reason of a change', async () => {
  alice = await Person.create(multinic, 'alice', 'write');
  await alice.clone();
  await alice.switch('k8s-worker-01');
  const log = await alice.git('log', '-1', '--format=%s%n%an%n%cn%n%b');
  expect(log).toContain('k8s-worker-01: add multinic0');
  expect(log).toContain(`MultiNicBizConfig: multinic.okestro.io/multinic-system/${NAME}`);
  // The author is the client that wrote the spec.
  expect(log).toContain('kubectl');
  expect(await alice.subjects('outcome/k8s-worker-01')).toEqual([
    expect.stringMatching(/^k8s-worker-01: Applied [0-9a-f]{10} \(attempt 1/),
    'k8s-worker-01: nothing applied yet',
  ]);
});

test('an edit of one interface of one node makes one Job, on that node', async () => {
  const before = await allJobs();
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    nodeConfigs[0]!.interfaces![0]!.mtu = 1400;
  });
  await multinic.waitReady(NAME);
  const made = (await allJobs()).filter((name) => !before.includes(name));
  expect(made).toEqual([expect.stringContaining('i-0123456789abcdef0')]);
  expect(await hostFile(cluster, 'k8s-worker-01', '/etc/netplan/90-multinic0.yaml')).toContain('mtu: 1400');
});

test('git revert and push through the Service roll the node back, and its status is held', async () => {
  const before = await allJobs();
  await alice.switch('k8s-worker-01');
  await alice.git('revert', '--no-edit', 'HEAD');
  const tip = await alice.push('k8s-worker-01');
  const cr = await untilConfig(
    multinic,
    NAME,
    'applied the revert',
    (it) => nodeOf(it, 'k8s-worker-01')?.appliedCommit === tip,
  );
  expect(nodeOf(cr, 'k8s-worker-01')).toMatchObject({ state: 'Configured', held: true, desiredCommit: tip });
  expect(conditionOf(cr, 'Ready')).toMatchObject({ status: 'True', reason: 'NodesHeld' });
  expect(await hostFile(cluster, 'k8s-worker-01', '/etc/netplan/90-multinic0.yaml')).toContain('mtu: 1500');
  expect((await allJobs()).filter((name) => !before.includes(name))).toHaveLength(1);
  const wide = await cluster.kubectl(['get', 'multinicclusterconfigs', '-A', '-o', 'wide']);
  expect(wide.split('\n').find((line) => line.includes(NAME))).toContain('NodesHeld');
  const audit = await alice.git('fetch', '-q', 'origin', 'refs/audit/*:refs/audit/*');
  expect(audit).toBe('');
  expect(await alice.git('log', '-1', '--format=%B', 'refs/audit/pushes')).toContain('alice');
});

test('a new interface ends the hold, with an Event that names the changes that return', async () => {
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    const [late] = entry('', 'k8s-worker-01', [MAC.late]).interfaces!;
    nodeConfigs[0]!.interfaces!.push(late!);
  });
  const cr = await multinic.waitReady(NAME);
  expect(nodeOf(cr, 'k8s-worker-01')?.held ?? false).toBe(false);
  expect(await linkName(cluster, 'k8s-worker-01', MAC.late)).toBe('multinic2');
  expect(await hostFile(cluster, 'k8s-worker-01', '/etc/netplan/90-multinic0.yaml')).toContain('mtu: 1400');
  await expect.poll(() => events(multinic, 'HoldEnded'), { timeout: 10_000 }).toHaveLength(1);
});

test('kubectl wait right after an apply waits for that apply', async () => {
  for (const mtu of [1300, 1350]) {
    await multinic.editConfig(NAME, ({ nodeConfigs }) => {
      nodeConfigs[1]!.interfaces![0]!.mtu = mtu;
    });
    await multinic.waitReady(NAME);
    expect(await hostFile(cluster, 'k8s-worker-02', '/etc/netplan/90-multinic0.yaml')).toContain(
      `mtu: ${mtu}`,
    );
  }
});

test.each([
  ['two nodes that swap an address', [0, 2, 1]],
  ['three that rotate them', [1, 2, 0]],
])('%s in one edit converge by themselves, and none fails', async (_, order) => {
  const nodes = ['k8s-worker-01', 'k8s-worker-02', 'k8s-worker-03'];
  const macs = [MAC.one, '02:00:00:00:02:01', '02:00:00:00:03:01'];
  const before = await Promise.all(nodes.map((node) => multinic.git('rev-parse', `outcome/${node}`)));
  const dealt: (string | undefined)[] = [];
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    const all = nodeConfigs.map(({ interfaces }) => interfaces![0]!);
    dealt.push(...order.map((from) => all[from]?.cidr));
    for (const [index, nic] of all.entries()) {
      nic.cidr = dealt[index]!;
      nic.address = nic.cidr.split('/')[0]!;
    }
  });
  await multinic.waitReady(NAME);
  expect(new Set(dealt)).toEqual(new Set(['192.168.100.10/24', '192.168.100.11/24', '192.168.100.12/24']));
  for (const [index, node] of nodes.entries()) {
    const name = await linkName(cluster, node, macs[index]!);
    const shown = await cluster.exec(node, ['ip', '-4', '-brief', 'address', 'show', 'dev', name!]);
    expect(shown.trim().split(/\s+/).slice(2)).toEqual([dealt[index]]);
    const since = await multinic.git(
      'log',
      '--first-parent',
      '--format=%s',
      `${before[index]!.trim()}..outcome/${node}`,
    );
    expect(since).not.toContain('Failed');
  }
});

test('an invalid CR changes nothing, and its condition names the field and the remedy', async () => {
  const before = await allJobs();
  const nic = { macAddress: '02:00:00:00:09:01', cidr: 'not an address' };
  const bad = config('bad', [{ attachedNodeName: 'other', interfaces: [nic] }]);
  await multinic.applyConfig(bad);
  const cr = await untilConfig(
    multinic,
    'bad',
    'judged',
    (it) => conditionOf(it, 'Stalled')?.status === 'True',
  );
  expect(conditionOf(cr, 'Stalled')?.message).toContain('cidr');
  expect(conditionOf(cr, 'Ready')?.status).toBe('False');
  expect(await allJobs()).toEqual(before);
  await multinic.deleteConfig('bad');
});

test('a bad entry beside good ones stops only its node', async () => {
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    nodeConfigs[1]!.interfaces![0]!.cidr = '192.168.100.11/99';
    nodeConfigs[2]!.interfaces![0]!.mtu = 1450;
  });
  const cr = await untilConfig(
    multinic,
    NAME,
    'one failed',
    (it) =>
      it.status?.observedGeneration === it.metadata.generation &&
      nodeOf(it, 'k8s-worker-02')?.state === 'Failed' &&
      nodeOf(it, 'k8s-worker-03')?.state === 'Configured',
  );
  expect(nodeOf(cr, 'k8s-worker-02')?.message).toContain('cidr');
  expect(await hostFile(cluster, 'k8s-worker-02', '/etc/netplan/90-multinic0.yaml')).toContain('mtu: 1350');
  await waitFor(
    'the good entry on its node',
    async () =>
      (await hostFile(cluster, 'k8s-worker-03', '/etc/netplan/90-multinic0.yaml'))?.includes('mtu: 1450'),
    { timeoutMs: 60_000 },
  );
});

test('after all these tests the store is intact', async () => {
  expect(await multinic.git('fsck', '--full', '--strict', '--no-dangling')).toBe('');
});

interface AgentPodSpec {
  readonly hostPID?: boolean;
  readonly affinity: unknown;
  readonly volumes: readonly { readonly hostPath?: { readonly path: string } }[];
  readonly containers: readonly { readonly securityContext: unknown; readonly resources: unknown }[];
}

async function allJobs(): Promise<string[]> {
  const list = await multinic.json<{ items: { metadata: { name: string } }[] }>(
    'get',
    'jobs',
    '--selector=app.kubernetes.io/component=agent',
  );
  return list.items.map(({ metadata }) => metadata.name).sort();
}
