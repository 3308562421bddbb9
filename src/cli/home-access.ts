// Finds the controller of a home by the file that it writes while it runs.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MultinicError } from '../api/errors.ts';
import { endpointFile, type Endpoint } from '../controller/endpoint.ts';

export interface EndpointAccess {
  readonly url: string;
  readonly token: string;
  /** Trusts the CA of the file. */
  readonly fetch?: typeof globalThis.fetch;
}

/** @throws MultinicError `NoController` */
export async function readEndpoint(dir: string, flags: { readonly dir?: string }): Promise<EndpointAccess> {
  let endpoint: Endpoint;
  try {
    endpoint = JSON.parse(await readFile(endpointFile(dir), 'utf8')) as Endpoint;
    if (endpoint.leader === undefined) {
      // The bundle of a CommonJS package has no names beside the default.
      const { parse } = (await import('yaml')).default;
      const tokens = parse(await readFile(join(dir, 'tokens.yaml'), 'utf8')) as { operator: string };
      return { url: endpoint.url, token: tokens.operator };
    }
  } catch (cause) {
    throw noController(dir, flags.dir, cause);
  }
  return inPod(endpoint.url, endpoint.leader);
}

async function inPod(url: string, leader: NonNullable<Endpoint['leader']>): Promise<EndpointAccess> {
  const { pod, namespace, token, ca } = leader;
  const here = process.env['POD_NAME'];
  if (here !== undefined && here !== pod) {
    throw new MultinicError(
      'NoController',
      `the controller that leads is in pod ${pod}: run the command there, with kubectl exec -n ${namespace} ${pod} -- multinic`,
    );
  }
  const { trustingFetch } = await import('./trusting-fetch.ts');
  return { url, token, fetch: trustingFetch(ca) };
}

function noController(dir: string, named: string | undefined, cause: unknown): MultinicError {
  // Without this check a person in a controller's pod would be told to start a controller, which would take the store
  // from the running one.
  if (process.env['POD_NAME'] !== undefined) {
    return new MultinicError(
      'NoController',
      `no controller leads on ${dir}: see kubectl logs of this pod, and kubectl get pods -l multinic.io/leader=true`,
      { cause },
    );
  }
  return new MultinicError(
    'NoController',
    `no controller runs on ${dir}: start it with ${startCommand(dir, named)}, name another home with -C, or a cluster with --cluster`,
    { cause },
  );
}

/** The command that starts a controller there. A folder that is no home is made from the demo, or a new one is. */
export function startCommand(dir: string, named = '.'): string {
  if (existsSync(join(dir, 'inventory.yaml'))) return `multinic local ${named}`;
  return `multinic local ${existsSync(dir) ? 'DIR' : named} --init fixtures/local`;
}
