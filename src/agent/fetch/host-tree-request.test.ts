import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { oid } from '../../../test/support/oid.ts';
import { HOST_TREE_BODY_MAX_BYTES, HostTree } from '../../api/observation.ts';
import { sendHostTree } from './host-tree-request.ts';

const TREE: HostTree = {
  version: 1,
  node: 'worker-1',
  job: 'multinic-observe-worker-1-20260101000000',
  commit: oid('1'.repeat(40)),
  digest: 'd'.repeat(64),
  tree: oid('e'.repeat(40)),
  files: { 'etc/netplan/90-multinic0.yaml': 'network: {}\n', 'etc/netplan/91-multinic1.yaml': null },
};

let server: Server | undefined;
afterEach(() => server?.close());

interface Asked {
  readonly request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>;
  readonly body: string;
}

/** A store that answers with this status, and the requests that it got. */
async function storeOf(status: number): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  server = createServer((request, response) => {
    void (async () => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      const { method, url, headers } = request;
      asked.push({ request: { method, url, headers }, body });
      response.writeHead(status).end(status === 204 ? '' : '{"message":"not yours"}');
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/git`, asked };
}

const send = (url: string, tree = TREE): Promise<void> =>
  sendHostTree({ job: { url, node: 'worker-1' }, token: 'token-1', ca: undefined }, tree);

test('sends the files to the API beside the repository, with the token of the node', async () => {
  const { url, asked } = await storeOf(204);
  await send(url);
  expect(asked).toMatchObject([
    {
      request: {
        method: 'PUT',
        url: '/api/v1/nodes/worker-1/host-tree',
        headers: { authorization: 'Bearer token-1', 'content-type': 'application/json' },
      },
    },
  ]);
  expect(HostTree.parse(JSON.parse(asked[0]?.body ?? ''))).toEqual(TREE);
});

test.each([403, 404, 500])('an answer %i is an error that quotes the store', async (status) => {
  const { url } = await storeOf(status);
  await expect(send(url)).rejects.toMatchObject({
    code: 'StoreUnreachable',
    message: expect.stringContaining(`answers ${status} to the files of the host ({"message":"not yours"})`),
  });
});

test('nobody there is an error', async () => {
  await expect(send('http://127.0.0.1:1/git')).rejects.toMatchObject({ code: 'StoreUnreachable' });
});

test('files that make a larger body than the store takes are not sent', async () => {
  const { url, asked } = await storeOf(204);
  const files = { 'etc/netplan/90-multinic0.yaml': '\u0001'.repeat(HOST_TREE_BODY_MAX_BYTES / 6) };
  await expect(send(url, { ...TREE, files })).rejects.toMatchObject({ code: 'TreeTooLarge' });
  expect(asked).toEqual([]);
});
