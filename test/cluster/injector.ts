// A mutating webhook that puts a container into the pods of agents, as the injector of a mesh does: the first one, which
// never ends.
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { V1Pod } from '@kubernetes/client-node';
import { selfSigned } from '../support/certificate.ts';
import { PAUSE_IMAGE } from './image.ts';
import type { Multinic } from './install.ts';

const NAME = 'multinic-test-injector';

interface Review {
  readonly apiVersion: string;
  readonly kind: string;
  readonly request: { readonly uid: string; readonly object: V1Pod };
}

const SIDECAR = { name: 'proxy', image: PAUSE_IMAGE, imagePullPolicy: 'Never' };

/** @param node whose agents get the container */
export async function startInjector(multinic: Multinic, node: string): Promise<AsyncDisposable> {
  // This machine, as the API server reaches it from its own network.
  const address = multinic.cluster.lab.slot.address('0.254');
  const tls = await selfSigned(address);
  const server = createServer(tls, (request, response) => {
    response.setHeader('content-type', 'application/json');
    void review(request, node).then((answer) => response.end(answer));
  });
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await multinic.apply({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: NAME },
    webhooks: [
      {
        name: 'sidecar.multinic.test',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        objectSelector: { matchLabels: { 'app.kubernetes.io/component': 'agent' } },
        clientConfig: {
          url: `https://${address}:${port}/`,
          caBundle: Buffer.from(tls.cert).toString('base64'),
        },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }],
      },
    ],
  });
  return {
    [Symbol.asyncDispose]: async () => {
      await multinic.kubectl('delete', 'mutatingwebhookconfiguration', NAME);
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function review(request: IncomingMessage, node: string): Promise<string> {
  const { apiVersion, kind, request: asked } = JSON.parse(await text(request)) as Review;
  const patch = JSON.stringify([{ op: 'add', path: '/spec/containers/0', value: SIDECAR }]);
  const isOurs = asked.object.metadata?.annotations?.['multinic.io/node'] === node;
  const response = {
    uid: asked.uid,
    allowed: true,
    ...(isOurs && { patchType: 'JSONPatch', patch: Buffer.from(patch).toString('base64') }),
  };
  return JSON.stringify({ apiVersion, kind, response });
}
