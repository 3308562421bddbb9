import type { V1OwnerReference } from '@kubernetes/client-node';
import { oid } from '../../test/support/oid.ts';
import pino from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { FakeClient } from '../../test/support/kube.ts';
import type { Observation } from '../api/observation.ts';
import type { Outcome } from '../api/outcome.ts';
import type { JobRequest } from '../scheduler/job-port.ts';
import {
  projectJob,
  projectPod,
  projectWarning,
  type AgentJobObject,
  type AgentPod,
  type AgentWarning,
} from './agent-run.ts';
import { KubeJobRunner } from './job-runner.ts';

const NAME = 'multinic-agent-i-1-20260101000000';
const COMMIT = oid('c'.repeat(40));
const JOBS = '/apis/batch/v1/namespaces/ns/jobs';
const NOW = Date.UTC(2026, 0, 1, 0, 0, 10);
const PODS = 'GET /api/v1/namespaces/ns/pods';
const START_LIMIT = 60;
/** Longest time that a pod takes to end on a node that answers. */
const LINGER = 600_000;

const request: JobRequest = {
  name: NAME,
  node: 'w',
  nodeId: 'i-1',
  commit: COMMIT,
  expectedRecord: null,
  attempt: 1,
  apply: 'live',
  deadlineSeconds: 120,
};
const job: AgentJobObject = {
  name: NAME,
  uid: 'u1',
  node: 'w',
  commit: COMMIT,
  attempt: 1,
  created: Date.UTC(2026, 0, 1),
  deleting: false,
  recorded: false,
};
const pod: AgentPod = {
  name: `${NAME}-x`,
  uid: 'p1',
  job: NAME,
  jobUid: 'u1',
  node: 'w',
  commit: COMMIT,
  attempt: 1,
  deleting: false,
  phase: 'waiting',
};
const report: Outcome = {
  version: 1,
  node: 'w',
  job: NAME,
  commit: COMMIT,
  result: 'Applied',
  step: 'report',
  machineId: 'm',
  bootId: 'b',
  startedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 1,
  written: [],
  removed: [],
  missing: [],
  found: [],
};
const OBSERVATION: Observation = {
  version: 1,
  mode: 'observe',
  node: 'w',
  job: 'multinic-observe-i-1-20260101000000',
  commit: COMMIT,
  result: 'Observed',
  step: 'report',
  machineId: 'm',
  bootId: 'b',
  startedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 1,
  differences: [],
};
const known = { name: NAME, node: 'w', commit: COMMIT, attempt: 1 };

function ownedBy(name: string, uid: string): { ownerReferences: V1OwnerReference[] } {
  return { ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name, uid, controller: true }] };
}

function podList(status: object, uid = 'u1'): object {
  const annotations = { 'multinic.io/node': 'w' };
  return { items: [{ metadata: { name: 'p', uid: 'p1', annotations, ...ownedBy(NAME, uid) }, status }] };
}

let api: FakeClient;
let jobs: AgentJobObject[];
let pods: AgentPod[];
let warnings: AgentWarning[];
let now: number;
let runner: KubeJobRunner;

beforeEach(() => {
  api = new FakeClient();
  jobs = [];
  pods = [];
  warnings = [];
  now = NOW;
  runner = new KubeJobRunner({
    client: api.client,
    namespace: 'ns',
    image: 'i',
    imagePullPolicy: 'IfNotPresent',
    imagePullSecrets: [],
    serverVersion: { major: 1, minor: 35 },
    peers: async () => ['10.0.0.5'],
    settings: {},
    store: () => ({ storeUrl: 'https://10.0.0.1:8443/git', ca: 'CA', serverName: 'store.ns.svc' }),
    startLimit: START_LIMIT,
    jobTtl: 3600,
    jobs: { list: () => jobs },
    pods: { list: () => pods },
    warnings: { list: () => warnings },
    changed: () => undefined,
    log: pino({ level: 'silent' }),
    now: () => now,
  });
  return () => runner.close();
});

