// A pod for people on a node, with the rights of an agent and its view of the host. The pod ends by itself.

import type { V1Pod } from '@kubernetes/client-node';
import { setTimeout as pause } from 'node:timers/promises';
import { MultinicError } from '../api/errors.ts';
import { hasStatus, type KubeClient } from './client.ts';
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
export async function startShell({ client, namespace, node, timeoutMs }: ShellOptions): Promise<string> {
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

/** Reads what the controller gives its agents. */
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
