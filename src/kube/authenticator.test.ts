import { beforeEach, expect, test } from 'vitest';
import { FakeClient } from '../../test/support/kube.ts';
import { KubeAuthenticator } from './authenticator.ts';

const REVIEWS = 'POST /apis/authentication.k8s.io/v1/tokenreviews';
const ACCESS = 'POST /apis/authorization.k8s.io/v1/subjectaccessreviews';
const POD = 'GET /api/v1/namespaces/ns/pods/agent-x';
const JOB = 'GET /apis/batch/v1/namespaces/ns/jobs/job-1';

interface ReviewBody {
  readonly spec: { readonly audiences?: string[] };
}

const agent = {
  username: 'system:serviceaccount:ns:multinic-agent-job',
  extra: {
    'authentication.kubernetes.io/pod-name': ['agent-x'],
    'authentication.kubernetes.io/pod-uid': ['p1'],
    'authentication.kubernetes.io/node-name': ['w'],
  },
};
const pod = {
  metadata: { name: 'agent-x', uid: 'p1', labels: { 'job-name': 'job-1' }, ownerReferences: [{ uid: 'j1' }] },
  spec: { nodeName: 'w' },
  status: { phase: 'Running' },
};
const job = { metadata: { name: 'job-1', uid: 'j1', annotations: { 'multinic.io/node': 'w' } } };

let api: FakeClient;
let authenticator: KubeAuthenticator;

const jwt = (aud: unknown): string =>
  ['{}', JSON.stringify({ aud }), ''].map((part) => Buffer.from(part).toString('base64url')).join('.');
/** Token with our audience. */
const OURS = jwt(['multinic-agent']);

/** @param user of a token with our audience, or with the API server's own */
function reviewed(user: object | undefined, ours: boolean): void {
  api.on(REVIEWS, ({ spec }: ReviewBody) => ({
    status: { authenticated: user !== undefined && (spec.audiences !== undefined) === ours, user },
  }));
}

function may(...verbs: string[]): void {
  api.on(ACCESS, (body: { spec: { resourceAttributes: { verb: string; namespace?: string } } }) => ({
    status: { allowed: verbs.includes(body.spec.resourceAttributes.verb) },
  }));
}

beforeEach(() => {
  api = new FakeClient().on(POD, pod).on(JOB, job);
  authenticator = new KubeAuthenticator({ client: api.client, namespace: 'ns' });
});

test('an agent reads the branch of the node that its pod runs on', async () => {
  reviewed(agent, true);
  expect(await authenticator.authenticate(OURS)).toEqual({ name: 'node:w', role: 'node', node: 'w' });
  // The controller asks for no rights, because an agent has none that count.
  expect(api.asked.some(({ path }) => path.includes('subjectaccessreviews'))).toBe(false);
});

test.each<[string, () => void]>([
  ['its pod is gone', () => api.on(POD, 404)],
  [
    'its pod is another of that name',
    () => api.on(POD, { ...pod, metadata: { ...pod.metadata, uid: 'p2' } }),
  ],
  ['its pod has ended', () => api.on(POD, { ...pod, status: { phase: 'Succeeded' } })],
  [
    'its pod is being deleted',
    () => api.on(POD, { ...pod, metadata: { ...pod.metadata, deletionTimestamp: 'now' } }),
  ],
  ['its pod runs elsewhere than the token says', () => api.on(POD, { ...pod, spec: { nodeName: 'v' } })],
  ['its Job is gone', () => api.on(JOB, 404)],
  [
    'its Job is recorded',
    () =>
      api.on(JOB, {
        metadata: {
          ...job.metadata,
          annotations: { 'multinic.io/node': 'w', 'multinic.io/recorded': 'true' },
        },
      }),
  ],
  [
    'its Job is of another node',
    () => api.on(JOB, { metadata: { ...job.metadata, annotations: { 'multinic.io/node': 'v' } } }),
  ],
  ['its pod is of no Job of that name', () => api.on(JOB, { metadata: { ...job.metadata, uid: 'j2' } })],
])('an agent whose time is over reads nothing: %s', async (_, arrange) => {
  reviewed(agent, true);
  arrange();
  await expect(authenticator.authenticate(OURS)).rejects.toMatchObject({ code: 'Forbidden' });
});

