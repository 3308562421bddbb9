// Faults, after which nothing is lost and no host was changed twice for one commit: 4 real nodes, and 16 root folders
// whose pods the test kubelet runs.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/api/outcome.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { STORE_FOLDER, type Config, type Multinic } from '../cluster/install.ts';
import { RootKubelet, type AgentRun } from '../cluster/root-kubelet.ts';
import { waitFor } from '../nodes/wait.ts';
import {
  attach,
  BUILD_MS,
  conditionOf,
  config,
  entry,
  events,
  hostFile,
  nodeOf,
  setUp,
  untilConfig,
} from '../support/kube-cluster.ts';

const NAME = 'fleet';
const FILE = 'etc/netplan/90-multinic0.yaml';
const REAL = ['worker-1', 'worker-2', 'worker-3', 'worker-4'];
const KILLS = Number(process.env['KILLS'] ?? 50);
const PATIENCE = { timeout: 90_000, interval: 500 };

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
/** MTU of every interface; each test uses another one, so that each has its own commits. */
let mtu = 1500;
const told = new Set<AgentRun>();

beforeAll(async () => {
  const nodes = REAL.map((name) => ({ name }));
  ({ cluster, multinic } = await setUp(nodes, { storeSize: '200m' }));
  for (const [index, name] of REAL.entries()) await attach(cluster, name, realMac(index));
  kubelet = await RootKubelet.start(cluster, { nodes: 16, nics: 1 });
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
}, 60_000);

afterEach(async () => {
  const changed = twice();
  if (changed.length > 0) throw new Error(`changed twice for one commit: ${changed.join(', ')}`);
  // A fenced or killed write leaves dangling objects, which maintenance removes later.
  const complaints = await multinic.git('fsck', '--strict', '--no-dangling');
  if (complaints !== '') throw new Error(complaints);
}, 30_000);

function realMac(index: number): string {
  return `02:00:00:00:0${index + 1}:01`;
}

function fleet(): Config {
  const real = REAL.map((name, index) =>
    entry(cluster.machine(name).systemUUID, name, [realMac(index)], { mtu }),
  );
  const roots = kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs, { mtu }));
  return config(NAME, [...real, ...roots]);
}

/** Gives every node a new MTU. @returns the MTU that their files will have */
async function change(): Promise<string> {
  mtu -= 10;
  await multinic.applyConfig(fleet());
  return `mtu: ${mtu}`;
}

/** Gives one root folder a new MTU. */
async function changeOne(name: string, value: number): Promise<void> {
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    const found = nodeConfigs.find(({ attachedNodeName }) => attachedNodeName === name);
    found!.interfaces![0]!.mtu = value;
  });
}

/** Waits until every node has the MTU in its file, and the CR is Ready. */
async function expectEverywhere(text: string, seconds = 240): Promise<void> {
  await multinic.waitReady(NAME, 'multinic.okestro.io', seconds);
  const files = await Promise.all([
    ...REAL.map((name) => hostFile(cluster, name, `/${FILE}`)),
    ...kubelet.nodes.map(({ name }) => kubelet.file(name, FILE)),
  ]);
  expect(files.filter((file) => !file?.includes(text))).toEqual([]);
}

/**
 * Root folders that were changed twice for one commit, judged by their files and not by reports. Each is listed only the
 * first time, so that one test's complaint does not fail the next test.
 */
function twice(): string[] {
  const changes = kubelet.runs
    // A change of a killed agent is undone and made again.
    .filter(({ changedHost, outcome }) => changedHost === true && outcome !== undefined)
    // A run that lost the store restored everything, and is tried again.
    .filter(({ sameFiles, outcome }) => !(sameFiles === true && outcome?.result === 'Failed'));
  const found = changes.filter(({ node, commit }, index) =>
    changes.slice(0, index).some((earlier) => earlier.node === node && earlier.commit === commit),
  );
  return found
    .filter((run) => !told.has(run) && told.add(run))
    .map(({ node, commit, job, outcome }) => `${node} ${commit} by ${job}: ${JSON.stringify(outcome)}`);
}