test('a job that was just made is known before the watch shows it, and once it does not twice', async () => {
  await runner.start(request);
  expect(await runner.list()).toEqual([{ ...known, phase: 'waiting' }]);
  jobs = [job];
  expect(await runner.list()).toEqual([{ ...known, phase: 'waiting' }]);
});

test('a name that exists is ours if it is of the same commit and attempt', async () => {
  const made = (commit: string, extra: object = {}) => ({
    metadata: {
      name: NAME,
      annotations: { 'multinic.io/commit': commit, 'multinic.io/attempt': '1' },
      ...extra,
    },
  });
  api.on(`POST ${JOBS}`, 409).on(`GET ${JOBS}/${NAME}`, made(COMMIT));
  await runner.start(request);
  api.on(`GET ${JOBS}/${NAME}`, made(oid('d'.repeat(40))));
  await expect(runner.start(request)).rejects.toMatchObject({ code: 'JobNameTaken' });
  api.on(`GET ${JOBS}/${NAME}`, made(COMMIT, { deletionTimestamp: '2026-01-01T00:00:00Z' }));
  await expect(runner.start(request)).rejects.toMatchObject({ code: 'JobNameTaken' });
});

test('a report is the outcome, whatever the Job says and whoever deletes it', async () => {
  pods = [{ ...pod, phase: 'ended', report: JSON.stringify(report) }];
  for (const each of [[job], [{ ...job, deleting: true }], []]) {
    jobs = each;
    expect(await runner.list()).toEqual([{ ...known, phase: 'finished', outcome: report }]);
  }
});

test('words of an agent that was killed are no report: they say in which step it was', async () => {
  jobs = [job];
  pods = [{ ...pod, phase: 'ended', reason: 'OOMKilled', report: '{"step":"activate","at":"…"}' }];
  const [status] = await runner.list();
  expect(status).toMatchObject({
    phase: 'finished',
    message: expect.stringMatching(/OOMKilled.*step activate/),
  });
  expect(status!.outcome).toBeUndefined();
});

test('an agent that its deadline ended says so, beside how it was killed', async () => {
  const killed = { ...pod, phase: 'ended', reason: 'Error', message: 'exit code 137' } as const;
  const endedBy = async (reason: string): Promise<string | undefined> => {
    jobs = [{ ...job, ended: { reason, message: 'too long', at: NOW } }];
    pods = [killed];
    return (await runner.list())[0]?.message;
  };
  expect(await endedBy('DeadlineExceeded')).toBe(
    'the agent ended without a report (DeadlineExceeded: too long; Error: exit code 137)',
  );
  expect(await endedBy('BackoffLimitExceeded')).toBe(
    'the agent ended without a report (Error: exit code 137)',
  );
});

test('a Job past its deadline whose pod is gone has ended without a report', async () => {
  api.on(PODS, { items: [] });
  jobs = [{ ...job, ended: { reason: 'DeadlineExceeded', message: 'too long', at: NOW } }];
  expect((await runner.list())[0]).toMatchObject({
    phase: 'finished',
    message: expect.stringMatching(/DeadlineExceeded/),
  });
});

test('while a pod of an earlier Job lives, the node is busy', async () => {
  pods = [{ ...pod, phase: 'started' }];
  expect((await runner.list())[0]).toMatchObject({ node: 'w', phase: 'running' });
  jobs = [{ ...job, deleting: true }];
  pods = [];
  expect((await runner.list())[0]).toMatchObject({ node: 'w', phase: 'running' });
});

test('a report of another Job of the name, or of a pod on another node, says nothing about a Job', async () => {
  const ended = { ...pod, phase: 'ended', report: JSON.stringify(report) } as const;
  jobs = [job];
  pods = [{ ...ended, jobUid: 'u0' }];
  expect(await runner.list()).toEqual([{ ...known, phase: 'waiting' }]);
  pods = [{ ...ended, node: 'v' }];
  expect(await runner.list()).toEqual([{ ...known, phase: 'waiting' }]);
  // A pod on another node does not keep the Job's node busy.
  pods = [{ ...pod, phase: 'started', node: 'v' }];
  expect(await runner.list()).toEqual([{ ...known, phase: 'waiting' }]);
  pods = [ended];
  expect(await runner.list()).toEqual([{ ...known, phase: 'finished', outcome: report }]);
});