test.each([
  [['get'], 'read'],
  [['get', 'update'], 'write'],
])('a person who may %j is a principal that may %s', async (verbs, role) => {
  reviewed({ username: 'alice', groups: ['ops'] }, false);
  may(...verbs);
  expect(await authenticator.authenticate('t')).toEqual({ name: 'alice', role });
  const [first] = api.asked.filter(({ path }) => path.includes('subjectaccessreviews'));
  expect(first!.body).toMatchObject({
    spec: {
      user: 'alice',
      groups: ['ops'],
      resourceAttributes: { group: 'multinic.io', resource: 'multinicbizconfigs', subresource: 'history' },
    },
  });
  expect(first!.body).not.toHaveProperty('spec.resourceAttributes.namespace');
});

test('a person without rights is refused with the missing role', async () => {
  reviewed({ username: 'mallory' }, false);
  may();
  await expect(authenticator.authenticate('t')).rejects.toThrow(/mallory.*multinic-agent-history-reader/);
});

test('a token that the API server does not know is nobody’s, and asked again the next time', async () => {
  reviewed(undefined, false);
  expect(await authenticator.authenticate('t')).toBeUndefined();
  reviewed({ username: 'alice' }, false);
  may('get');
  expect(await authenticator.authenticate('t')).toMatchObject({ name: 'alice' });
});

test('an API server that does not answer is no refusal, and nothing is remembered of it', async () => {
  api.on(REVIEWS, 503);
  await expect(authenticator.authenticate('t')).rejects.toMatchObject({ code: 'Busy' });
  reviewed(agent, true);
  expect(await authenticator.authenticate(OURS)).toMatchObject({ role: 'node' });
});

test('who was just asked about is not asked about again', async () => {
  reviewed({ username: 'alice' }, false);
  may('get');
  await authenticator.authenticate('t');
  const before = api.asked.length;
  await authenticator.authenticate('t');
  expect(api.asked).toHaveLength(before);
});

test.each([
  ['that is no JWT', 't', undefined],
  ['for the API server', jwt(['https://kubernetes.default.svc']), undefined],
  ['for one audience, ours', jwt('multinic-agent'), ['multinic-agent']],
  ['for several', jwt(['a', 'multinic-agent']), ['multinic-agent']],
  ['with claims that are no JSON', 'a.!.c', undefined],
])('a wrong token %s costs one review', async (_, token, audiences) => {
  reviewed(undefined, false);
  expect(await authenticator.authenticate(token)).toBeUndefined();
  expect(api.asked.map(({ body }) => (body as ReviewBody).spec.audiences)).toEqual([audiences]);
});

test("an agent's token that claims to be for the API server is no agent's", async () => {
  reviewed(agent, false);
  may();
  await expect(authenticator.authenticate(jwt('https://kubernetes.default.svc'))).rejects.toMatchObject({
    code: 'Forbidden',
  });
});

test('an address with thirty refused tokens asks nothing more for a while; known tokens and others go on', async () => {
  reviewed({ username: 'alice' }, false);
  may('get');
  await authenticator.authenticate('known', '10.0.0.1');
  may();
  await expect(authenticator.authenticate('no rights', '10.0.0.1')).rejects.toMatchObject({
    code: 'Forbidden',
  });
  reviewed(undefined, false);
  for (let count = 1; count < 30; count += 1)
    expect(await authenticator.authenticate(`wrong ${count}`, '10.0.0.1')).toBeUndefined();
  const asked = api.asked.length;
  await expect(authenticator.authenticate('one more', '10.0.0.1')).rejects.toMatchObject({ code: 'Busy' });
  expect(api.asked).toHaveLength(asked);
  expect(await authenticator.authenticate('known', '10.0.0.1')).toMatchObject({ name: 'alice' });
  expect(await authenticator.authenticate('wrong', '10.0.0.2')).toBeUndefined();
});