async function outcomesOf(name: string): Promise<number> {
  return Number(await multinic.git('rev-list', '--count', '--first-parent', `outcome/${name}`));
}

/** A run that had to wait for its container is recorded once: when it was applied, as the first attempt. */
async function expectOneMore(name: string, before: number): Promise<void> {
  await multinic.waitReady(NAME);
  expect(await outcomesOf(name)).toBe(before + 1);
  const log = await multinic.git('log', '-1', '--format=%B', `outcome/${name}`);
  expect(log).toMatch(/Result: Applied[^]*Attempt: 1/);
}

/** The same check for the real nodes, from the reports of their pods. */
async function twiceReal(): Promise<string[]> {
  const { items } = await multinic.json<{ items: AgentPod[] }>(
    'get',
    'pods',
    '--selector=app.kubernetes.io/component=agent',
  );
  const changes = items
    .filter(({ spec }) => REAL.includes(spec.nodeName ?? ''))
    .flatMap(({ status }) => status.containerStatuses?.[0]?.state.terminated?.message ?? [])
    .map((message) => JSON.parse(message) as Outcome)
    .filter(({ written, removed }) => written.length + removed.length > 0)
    .map(({ node, commit }) => `${node} ${commit}`);
  return changes.filter((each, index) => changes.indexOf(each) !== index);
}

/** Jobs whose outcome the store has, of all nodes. */
async function recorded(): Promise<Set<string>> {
  const text = await multinic.git('log', '--branches=outcome/*', '--format=%(trailers:key=Job,valueonly)');
  return new Set(text.split('\n').filter((line) => line !== ''));
}

/** Jobs with a report and without an outcome in the store. */
async function lost(): Promise<string[]> {
  const known = await recorded();
  return kubelet.runs.filter(({ outcome, job }) => outcome && !known.has(job)).map(({ job }) => job);
}

describe('the controller', () => {
  test(
    `is killed ${KILLS} times while a rollout of 20 nodes goes on`,
    async () => {
      let wanted = await change();
      for (let kill = 1; kill <= KILLS; kill += 1) {
        await sleep(Math.random() * 6_000);
        await multinic.killControllers();
        // Makes changes all the time, so that Jobs always run.
        if (kill % 5 === 0) wanted = await change();
      }
      await expectEverywhere(wanted, 300);
      expect(await lost()).toEqual([]);
      expect(await twiceReal()).toEqual([]);
    },
    KILLS * 20_000 + 400_000,
  );

  test('is absent while Jobs end', async () => {
    const runs = kubelet.runs.length;
    const wanted = await change();
    await waitFor('some agents', async () => kubelet.runs.length > runs + 3, { timeoutMs: 60_000 });
    await multinic.kubectl('scale', 'deployment/multinic-agent-controller', '--replicas=0');
    await waitFor('their end', async () => kubelet.runs.every(({ endedAt }) => endedAt !== undefined), {
      timeoutMs: 60_000,
    });
    await sleep(3_000);
    await multinic.kubectl('scale', 'deployment/multinic-agent-controller', '--replicas=1');
    await expectEverywhere(wanted);
    expect(await lost()).toEqual([]);
  }, 400_000);

  test('has two replicas: the leader is killed, then suspended, and the two never both write', async () => {
    await multinic.helm('upgrade', { replicas: 2 });
    await multinic.rolledOut();
    const killed = await leaderSoon();
    let wanted = await change();
    await multinic.signal(killed.name, killed.node, 'KILL');
    // A container that restarts in its pod keeps its pod's Lease, so either replica may lead now.
    await expectEverywhere(wanted);

    const paused = await leaderSoon();
    wanted = await change();
    await multinic.signal(paused.name, paused.node, 'STOP');
    await expect.poll(async () => (await leaderSoon()).name, PATIENCE).not.toBe(paused.name);
    await sleep(2_000);
    await multinic.signal(paused.name, paused.node, 'CONT');
    await expectEverywhere(wanted);
    expect(await lost()).toEqual([]);
    await multinic.helm('upgrade', { replicas: 1 });
    await multinic.rolledOut();
  }, 600_000);

  test.each([2, 1])(
    'an upgrade and a drain apply nothing, with %d replicas',
    async (replicas) => {
      const runs = kubelet.runs.length;
      const podAnnotations = { again: `with ${replicas}` };
      await multinic.helm('upgrade', { replicas, values: { controller: { podAnnotations } } });
      await multinic.kubectl('rollout', 'restart', 'deployment/multinic-agent-controller');
      await multinic.rolledOut();
      const { node } = await leaderSoon();
      await cluster.kubectl(
        ['drain', node, '--ignore-daemonsets', '--delete-emptydir-data', '--force', '--timeout=90s'],
        { timeoutMs: 120_000 },
      );
      await cluster.kubectl(['uncordon', node]);
      await multinic.rolledOut();
      await multinic.waitReady(NAME);
      expect(kubelet.runs).toHaveLength(runs);
    },
    300_000,
  );
});