test('the API server is asked for the report of this very Job', async () => {
  const terminated = { exitCode: 0, reason: 'Completed', message: JSON.stringify(report) };
  jobs = [{ ...job, ended: { reason: 'Complete', message: '', at: NOW } }];
  const status = { phase: 'Succeeded', containerStatuses: [{ name: 'agent', state: { terminated } }] };
  api.on(PODS, podList(status, 'u0'));
  const [listed] = await runner.list();
  expect(listed).toMatchObject({ phase: 'finished' });
  expect(listed!.outcome).toBeUndefined();
});

test.each([
  ['20260102000009', true],
  ['20260102000011', false],
  ['99991231235959', false],
])('a pod without a Job whose stamp is %s counts: %s', async (stamp, counts) => {
  const name = `multinic-agent-i-1-${stamp}`;
  pods = [{ ...pod, job: name, phase: 'ended', report: JSON.stringify({ ...report, job: name }) }];
  expect(await runner.list()).toHaveLength(counts ? 1 : 0);
  pods = [{ ...pod, job: name, phase: 'started' }];
  expect(await runner.list()).toHaveLength(counts ? 1 : 0);
  // The controller makes the Jobs, so the stamp of a Job is the controller's own.
  jobs = [{ ...job, name }];
  expect(await runner.list()).toHaveLength(1);
});

test('before a report is lost, the API server is asked: the watch of pods may be behind', async () => {
  jobs = [{ ...job, ended: { reason: 'Complete', message: '', at: NOW } }];
  const terminated = { exitCode: 0, reason: 'Completed', message: JSON.stringify(report) };
  api.on(PODS, podList({ phase: 'Running', containerStatuses: [{ name: 'agent', state: { running: {} } }] }));
  expect((await runner.list())[0]).toMatchObject({ phase: 'running' });
  api.on(
    PODS,
    podList({ phase: 'Succeeded', containerStatuses: [{ name: 'agent', state: { terminated } }] }),
  );
  expect(await runner.list()).toEqual([{ ...known, phase: 'finished', outcome: report }]);
});

test('a pod on a node that is down: lost after a while, and its node stays busy', async () => {
  for (const [each, pod_] of [
    [
      [{ ...job, ended: { reason: 'DeadlineExceeded', message: 'too long', at: NOW } }],
      { ...pod, phase: 'started' },
    ],
    [[], { ...pod, uid: 'p2', phase: 'started', deleting: true }],
    [[{ ...job, deleting: true }], { ...pod, uid: 'p3', deleting: true }],
  ] as const) {
    jobs = [...each];
    pods = [pod_];
    expect((await runner.list())[0]).toMatchObject({ phase: 'running' });
    now += LINGER;
    expect((await runner.list())[0]).toMatchObject({
      phase: 'finished',
      message: expect.stringContaining('its node may be down'),
    });
  }
  await runner.forget(NAME);
  expect((await runner.list())[0]).toMatchObject({ phase: 'running', recorded: true });
  jobs = [];
  expect((await runner.list())[0]).toMatchObject({ phase: 'running', recorded: true });
  pods = [{ ...pod, phase: 'ended', report: JSON.stringify(report) }];
  expect(await runner.list()).toEqual([]);
});

test('a Job deleted before it ran counts as not run; a Job that ran without a report counts as lost', async () => {
  pods = [{ ...pod, phase: 'ended', unstarted: true }];
  expect(await runner.list()).toEqual([]);
  pods = [{ ...pod, phase: 'ended', reason: 'Error', message: 'exit code 137' }];
  expect((await runner.list())[0]).toMatchObject({
    phase: 'finished',
    message: expect.stringMatching(/137/),
  });
});

