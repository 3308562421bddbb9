// Rights, tried with real calls: of an agent's token, of people's tokens, of the controller's account.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import type { Multinic } from '../cluster/install.ts';
import { Rest, type KubeObject } from '../cluster/rest.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { waitFor } from '../nodes/wait.ts';
import { git } from '../support/http.ts';
import { BUILD_MS, config, entry, Person, setUp } from '../support/kube-cluster.ts';

const AUDIENCE = 'multinic-agent';
const AGENT = 'root-01';
const OTHER = 'root-02';

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
let api: Rest;
/** Pod of an agent that runs and hangs. */
let pod: KubeObject;

beforeAll(async () => {
  ({ cluster, multinic } = await setUp([{ name: 'worker-1' }]));
  api = Rest.of(cluster.kubeconfig);
  kubelet = await RootKubelet.start(cluster, { nodes: 2, nics: 1 });
  kubelet.fail(AGENT, { kind: 'hang' });
  const entries = kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs));
  await multinic.applyConfig(config('fleet', entries));
  pod = await waitFor('the running agent', agentPod, { timeoutMs: 60_000 });
}, BUILD_MS);

afterAll(async () => {
  api?.close();
  await kubelet?.stop();
  await cluster?.stop();
}, 60_000);

async function agentPod(): Promise<KubeObject | undefined> {
  const running = `--field-selector=status.phase=Running,spec.nodeName=${AGENT}`;
  const list = await multinic.json<{ items: KubeObject[] }>('get', 'pods', running);
  return list.items[0];
}

/** Requests a token as the kubelet of that pod does. */
async function tokenFor(bound: KubeObject | undefined, audiences?: string[]): Promise<string> {
  const path = `/api/v1/namespaces/${multinic.namespace}/serviceaccounts/multinic-agent-job/token`;
  const boundObjectRef = bound && {
    apiVersion: 'v1',
    kind: 'Pod',
    name: bound.metadata.name,
    uid: bound.metadata.uid,
  };
  const spec = { ...(audiences && { audiences }), ...(boundObjectRef && { boundObjectRef }) };
  const { status } = await api.call<{ status: { token: string } }>('POST', path, { spec });
  return status.token;
}

/** A person with only this token. */
async function holderOf(token: string): Promise<Person> {
  const nobody = await Person.create(multinic, `nobody-${Math.random().toString(36).slice(2, 8)}`, 'none');
  return nobody.with(token);
}

