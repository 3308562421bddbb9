import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MultinicError } from '../api/errors.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Api } from './api-client.ts';
import type { ChangeFlags } from './change.ts';
import { switchAll } from './pause-command.ts';

const PAUSE = { name: 'pause', what: '', done: 'paused' } as const;
const FLAGS: ChangeFlags = { server: 'http://x', namespace: 'n', output: 'table', yes: true };

/** The answer of a cluster's controller, which shows the nodes and may not change them. */
const PREVIEW = {
  dryRun: true,
  nodes: ['w1', 'w2'].map((node) => ({ node, change: 'is paused' })),
  moved: [],
  skipped: [{ node: 'w3', reason: 'is paused by its CR' }],
};

let asked: string[];
let patched: string[];
let said: string;
beforeEach(() => {
  asked = [];
  patched = [];
  said = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

async function call(_: string, path: string, { dryRun }: { dryRun?: boolean }): Promise<unknown> {
  asked.push(dryRun === true ? `${path} dry` : path);
  if (dryRun === true) return PREVIEW;
  throw new MultinicError('UseKubectl', 'run kubectl annotate node --all');
}

function cluster(client?: KubeClient): Api {
  return { call, client } as unknown as Api;
}

function clientOf(...gone: readonly string[]): KubeClient {
  const request = async (_: string, path: string): Promise<void> => {
    const { KubeError } = await import('../kube/client.ts');
    if (gone.includes(path.replace('/api/v1/nodes/', ''))) throw new KubeError(404, 'NotFound', 'gone');
    patched.push(path);
  };
  return { request } as unknown as KubeClient;
}

test('in a cluster all nodes are paused by the right of the person', async () => {
  await switchAll(cluster(clientOf()), FLAGS, PAUSE);
  expect(asked).toEqual(['/pause', '/pause dry']);
  expect(patched).toEqual(['/api/v1/nodes/w1', '/api/v1/nodes/w2']);
  expect(said).toBe('2 nodes paused\nw3  skipped: is paused by its CR\n');
});

test('a node that is gone meanwhile is told, and not counted', async () => {
  await switchAll(cluster(clientOf('w2')), FLAGS, PAUSE);
  expect(said).toBe('1 node paused\nw3  skipped: is paused by its CR\nw2  skipped: is gone\n');
});

test('a dry run shows the nodes, and changes none', async () => {
  await switchAll(cluster(clientOf()), { ...FLAGS, dryRun: true }, PAUSE);
  expect(asked).toEqual(['/pause dry']);
  expect(patched).toEqual([]);
  expect(said).toBe('w1  is paused\nw2  is paused\nw3  skipped: is paused by its CR\n');
});

test('without an API server of the person the command of kubectl is the remedy', async () => {
  await expect(switchAll(cluster(), FLAGS, PAUSE)).rejects.toMatchObject({ code: 'UseKubectl' });
});