test('a recorded Job that has the name of a new one goes first: a restored store does not know it', async () => {
  const annotations = {
    'multinic.io/commit': COMMIT,
    'multinic.io/attempt': '1',
    'multinic.io/recorded': 'true',
  };
  api.on(`POST ${JOBS}`, 409).on(`GET ${JOBS}/${NAME}`, { metadata: { name: NAME, uid: 'u0', annotations } });
  await expect(runner.start(request)).rejects.toMatchObject({ code: 'JobNameTaken' });
  expect(api.by('DELETE')[0]).toMatchObject({
    path: `${JOBS}/${NAME}`,
    body: { preconditions: { uid: 'u0' } },
  });
});

test('a pod that does not start is reported at once, and frees its slot after a while', async () => {
  jobs = [job];
  pods = [{ ...pod, reason: 'ImagePullBackOff', message: 'no such image' }];
  expect(await runner.list()).toEqual([
    { ...known, phase: 'waiting', message: 'its pod does not start: ImagePullBackOff, no such image' },
  ]);
  now += START_LIMIT * 1000;
  expect(await runner.list()).toEqual([
    {
      ...known,
      phase: 'waiting',
      late: true,
      stuck: true,
      since: job.created,
      message: expect.stringMatching(/ImagePullBackOff.*tried again/),
    },
  ]);
  expect(api.by('DELETE')).toEqual([]);
});

test('a pod that says nothing while it does not start is late all the same, in words', async () => {
  jobs = [job];
  pods = [{ ...pod, reason: 'ContainerCreating' }];
  await runner.list();
  now += START_LIMIT * 1000;
  expect((await runner.list())[0]).toMatchObject({
    late: true,
    message: expect.stringMatching(/ContainerCreating/),
  });
});

test('a Job whose pod waits is made again under its name, after five to ten minutes', async () => {
  jobs = [job];
  pods = [{ ...pod, reason: 'ImagePullBackOff' }];
  await runner.list();
  now += 299_000;
  expect((await runner.list())[0]).toMatchObject({ phase: 'waiting', late: true });
  expect(api.by('DELETE')).toEqual([]);
  now += 1_000;
  expect((await runner.list())[0]).toMatchObject({ phase: 'waiting', late: true });
  expect(api.by('DELETE')[0]).toMatchObject({
    path: `${JOBS}/${NAME}`,
    body: { preconditions: { uid: 'u1' } },
  });
  // The next Job of the name keeps the start of the first Job.
  jobs = [];
  pods = [];
  expect(await runner.list()).toEqual([
    {
      ...known,
      phase: 'waiting',
      late: true,
      retryAt: now + 1_000,
      message: expect.stringMatching(/ImagePullBackOff.*tried again/),
    },
  ]);
  await runner.start(request);
  expect(await runner.list()).toEqual([{ ...known, phase: 'waiting' }]);
  expect(api.by('POST').at(-1)!.body).toMatchObject({
    metadata: { name: NAME, annotations: { 'multinic.io/waiting-since': '2026-01-01T00:00:00.000Z' } },
  });
});

test.each([
  [0, 60_000],
  [120_000, 120_000],
  [3_600_000, 600_000],
])(
  'a pod that ended before its agent began: after %i ms it is tried again in %i ms',
  async (before, pause) => {
    jobs = [
      {
        ...job,
        waitingSince: job.created - before,
        ended: { reason: 'BackoffLimitExceeded', message: '', at: NOW },
      },
    ];
    pods = [{ ...pod, phase: 'ended', unstarted: true, reason: 'OutOfpods', message: 'too many pods' }];
    expect((await runner.list())[0]).toMatchObject({
      phase: 'waiting',
      message: expect.stringMatching(/OutOfpods.*too many pods/),
    });
    now += pause - 1;
    await runner.list();
    expect(api.by('DELETE')).toEqual([]);
    now += 1;
    expect((await runner.list())[0]).toMatchObject({ phase: 'waiting' });
    expect(api.by('DELETE')).toHaveLength(1);
  },
);