describe('the API server', () => {
  test('is killed and started again in a rollout', async () => {
    const wanted = await change();
    await sleep(2_000);
    await cluster.controlPlane.restart('kube-apiserver', 'SIGKILL');
    await cluster.controlPlane.ready();
    await expectEverywhere(wanted);
    expect(await lost()).toEqual([]);
  }, 300_000);

  test('forgets old versions: etcd is compacted, and every watch starts again', async () => {
    const etcd = async (path: string, body: object): Promise<{ header: { revision: string } }> => {
      const url = `${cluster.controlPlane.addresses.etcd}${path}`;
      return (await fetch(url, { method: 'POST', body: JSON.stringify(body) })).json() as never;
    };
    const wanted = await change();
    const { header } = await etcd('/v3/kv/range', { key: 'AA==' });
    await cluster.controlPlane.daemon('kube-apiserver').stop('SIGKILL');
    await etcd('/v3/kv/compaction', { revision: header.revision });
    await cluster.controlPlane.daemon('kube-apiserver').start();
    await cluster.controlPlane.ready();
    await expectEverywhere(wanted);
  }, 300_000);

  test('goes silent for a while without closing connections', async () => {
    const runs = kubelet.runs.length;
    cluster.controlPlane.daemon('kube-apiserver').signal('SIGSTOP');
    await sleep(25_000);
    cluster.controlPlane.daemon('kube-apiserver').signal('SIGCONT');
    await cluster.controlPlane.ready();
    expect(kubelet.runs).toHaveLength(runs);
    await expectEverywhere(await change());
  }, 400_000);

  test('answers 429 to most requests of the controller', async () => {
    const flow = 'flowcontrol.apiserver.k8s.io/v1';
    const limited = { nominalConcurrencyShares: 1, limitResponse: { type: 'Reject' } };
    const account = { name: 'multinic-agent', namespace: multinic.namespace };
    await multinic.apply(
      {
        apiVersion: flow,
        kind: 'PriorityLevelConfiguration',
        metadata: { name: 'narrow' },
        spec: { type: 'Limited', limited },
      },
      {
        apiVersion: flow,
        kind: 'FlowSchema',
        metadata: { name: 'narrow' },
        spec: {
          matchingPrecedence: 100,
          priorityLevelConfiguration: { name: 'narrow' },
          rules: [
            {
              subjects: [{ kind: 'ServiceAccount', serviceAccount: account }],
              resourceRules: [
                { verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] },
              ],
            },
          ],
        },
      },
    );
    await expectEverywhere(await change());
    await cluster.kubectl(['delete', 'flowschema/narrow', 'prioritylevelconfiguration/narrow']);
  }, 400_000);
});

