import { expect, test } from 'vitest';
import { KubeError, type KubeClient, type RequestOptions } from './client.ts';
import { setManyPausedByPerson, setPausedByPerson } from './pause.ts';

const NODES = Array.from({ length: 20 }, (_, index) => `w${index}`);

/** An API server that answers some Nodes with an error. */
class Cluster {
  readonly annotations = new Map<string, string | null>();
  readonly asked = new Set<string>();
  atOnce = 0;
  #running = 0;
  readonly #errors: Readonly<Record<string, number>>;

  constructor(errors: Readonly<Record<string, number>> = {}) {
    this.#errors = errors;
  }

  get client(): KubeClient {
    return { request: this.#request.bind(this) } as unknown as KubeClient;
  }

  async #request(method: string, path: string, { body, contentType }: RequestOptions): Promise<unknown> {
    this.#running += 1;
    this.atOnce = Math.max(this.atOnce, this.#running);
    await new Promise((resolve) => setImmediate(resolve));
    this.#running -= 1;
    this.asked.add(`${method} ${contentType}`);
    const node = path.replace('/api/v1/nodes/', '');
    const status = this.#errors[node];
    if (status !== undefined) throw new KubeError(status, 'Forbidden', `no: ${status}`);
    const { metadata } = body as { metadata: { annotations: Record<string, string | null> } };
    this.annotations.set(node, metadata.annotations['multinic.io/paused']!);
    return {};
  }
}

test('all Nodes get the annotation, some at a time, and lose it again', async () => {
  const cluster = new Cluster();
  expect(await setManyPausedByPerson(cluster.client, NODES, true)).toEqual([]);
  expect([...cluster.annotations]).toEqual(NODES.map((node) => [node, 'true']));
  expect(cluster.atOnce).toBe(8);
  expect([...cluster.asked]).toEqual(['PATCH application/merge-patch+json']);
  await setManyPausedByPerson(cluster.client, NODES, false);
  expect(new Set(cluster.annotations.values())).toEqual(new Set([null]));
});

test('a Node that is gone meanwhile stops nothing', async () => {
  const cluster = new Cluster({ w3: 404 });
  expect(await setManyPausedByPerson(cluster.client, NODES, true)).toEqual(['w3']);
  expect(cluster.annotations.size).toBe(19);
});

test('an error says how many are done, and that the rest comes with the next try', async () => {
  const cluster = new Cluster({ w9: 500 });
  await expect(setManyPausedByPerson(cluster.client, NODES, true)).rejects.toThrow(
    '15 of 20 nodes are paused: run the command again (no: 500)',
  );
  expect(cluster.annotations.size).toBe(15);
  const { client } = new Cluster({ w1: 500 });
  await expect(setManyPausedByPerson(client, ['w0', 'w1'], false)).rejects.toThrow(
    '1 of 2 nodes is resumed: run the command again (no: 500)',
  );
});

function refused(command: string): object {
  return { code: 'UseKubectl', message: expect.stringContaining(`kubectl annotate node ${command}`) };
}

test('who may not patch Nodes is told the command of kubectl', async () => {
  const { client } = new Cluster(Object.fromEntries(NODES.map((node) => [node, 403])));
  await expect(setManyPausedByPerson(client, NODES, true)).rejects.toMatchObject(
    refused('--all --overwrite multinic.io/paused=true'),
  );
  await expect(setManyPausedByPerson(client, ['w1'], false)).rejects.toMatchObject(
    refused('w1 multinic.io/paused-'),
  );
  await expect(setPausedByPerson(client, { node: 'w1', paused: true })).rejects.toMatchObject(
    refused('w1 multinic.io/paused=true'),
  );
});