test('a Job that ended without a pod counts as not run; one that had a pod counts as lost', async () => {
  api.on(PODS, { items: [] });
  warnings = [{ uid: 'u1', reason: 'FailedCreate', message: 'violates PodSecurity' }];
  jobs = [{ ...job, podless: true, ended: { reason: 'DeadlineExceeded', message: 'too long', at: NOW } }];
  expect((await runner.list())[0]).toMatchObject({
    phase: 'waiting',
    message: expect.stringMatching(/violates PodSecurity/),
  });
  jobs = [{ ...jobs[0]!, podless: false }];
  expect((await runner.list())[0]).toMatchObject({ phase: 'finished' });
});

test.each([
  [0, 61_000],
  [240_000, 301_000],
  [3_600_000, 600_000],
])(
  'a late Job that gives way to others, and waited %i ms before, is listed and may start again in %i ms',
  async (before, pause) => {
    jobs = [{ ...job, waitingSince: job.created - before }];
    pods = [{ ...pod, reason: 'ImagePullBackOff' }];
    await runner.list();
    now += 61_000;
    await runner.withdraw(NAME, { again: true });
    const retryAt = now + pause;
    expect(api.by('PATCH')[0]).toMatchObject({
      body: { metadata: { annotations: { 'multinic.io/withdrawn': 'true' } } },
    });
    expect(api.by('DELETE')).toHaveLength(1);
    // Its pod is still there, so its agent may have begun.
    jobs = [];
    pods = [{ ...pods[0]!, withdrawn: true, deleting: true }];
    expect((await runner.list())[0]).toMatchObject({ phase: 'running' });
    pods = [];
    now += 5_000;
    const message = expect.stringMatching(/ImagePullBackOff.*tried again/);
    expect(await runner.list()).toEqual([{ ...known, phase: 'waiting', late: true, retryAt, message }]);
    await runner.start(request);
    expect(await runner.list()).toEqual([{ ...known, phase: 'waiting' }]);
    const annotations = { 'multinic.io/waiting-since': new Date(job.created - before).toISOString() };
    expect(api.by('POST')).toMatchObject([{ body: { metadata: { name: NAME, annotations } } }]);
  },
);

test('a late Job that gave way and is no longer wanted is forgotten', async () => {
  jobs = [job];
  await runner.withdraw(NAME, { again: true });
  jobs = [];
  expect(await runner.list()).toHaveLength(1);
  await runner.withdraw(NAME);
  expect(await runner.list()).toEqual([]);
});

test('a Job that a queue suspends is left to the queue', async () => {
  jobs = [{ ...job, suspended: true }];
  await runner.list();
  now += 3_600_000;
  expect((await runner.list())[0]).toMatchObject({
    phase: 'waiting',
    late: true,
    message: expect.stringMatching(/suspended/),
  });
  expect(api.by('DELETE')).toEqual([]);
});

test('a pod of an earlier Job of the name that never began says nothing about the new one', async () => {
  jobs = [{ ...job, uid: 'u2' }];
  pods = [{ ...pod, jobUid: 'u1', phase: 'ended', unstarted: true, reason: 'OutOfpods' }];
  expect(await runner.list()).toEqual([{ ...known, phase: 'waiting' }]);
  pods = [{ ...pod, jobUid: 'u1', phase: 'started' }];
  expect((await runner.list())[0]).toMatchObject({ phase: 'running' });
});

test.each([
  ['a report of a refused token', { ...report, result: 'Failed', reason: 'Unauthorized', step: 'checkout' }],
  ['a report of its end', { ...report, result: 'Failed', reason: 'Interrupted', step: 'plan' }],
  ['words of an early step', { step: 'checkout', at: '…' }],
  ['nothing', undefined],
])('a job that is withdrawn while its agent begins has not been: %s', async (_, words) => {
  jobs = [job];
  pods = [pod];
  await runner.withdraw(NAME);
  expect(api.by('PATCH')[0]).toMatchObject({
    path: `/api/v1/namespaces/ns/pods/${pod.name}`,
    body: { metadata: { annotations: { 'multinic.io/withdrawn': 'true' } } },
  });
  expect(api.by('DELETE')[0]).toMatchObject({ body: { preconditions: { uid: 'u1' } } });
  jobs = [];
  pods = [
    {
      ...pod,
      withdrawn: true,
      phase: 'ended',
      reason: 'Error',
      ...(words !== undefined && { report: JSON.stringify(words) }),
    },
  ];
  expect(await runner.list()).toEqual([]);
});