describe('a Job', () => {
  const [node] = ['root-01'];

  test('that is deleted by hand while its agent runs ends as Unknown, and the node gets another run', async () => {
    kubelet.fail(node, { kind: 'hang' });
    await changeOne(node, 1_111);
    const { metadata } = await waitFor('its Job', () => activeJob(node), { timeoutMs: 30_000 });
    await multinic.kubectl('delete', 'job', metadata.name, '--grace-period=1', '--wait=false');
    await multinic.kubectl('delete', 'pods', `--selector=job-name=${metadata.name}`, '--grace-period=1');
    await expect
      .poll(() => kubelet.file(node, FILE), { ...PATIENCE, timeout: 150_000 })
      .toContain('mtu: 1111');
  }, 240_000);

  test.each(['oom', 'evict'] as const)(
    'whose pod ends by %s in the midst of its writing runs again, and is mended',
    async (kind) => {
      const value = kind === 'oom' ? 1_222 : 1_233;
      kubelet.fail(node, { kind, at: 'agent.write.file' });
      await changeOne(node, value);
      await expect
        .poll(() => kubelet.file(node, FILE), { ...PATIENCE, timeout: 150_000 })
        .toContain(`mtu: ${value}`);
      await multinic.waitReady(NAME);
      const log = await multinic.git('log', '-3', '--format=%B', `outcome/${node}`);
      expect(log).toContain('Result: Unknown');
      expect(log).toContain(kind === 'oom' ? 'OOMKilled' : 'Evicted');
    },
    240_000,
  );

  test('whose image cannot be pulled says so within seconds, and goes on when it can', async () => {
    const before = await outcomesOf(node);
    kubelet.fail(node, { kind: 'image' });
    await changeOne(node, 1_244);
    const cr = await untilConfig(
      multinic,
      NAME,
      'the reason',
      (it) => nodeOf(it, node)?.message?.includes('ImagePullBackOff') === true,
    );
    expect(nodeOf(cr, node)?.message).toContain('image');
    const late = await untilConfig(
      multinic,
      NAME,
      'it gives way',
      (it) => nodeOf(it, node)?.message?.includes('tried again by itself') === true,
      { seconds: 120 },
    );
    expect(nodeOf(late, node)).toMatchObject({ state: 'InProgress', reason: 'JobNotStarting' });
    kubelet.mend(node);
    await expect
      .poll(() => kubelet.file(node, FILE), { ...PATIENCE, timeout: 200_000 })
      .toContain('mtu: 1244');
    await expectOneMore(node, before);
  }, 400_000);

  test('that is made again has the same name, and is no attempt', async () => {
    const before = await outcomesOf(node);
    kubelet.fail(node, { kind: 'image' });
    await changeOne(node, 1_245);
    const { metadata } = await waitFor('its Job', () => activeJob(node), { timeoutMs: 30_000 });
    await multinic.kubectl('delete', 'job', metadata.name);
    // The pod of the deleted Job has to go first.
    const again = await waitFor('its next Job', () => activeJob(node), { timeoutMs: 180_000 });
    expect(again.metadata.name).toBe(metadata.name);
    kubelet.mend(node);
    await expect
      .poll(() => kubelet.file(node, FILE), { ...PATIENCE, timeout: 200_000 })
      .toContain('mtu: 1245');
    await expectOneMore(node, before);
  }, 300_000);

  test('whose agent hangs ends at its deadline, and another runs', async () => {
    const before = await outcomesOf(node);
    kubelet.fail(node, { kind: 'hang' });
    await changeOne(node, 1_277);
    const { metadata } = await waitFor('its Job', () => activeJob(node), { timeoutMs: 30_000 });
    await waitFor('its agent', async () => kubelet.runs.some(({ job }) => job === metadata.name), {
      timeoutMs: 60_000,
    });
    // The deadline leaves a pod ten minutes to start. The API lets it be moved, and Kubernetes keeps to it as before.
    const spec = JSON.stringify({ spec: { activeDeadlineSeconds: 1 } });
    await multinic.kubectl('patch', 'job', metadata.name, '--type=merge', `--patch=${spec}`);
    // A process that ignores SIGTERM has the grace period of its pod, 90 seconds.
    await expect
      .poll(() => kubelet.file(node, FILE), { ...PATIENCE, timeout: 240_000 })
      .toContain('mtu: 1277');
    await multinic.waitReady(NAME);
    const log = await multinic.git(
      'log',
      `-${(await outcomesOf(node)) - before}`,
      '--format=%B',
      `outcome/${node}`,
    );
    expect(log).toMatch(/Result: Applied[^]*Result: Unknown/);
    expect(log).toContain('DeadlineExceeded');
  }, 400_000);
});

