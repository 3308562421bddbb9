import { beforeEach, expect, test } from 'vitest';
import { FakeClient } from '../../test/support/kube.ts';
import { startShell } from './shell-pod.ts';

const NODES = '/api/v1/nodes';
const PODS = '/api/v1/namespaces/multinic-system/pods';
const CONTROLLER = '/apis/apps/v1/namespaces/multinic-system/deployments/multinic-agent-controller';
const ID = '0C497169-a104-4448-afde-f27b79fca904';

let api: FakeClient;
beforeEach(() => {
  api = new FakeClient()
    .on(`GET ${NODES}/worker-1`, { metadata: { name: 'worker-1' } })
    .on(`GET ${NODES}`, {
      items: [{ metadata: { name: 'worker-1' }, status: { nodeInfo: { systemUUID: ID } } }],
    })
    .on('GET /apis/multinic.io/v1/multinicbizconfigs', {
      items: [
        { spec: { nodeConfigs: [{ attachedNodeId: ID.toLowerCase(), attachedNodeName: 'k8s-worker-01' }] } },
      ],
    })
    .on(`GET ${CONTROLLER}`, {
      spec: { template: { spec: { containers: [{ image: 'I', imagePullPolicy: 'P' }] } } },
    })
    .on(`POST ${PODS}`, { metadata: { name: 'shell-1' } })
    .on(`GET ${PODS}/shell-1`, { status: { phase: 'Running' } });
  Object.assign(api, { serverVersion: async () => ({ major: 1, minor: 35 }) });
});

function start(node: string): Promise<string> {
  return startShell({ client: api.client, namespace: 'multinic-system', node, timeoutMs: 1000 });
}

test.each(['worker-1', 'node/worker-1', ID.toLowerCase(), 'k8s-worker-01'])('starts on %s', async (name) => {
  expect(await start(name)).toBe('shell-1');
  expect(JSON.stringify(api.by('POST')[0]!.body)).toContain('"values":["worker-1"]');
});

test('says which name it does not know, and keeps the cause of other errors', async () => {
  await expect(start('nobody')).rejects.toMatchObject({ code: 'NoSuchNode' });
  api.on(`GET ${CONTROLLER}`, 403);
  await expect(start('worker-1')).rejects.toMatchObject({ status: 403 });
  api.on(`GET ${CONTROLLER}`, 404);
  await expect(start('worker-1')).rejects.toMatchObject({ code: 'NoController' });
});