test.each([
  ['a run that succeeded', report],
  ['a change that was undone', { ...report, result: 'Failed', reason: 'Interrupted', step: 'activate' }],
  ['words of a step that changes the host', { step: 'write', at: '…' }],
])('a withdrawn job whose agent came to the host is recorded: %s', async (_, words) => {
  pods = [{ ...pod, withdrawn: true, phase: 'ended', reason: 'Error', report: JSON.stringify(words) }];
  expect((await runner.list())[0]).toMatchObject({ phase: 'finished' });
});

test('a refused pod is reported by the Events of its Job', async () => {
  jobs = [job];
  expect((await runner.list())[0]!.message).toBeUndefined();
  warnings = [
    projectWarning({
      metadata: {},
      involvedObject: { uid: job.uid },
      reason: 'FailedCreate',
      message: 'violates PodSecurity',
    }),
    { uid: 'another', reason: 'FailedCreate', message: 'quota' },
  ];
  expect((await runner.list())[0]!.message).toBe('FailedCreate: violates PodSecurity');
  pods = [{ ...pod, reason: 'ContainerCreating' }];
  warnings = [{ uid: pod.uid, reason: 'FailedMount', message: 'no such volume' }];
  expect((await runner.list())[0]!.message).toBe(
    'its pod does not start: ContainerCreating; FailedMount: no such volume',
  );
});

test('a job is forgotten by a mark on it, and the TTL begins only then', async () => {
  jobs = [{ ...job, ended: { reason: 'Complete', message: '', at: NOW } }];
  await runner.forget(NAME);
  expect(api.by('PATCH')[0]).toMatchObject({
    path: `${JOBS}/${NAME}`,
    body: {
      metadata: { annotations: { 'multinic.io/recorded': 'true' } },
      spec: { ttlSecondsAfterFinished: 3600 },
    },
  });
  expect(await runner.list()).toEqual([]);
  jobs = [{ ...jobs[0]!, recorded: true }];
  expect(await runner.list()).toEqual([]);
});

test('only a job whose agent has not started is withdrawn', async () => {
  jobs = [job];
  pods = [{ ...pod, phase: 'started' }];
  await runner.withdraw(NAME);
  expect(api.by('DELETE')).toEqual([]);
  pods = [pod];
  await runner.withdraw(NAME);
  expect(api.by('DELETE')).toHaveLength(1);
});

test('what is kept of a Job and a pod', () => {
  expect(
    projectJob({
      metadata: {
        name: NAME,
        uid: 'u1',
        creationTimestamp: '2026-01-01T00:00:00Z' as never,
        annotations: { 'multinic.io/node': 'w', 'multinic.io/commit': COMMIT, 'multinic.io/attempt': '1' },
      },
    }),
  ).toEqual(job);
  const terminated = { exitCode: 137, reason: 'OOMKilled', message: 'step' };
  expect(
    projectPod({
      metadata: {
        name: 'p',
        uid: 'p1',
        annotations: { 'multinic.io/node': 'w' },
        ...ownedBy(NAME, 'u1'),
      },
      status: {
        phase: 'Failed',
        containerStatuses: [
          { name: 'agent', state: { terminated }, image: '', imageID: '', ready: false, restartCount: 0 },
        ],
      },
    }),
  ).toMatchObject({ phase: 'ended', reason: 'OOMKilled', report: 'step', job: NAME, node: 'w' });
});

test('a Job without a pod, a suspended one, and one that was tried before are known as such', () => {
  const metadata = { name: NAME, annotations: { 'multinic.io/waiting-since': '2026-01-01T00:00:00Z' } };
  const failed = { type: 'Failed', status: 'True', reason: 'DeadlineExceeded' };
  expect(
    projectJob({ metadata, spec: { suspend: true } as never, status: { conditions: [failed] } }),
  ).toMatchObject({ waitingSince: Date.UTC(2026, 0, 1), suspended: true, podless: true });
  expect(projectJob({ metadata, status: { failed: 1, conditions: [failed] } }).podless).toBeUndefined();
});

