// A pod for people on a node, with the rights of an agent and its view of the host. The pod ends by itself.

import type { V1Node, V1Pod } from '@kubernetes/client-node';
import { setTimeout as pause } from 'node:timers/promises';
import { MultinicError } from '../api/errors.ts';
import { GROUPS, PLURAL } from '../api/api-groups.ts';
import { found, hasStatus, type KubeClient } from './client.ts';
import { shellPod, type ManifestOptions } from './job-manifest.ts';
import { readPodSettings } from './pod-settings.ts';

export interface ShellOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly node: string;
  readonly timeoutMs: number;
}

const POLL_MS = 300;

/**
 * Starts a shell pod with the image that the controller gives its agents.
 * @returns the pod's name, once it runs
 * @throws MultinicError `NoController`, `ShellNotStarted`, KubeError
 */
export async function startShell(options: ShellOptions): Promise<string> {
  const { client, namespace, timeoutMs } = options;
  const node = await nodeNamed(client, options.node);
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  const body = shellPod(node, {
    namespace,
    ...(await agentsOf(client, namespace)),
    serverVersion: await client.serverVersion(),
  });
  const made = await client.request<V1Pod>('POST', pods, { body });
  const name = made.metadata!.name!;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const { status } = await client.request<V1Pod>('GET', `${pods}/${name}`);
    if (status?.phase === 'Running') return name;
    if (performance.now() > deadline || status?.phase === 'Failed') {
      const why = status?.containerStatuses?.[0]?.state?.waiting?.message ?? status?.conditions?.[0]?.message;
      await client.request('DELETE', `${pods}/${name}`);
      throw new MultinicError(
        'ShellNotStarted',
        `the pod on ${node} does not run (${why ?? status?.phase ?? 'no word of it'}): see whether the node is there and Ready`,
      );
    }
    await pause(POLL_MS);
  }
}

/** Kubernetes' name of a node by any of its names. @throws MultinicError `NoSuchNode` */
async function nodeNamed(client: KubeClient, text: string): Promise<string> {
  const name = text.replace(/^node\//, '');
  const path = `/api/v1/nodes/${encodeURIComponent(name)}`;
  if ((await found(client.request<V1Node>('GET', path))) !== undefined) return name;
  const { items } = await client.request<{ items: V1Node[] }>('GET', '/api/v1/nodes');
  const ids = new Set([name, ...(await entriesNamed(client, name))].map((id) => id.toLowerCase()));
  const node = items.find(
    ({ metadata, status }) =>
      ids.has(status?.nodeInfo?.systemUUID.toLowerCase() ?? '') || ids.has(metadata?.name ?? ''),
  );
  if (node?.metadata?.name !== undefined) return node.metadata.name;
  throw new MultinicError('NoSuchNode', `there is no node ${name}: kubectl get nodes lists them all`, {
    data: { node: name },
  });
}

/** IDs and names of the entries of CRs that have a name. A group that the API does not serve has none. */
async function entriesNamed(client: KubeClient, name: string): Promise<string[]> {
  const lists = GROUPS.map((group) =>
    found(client.request<{ items: ListedEntries[] }>('GET', `/apis/${group}/v1/${PLURAL}`)),
  );
  const configs = (await Promise.all(lists)).flatMap((list) => list?.items ?? []);
  return configs
    .flatMap(({ spec }) => spec?.nodeConfigs ?? [])
    .filter((entry) => [entry.attachedNodeId, entry.attachedNodeName].includes(name))
    .flatMap((entry) => [entry.attachedNodeId ?? [], entry.attachedNodeName ?? []].flat());
}

interface ListedEntries {
  readonly spec?: {
    readonly nodeConfigs?: readonly {
      readonly attachedNodeId?: string;
      readonly attachedNodeName?: string;
    }[];
  };
}

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly image: string;
          readonly imagePullPolicy: string;
          readonly args?: readonly string[];
          readonly env?: readonly { readonly name: string; readonly value?: string }[];
        }[];
        readonly imagePullSecrets?: readonly { readonly name: string }[];
      };
    };
  };
}

/** Reads the settings that the controller gives its agents. */
async function agentsOf(
  client: KubeClient,
  namespace: string,
): Promise<Omit<ManifestOptions, 'namespace' | 'serverVersion'>> {
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/multinic-agent-controller`;
  try {
    const { spec } = await client.request<Deployment>('GET', path);
    const { containers, imagePullSecrets = [] } = spec.template.spec;
    const { image, imagePullPolicy, env = [], args = [] } = containers[0]!;
    const value = (name: string): string | undefined => env.find((each) => each.name === name)?.value;
    const settings = args.find((each) => each.startsWith(SETTINGS))?.slice(SETTINGS.length);
    return {
      image: value('AGENT_IMAGE') ?? image,
      imagePullPolicy: value('AGENT_IMAGE_PULL_POLICY') ?? imagePullPolicy,
      imagePullSecrets: imagePullSecrets.map(({ name }) => name),
      settings: settings === undefined ? {} : readPodSettings(settings),
    };
  } catch (cause) {
    if (!hasStatus(cause, 404)) throw cause;
    throw new MultinicError(
      'NoController',
      `there is no controller in namespace ${namespace}: name its namespace with --namespace`,
      { cause },
    );
  }
}

const SETTINGS = '--agent-pod=';
