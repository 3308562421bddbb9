import { setTimeout } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentJob } from '../src/api/job.ts';
import type { Network } from '../src/network/interface.ts';
import type { RendererKind } from '../src/network/node.ts';
import { RENDERER_KINDS } from '../src/network/renderers.ts';
import {
  fileIdentities,
  Folder,
  hostFiles,
  machine,
  makeRoot,
  nic,
  runAgent,
  startAgent,
  TestStore,
  writeJob,
  type AgentEnd,
  type AgentRun,
} from './support/agent.ts';
import { STEPS, type Step } from '../src/agent/run/steps.ts';
import { ROUTED, ROUTED_OTHERWISE } from './support/host-of-two-commits.ts';

const NOWHERE = 'http://127.0.0.1:9';
const CHANGES: Record<string, readonly [before: Network, after: Network]> = {
  'first configuration': [[], [nic(0), nic(1)]],
  'all that can change': [
    [nic(0), nic(1), nic(2)],
    [nic(0, { mtu: 1400 }), nic(2, { address: '192.168.102.11' }), nic(3)],
  ],
  'places changed': [
    [nic(0), nic(1)],
    [nic(0, { mac: nic(1).mac }), nic(1, { mac: nic(0).mac })],
  ],
  'all removed': [[nic(0), nic(1)], []],
  'routing that changes': [ROUTED, ROUTED_OTHERWISE],
  'routing that goes': [ROUTED, []],
};
const WITHIN: Partial<Record<Step, string>> = { write: 'write.file', activate: 'activate.link' };
const INSTANTS = STEPS.filter((step) => step !== 'restore').flatMap((step) =>
  [step, WITHIN[step] ?? []].flat(),
);
const RESTORE_STEPS = ['restore.file', 'restore.link', 'recover.disarm'];

let folder: Folder;
let store: TestStore;
let count = 0;

beforeAll(async () => {
  folder = new Folder();
  store = await TestStore.open(folder.path);
});
afterAll(async () => {
  await store.close();
  folder[Symbol.dispose]();
});

const combinations: { kind: RendererKind; change: string; apply: AgentJob['apply'] }[] = [
  ...RENDERER_KINDS.flatMap((kind) =>
    Object.keys(CHANGES).map((change) => ({ kind, change, apply: 'live' as const })),
  ),
  { kind: 'netplan', change: 'all that can change', apply: 'full' },
  { kind: 'netplan', change: 'all that can change', apply: 'files' },
];

test.each(combinations)(
  '$kind, $change, $apply: killed at every instant, once and again',
  async ({ kind, change, apply }) => {
    const scene = await prepare(kind, change, apply);
    let kills = 0;
    for (const step of INSTANTS) {
      for (let nth = 1; ; nth += 1) {
        const root = scene.fresh();
        const { signal } = await scene.advance(root, { killAt: `agent.${step}#${nth}` });
        if (signal !== 'SIGKILL') {
          // Every run passes each instant; only the instants of a file or a link are absent where none changes.
          if (nth === 1 && !['write.file', 'activate.link'].includes(step))
            throw new Error(`no run comes to ${step}`);
          break;
        }
        await scene.settles(root, `${step}#${nth}`);
        kills += 1;
      }
    }
    for (const first of ['write.file#2', 'activate.link#3', 'verify']) {
      for (const step of RESTORE_STEPS) {
        for (let nth = 1; ; nth += 1) {
          const root = scene.fresh();
          if ((await scene.advance(root, { killAt: `agent.${first}` })).signal !== 'SIGKILL') break;
          const second = await scene.advance(root, { url: NOWHERE, killAt: `agent.${step}#${nth}` });
          if (second.signal !== 'SIGKILL') break;
          await scene.settles(root, `${first}, then ${step}#${nth}`);
        }
      }
    }
    expect(kills).toBeGreaterThanOrEqual(INSTANTS.length - 2);
  },
);

test('killed at 200 random instants', async () => {
  const scene = await prepare('keyfile', 'all that can change', 'live');
  const durations: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const started = performance.now();
    await scene.advance(scene.fresh());
    durations.push(performance.now() - started);
  }
  // The shortest run counts: delays from a longer one, as on a busy machine, would come after the end of many runs.
  const shortest = Math.min(...durations);
  let killed = 0;
  for (let round = 0; round < 200; round += 1) {
    const root = scene.fresh();
    const job = writeJob({ dir: folder.path, root, ...scene.job });
    const { process: agent, end } = startAgent(
      ['apply', '--job', job, '--root', root, '--offline'],
      folder.path,
    );
    await setTimeout((shortest * (round + 1)) / 200);
    agent.kill('SIGKILL');
    if ((await end).signal === 'SIGKILL') killed += 1;
    await scene.settles(root, `round ${round}`);
  }
  expect(killed).toBeGreaterThan(100);
});

interface Scene {
  readonly job: Pick<AgentRun, 'url' | 'commit' | 'expectedRecord' | 'apply'>;
  /** Makes a new host in the state before the change. */
  fresh(): string;
  advance(root: string, changes?: Partial<AgentRun>): Promise<AgentEnd>;
  /** The host is wholly old or wholly new after the next run, new after a run that reaches its store, and then unchanged. */
  settles(root: string, instant: string): Promise<void>;
}

async function prepare(kind: RendererKind, change: string, apply: AgentJob['apply']): Promise<Scene> {
  const [before, after] = CHANGES[change] ?? [[], []];
  const url = store.server.url;
  const first = await store.commit(kind, before);
  const start = makeRoot(join(folder.path, `start-${(count += 1)}`), machine(4));
  await runAgent({ dir: folder.path, root: start, url, commit: first, expectedRecord: null, apply });
  const second = await store.commit(kind, after);
  const job = { url, commit: second, expectedRecord: first, apply };
  const advance = (root: string, changes: Partial<AgentRun> = {}): Promise<AgentEnd> =>
    runAgent({ dir: folder.path, root, ...job, ...changes });
  const fresh = (): string => {
    const root = join(folder.path, `root-${(count += 1)}`);
    cpSync(start, root, { recursive: true, preserveTimestamps: true });
    return root;
  };
  const old = hostFiles(start);
  const finished = fresh();
  await advance(finished);
  const end = hostFiles(finished);
  const settles = async (root: string, instant: string): Promise<void> => {
    await advance(root, { url: NOWHERE });
    const whole = [old, end].some((files) => isDeepStrictEqual(hostFiles(root), files));
    expect({ instant, whole }).toEqual({ instant, whole: true });
    const { outcome } = await advance(root);
    expect({ instant, result: outcome?.result }).toEqual({ instant, result: 'Applied' });
    expect({ instant, files: hostFiles(root) }).toEqual({ instant, files: end });
    const identities = fileIdentities(root);
    const again = await advance(root, { expectedRecord: second });
    expect({ instant, written: again.outcome?.written }).toEqual({ instant, written: [] });
    expect({ instant, identities: fileIdentities(root) }).toEqual({ instant, identities });
  };
  return { job, fresh, advance, settles };
}