test('a container that could not start, and an init container that waits, have not begun', () => {
  const base = { name: 'agent', image: '', imageID: '', ready: false, restartCount: 0 };
  const terminated = { exitCode: 128, reason: 'StartError', message: 'exec format error' };
  expect(
    projectPod({
      metadata: ownedBy(NAME, 'u1'),
      status: { phase: 'Failed', containerStatuses: [{ ...base, state: { terminated } }] },
    }),
  ).toMatchObject({ phase: 'ended', unstarted: true, reason: 'StartError', message: 'exec format error' });
  const waiting = { reason: 'ImagePullBackOff', message: 'no proxy image' };
  expect(
    projectPod({
      metadata: ownedBy(NAME, 'u1'),
      status: {
        phase: 'Pending',
        initContainerStatuses: [{ ...base, name: 'proxy', state: { waiting } }],
        containerStatuses: [{ ...base, state: { waiting: { reason: 'PodInitializing' } } }],
      },
    }),
  ).toMatchObject({ phase: 'waiting', reason: 'ImagePullBackOff', message: 'no proxy image' });
});

test('an observation is reported as such, and its Job goes once the report is read', async () => {
  const { job: name } = OBSERVATION;
  const labels = { 'app.kubernetes.io/component': 'observer', 'job-name': name };
  await runner.start({ ...request, name, mode: 'observe' });
  expect(await runner.list()).toEqual([{ ...known, name, mode: 'observe', phase: 'waiting' }]);
  const annotations = { 'multinic.io/node': 'w', 'multinic.io/commit': COMMIT, 'multinic.io/attempt': '1' };
  jobs = [projectJob({ metadata: { name, uid: 'u9', labels, annotations } })];
  const podOf = (message: string): AgentPod =>
    projectPod({
      metadata: { name: 'p', uid: 'p9', labels, annotations, ...ownedBy(name, 'u9') },
      status: {
        phase: 'Succeeded',
        containerStatuses: [
          {
            name: 'agent',
            image: 'i',
            imageID: 'i',
            ready: false,
            restartCount: 0,
            state: { terminated: { exitCode: 0, message } },
          },
        ],
      },
    })!;
  pods = [podOf(JSON.stringify(OBSERVATION))];
  expect(await runner.list()).toEqual([
    { ...known, name, mode: 'observe', phase: 'finished', observation: OBSERVATION },
  ]);
  await runner.forget(name);
  expect(api.by('DELETE')).toMatchObject([
    { path: `${JOBS}/${name}`, body: { preconditions: { uid: 'u9' } } },
  ]);
  expect(api.by('PATCH')).toEqual([]);
  // The pod outlives its Job for a moment.
  jobs = [];
  expect(await runner.list()).toEqual([]);
});

test('an observation whose pod outlives its record says so, as long as the node is down', async () => {
  const { job: name } = OBSERVATION;
  const observing = { ...pod, job: name, mode: 'observe', phase: 'started', deleting: true } as const;
  pods = [observing];
  const [status] = await runner.list();
  expect(status).toMatchObject({ phase: 'running' });
  expect(status!.recorded).toBeUndefined();
  now += LINGER;
  expect((await runner.list())[0]).toMatchObject({ phase: 'finished' });
  await runner.forget(name);
  now += 24 * LINGER;
  expect((await runner.list())[0]).toMatchObject({ mode: 'observe', phase: 'running', recorded: true });
});

test('an observation that was killed has no report', async () => {
  const { job: name } = OBSERVATION;
  jobs = [{ ...job, name, mode: 'observe', ended: { reason: 'Failed', message: '', at: NOW } }];
  pods = [
    { ...pod, job: name, mode: 'observe', phase: 'ended', reason: 'OOMKilled', report: '{"step":"plan"}' },
  ];
  expect(await runner.list()).toEqual([
    {
      ...known,
      name,
      mode: 'observe',
      phase: 'finished',
      message: 'the agent ended without a report (OOMKilled) in step plan',
    },
  ]);
});