describe("an agent's token", () => {
  test('reads its own branch and sees no other', async () => {
    await using agent = await holderOf(await tokenFor(pod, [AUDIENCE]));
    const refs = await agent.lsRemote();
    expect(refs.stdout).toContain(`refs/heads/node/${AGENT}`);
    expect(refs.stdout).not.toContain(OTHER);
    expect(refs.stdout).not.toContain('refs/heads/main');
    expect(refs.stdout).not.toContain('outcome');
  });

  test('cannot fetch a commit of another node, even by its name', async () => {
    await using agent = await holderOf(await tokenFor(pod, [AUDIENCE]));
    const commit = (await multinic.git('rev-parse', `refs/heads/node/${OTHER}`)).trim();
    const dir = await mkdtemp(join(tmpdir(), 'multinic-thief-'));
    try {
      await git(dir, 'init', '-q');
      const own = await agent.fetchInto(dir, `refs/heads/node/${AGENT}`);
      expect(own.code).toBe(0);
      for (const version of ['0', '2']) {
        const stolen = await agent.fetchInto(dir, commit, '-c', `protocol.version=${version}`);
        expect(stolen.code).not.toBe(0);
      }
      expect((await git(dir, 'cat-file', '-e', commit)).code).not.toBe(0);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  test('cannot push, not even to its own branch', async () => {
    await using agent = await holderOf(await tokenFor(pod, [AUDIENCE]));
    const dir = await mkdtemp(join(tmpdir(), 'multinic-thief-'));
    try {
      await git(dir, 'init', '-q');
      await agent.fetchInto(dir, `refs/heads/node/${AGENT}`);
      await git(dir, 'checkout', '-q', 'FETCH_HEAD');
      await git(dir, 'commit', '-q', '--allow-empty', '-m', 'mine');
      expect((await agent.pushFrom(dir, `HEAD:refs/heads/node/${AGENT}`)).code).not.toBe(0);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  test('has no access to the API of the controller', async () => {
    await using agent = await holderOf(await tokenFor(pod, [AUDIENCE]));
    for (const [method, path] of [
      ['GET', '/api/v1/status'],
      ['GET', `/api/v1/nodes/${AGENT}`],
      ['POST', `/api/v1/nodes/${AGENT}/rollback`],
      ['POST', '/api/v1/confirm'],
    ] as const)
      expect((await agent.ask(method, path, method === 'POST' ? {} : undefined)).status).toBe(403);
  });

  test('is refused by the API server of Kubernetes', async () => {
    const agent = api.as(await tokenFor(pod, [AUDIENCE]));
    expect((await agent.ask('GET', '/api/v1/nodes')).status).toBe(401);
    agent.close();
  });

  test.each([
    ['without a pod', () => tokenFor(undefined, [AUDIENCE])],
    ['for the API server', () => tokenFor(pod)],
    ['for somebody else', () => tokenFor(pod, ['vault'])],
    [
      'of a person, for somebody else',
      () => multinic.kubectl('create', 'token', 'multinic-agent-operator', '--audience=vault'),
    ],
    ['that is none', async () => 'nonsense'],
  ])('%s is refused by the store', async (_, make) => {
    await using agent = await holderOf(await make());
    expect((await agent.lsRemote()).code).not.toBe(0);
  });

  test('its account has no rights even with a token for the API server', async () => {
    const account = api.as(await tokenFor(pod));
    for (const path of [
      '/api/v1/nodes',
      `/api/v1/namespaces/${multinic.namespace}/secrets`,
      `/api/v1/namespaces/${multinic.namespace}/pods`,
      '/apis/multinic.okestro.io/v1/multinicbizconfigs',
    ])
      expect((await account.ask('GET', path)).status).toBe(403);
    account.close();
  });

  test('of a deleted pod is refused', async () => {
    const token = await tokenFor(pod, [AUDIENCE]);
    await multinic.kubectl('delete', 'pod', pod.metadata.name, '--force', '--grace-period=0');
    await using agent = await holderOf(token);
    await expect.poll(async () => (await agent.lsRemote()).code, { timeout: 20_000 }).not.toBe(0);
  });
});

describe('people', () => {
  test('who may read can only read', async () => {
    await using reader = await Person.create(multinic, 'reader', 'read');
    await reader.clone();
    expect((await reader.status()).nodes.map(({ node }) => node).sort()).toEqual([AGENT, OTHER]);
    await reader.switch(OTHER);
    await reader.git('commit', '-q', '--allow-empty', '-m', 'mine');
    expect((await reader.tryGit('push', 'origin', `HEAD:refs/heads/node/${OTHER}`)).code).not.toBe(0);
    expect((await reader.ask('POST', `/api/v1/nodes/${OTHER}/retry`, {})).status).toBe(403);
  });

  test('who may write can run commands, and are named in the record', async () => {
    await using writer = await Person.create(multinic, 'writer', 'write');
    await writer.command(`/nodes/${OTHER}/retry`);
    const by = await multinic.git('log', '-5', '--format=%(trailers:key=By,valueonly)', `outcome/${OTHER}`);
    expect(by).toContain(`system:serviceaccount:${multinic.namespace}:writer`);
  });

  test('with no role are refused', async () => {
    await using stranger = await Person.create(multinic, 'stranger', 'none');
    expect((await stranger.tryClone()).code).not.toBe(0);
    expect((await stranger.ask('GET', '/api/v1/status')).status).toBe(403);
  });
});

describe("the controller's account", () => {
  const namespace = 'multinic-system';
  const crs = '/apis/multinic.okestro.io/v1';
  const job = { metadata: { name: 'tried' }, spec: { template: { spec: { containers: [] } } } };

  test.each([
    ['GET', '/api/v1/nodes', 200],
    ['GET', `${crs}/multinicbizconfigs`, 200],
    ['GET', `/apis/batch/v1/namespaces/${namespace}/jobs`, 200],
    // Authorisation succeeds, and then validation finds that the object is no Job.
    ['POST', `/apis/batch/v1/namespaces/${namespace}/jobs`, 422],
    ['POST', '/apis/batch/v1/namespaces/default/jobs', 403],
    ['GET', '/apis/batch/v1/namespaces/default/jobs', 403],
    ['POST', `/api/v1/namespaces/${namespace}/pods`, 403],
    ['GET', '/api/v1/secrets', 403],
    ['GET', `/api/v1/namespaces/${namespace}/secrets`, 403],
    ['GET', '/api/v1/namespaces/kube-system/secrets', 403],
    ['POST', '/api/v1/namespaces', 403],
    ['DELETE', '/api/v1/nodes/worker-1', 403],
    ['DELETE', `${crs}/namespaces/${namespace}/multinicbizconfigs/fleet`, 403],
    ['POST', `${crs}/namespaces/${namespace}/multinicbizconfigs`, 403],
    ['POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', 403],
    ['POST', `/api/v1/namespaces/${namespace}/serviceaccounts/multinic-agent-job/token`, 403],
    ['POST', `/api/v1/namespaces/${namespace}/pods/any/exec`, 403],
  ] as const)('%s %s: %i', async (method, path, status) => {
    const token = await multinic.kubectl('create', 'token', 'multinic-agent');
    const account = api.as(token);
    expect((await account.ask(method, path, method === 'POST' ? job : undefined)).status).toBe(status);
    account.close();
  });

  test('runs unprivileged, on a root file system that it cannot write', async () => {
    const { name } = await multinic.leader();
    const { spec } = await multinic.json<{ spec: ControllerPod }>('get', 'pod', name);
    for (const { securityContext } of spec.containers) {
      expect(securityContext).toMatchObject({
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      });
    }
    expect(await multinic.kubectl('exec', name, '--', 'id', '-u')).not.toBe('0');
  });
});

interface ControllerPod {
  readonly containers: readonly { readonly securityContext: unknown }[];
}
