// Our CRDs in a cluster: applied by the server, so that an upgrade takes over what an earlier release made.

import { setTimeout as pause } from 'node:timers/promises';
import { MultinicError } from '../api/errors.ts';
import { crd } from '../api/crd.ts';
import type { Group } from '../api/api-groups.ts';
import { APPLY_PATCH, hasStatus, type KubeClient } from './client.ts';

const FIELD_MANAGER = 'multinic-crds';
const RETRY_MS = 500;

interface Definition {
  readonly metadata: { readonly name: string };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
  };
}

/**
 * Applies the CRDs of some groups and waits until the API serves them. Idempotent.
 * @returns their names
 * @throws MultinicError `CrdsNotEstablished`, KubeError
 */
export async function applyCrds(
  client: KubeClient,
  groups: readonly Group[],
  timeoutMs: number,
): Promise<string[]> {
  const deadline = performance.now() + timeoutMs;
  const wanted = groups.map((group) => crd(group, { alone: groups.length === 1 }) as Definition);
  for (const definition of wanted) {
    const path = pathOf(definition.metadata.name);
    for (;;) {
      const why = await notEstablished(client, path, definition);
      if (why === undefined) break;
      if (performance.now() > deadline) {
        throw new MultinicError(
          'CrdsNotEstablished',
          `the API does not serve ${definition.metadata.name} after ${timeoutMs / 1000} s (${why}): see kubectl describe crd`,
        );
      }
      await pause(RETRY_MS);
    }
  }
  return wanted.map((definition) => definition.metadata.name);
}

/** Applies a CRD. @returns the reason why the API does not serve it yet; undefined: it does */
async function notEstablished(
  client: KubeClient,
  path: string,
  definition: object,
): Promise<string | undefined> {
  try {
    const { status } = await client.request<Definition>('PATCH', path, {
      query: { fieldManager: FIELD_MANAGER, force: 'true' },
      body: definition,
      contentType: APPLY_PATCH,
    });
    const bad = status?.conditions?.find(
      ({ type, status: holds }) => type === 'NamesAccepted' && holds === 'False',
    );
    const served = status?.conditions?.some(
      ({ type, status: holds }) => type === 'Established' && holds === 'True',
    );
    return served === true ? undefined : (bad?.message ?? 'it is not established');
  } catch (error) {
    // The API server is starting or overloaded: it is asked again until the deadline.
    if (hasStatus(error, 0, 409, 429, 500, 502, 503, 504)) return error.message;
    throw error;
  }
}

function pathOf(name: string): string {
  return `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;
}