describe('a node', () => {
  const [node] = ['root-02'];

  test('that is not Ready gets no Job, and is configured when it is Ready', async () => {
    kubelet.partition(node);
    await cluster.kubectl(['wait', '--for=condition=Ready=Unknown', `node/${node}`, '--timeout=60s']);
    const runs = runsOf(node);
    await changeOne(node, 1_311);
    const cr = await untilConfig(
      multinic,
      NAME,
      'not Ready',
      (it) => nodeOf(it, node)?.reason === 'NodeNotReady',
    );
    expect(nodeOf(cr, node)?.state).toBe('Pending');
    expect(await activeJob(node)).toBeUndefined();
    expect(runsOf(node)).toBe(runs);
    kubelet.rejoin(node);
    await expect.poll(() => kubelet.file(node, FILE), PATIENCE).toContain('mtu: 1311');
  }, 240_000);

  test('that is deleted and joins again is not touched', async () => {
    await multinic.waitReady(NAME);
    const runs = runsOf(node);
    await cluster.kubectl(['delete', 'node', node]);
    await untilConfig(multinic, NAME, 'gone', (it) => nodeOf(it, node)?.state === 'Pending');
    await kubelet.register(node);
    await multinic.waitReady(NAME);
    expect(runsOf(node)).toBe(runs);
  }, 240_000);

  test('that was rebuilt under its name gets its files again', async () => {
    await kubelet.rebuild(node);
    expect(await kubelet.file(node, FILE)).toBeUndefined();
    await expect.poll(() => kubelet.file(node, FILE), PATIENCE).toContain('mtu: 1311');
    const log = await multinic.git('log', '-1', '--format=%B', `node/${node}`);
    expect(log).toContain('Change: identity');
  }, 240_000);

  test('agents need no name server', async () => {
    const store = 'multinic-agent-store.multinic-system.svc';
    await expect(cluster.exec('worker-1', ['timeout', '3', 'getent', 'hosts', store])).rejects.toThrow(
      'code',
    );
  });
});

test('a CR that is deleted and created again at once changes nothing on any host', async () => {
  await multinic.waitReady(NAME);
  const runs = kubelet.runs.length;
  await multinic.editConfig(NAME, () => {});
  const { spec } = await multinic.configOf(NAME);
  await multinic.deleteConfig(NAME);
  await multinic.applyConfig({ ...fleet(), spec });
  await multinic.waitReady(NAME);
  expect(kubelet.runs).toHaveLength(runs);
});

test("the store's volume is full: the controller says so, loses nothing, and goes on by itself when there is room", async () => {
  const { node, address } = await leaderSoon();
  const fill = `dd if=/dev/zero of=${STORE_FOLDER}/fill bs=1M count=1000 2>/dev/null; true`;
  await cluster.exec(node, ['sh', '-c', fill]);
  const wanted = await change();
  const said = async (): Promise<string> => {
    const health = await (await fetch(`http://${address}:8080/healthz`)).text();
    return `${health} ${conditionOf(await multinic.configOf(NAME), 'Ready')?.message}`;
  };
  await expect.poll(said, PATIENCE).toMatch(/MiB|space|full/i);
  await cluster.exec(node, ['rm', `${STORE_FOLDER}/fill`]);
  await expectEverywhere(wanted);
  expect(await lost()).toEqual([]);
}, 400_000);

test('failures and recoveries were reported as Events', async () => {
  expect(await events(multinic, 'Recovered')).not.toEqual([]);
});

interface AgentPod {
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly containerStatuses?: readonly {
      readonly state: { readonly terminated?: { readonly message?: string } };
    }[];
  };
}

function runsOf(node: string): number {
  return kubelet.runs.filter((run) => run.node === node).length;
}

async function activeJob(node: string) {
  return (await multinic.jobsOf(kubelet.node(node).systemUUID)).find(
    ({ status }) => (status?.active ?? 0) > 0,
  );
}

function leaderSoon() {
  return waitFor('a leader', () => multinic.leader(), { timeoutMs: 60_000 });
}
