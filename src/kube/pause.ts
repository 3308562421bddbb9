// Pauses a node by a person's own right to annotate Nodes, which the controller must not have.

import { ANNOTATIONS } from '../api/annotations.ts';
import { MultinicError } from '../api/errors.ts';
import { hasStatus, MERGE_PATCH, type KubeClient } from './client.ts';

/** @throws MultinicError `UseKubectl` if the person may not patch the Node */
export async function setPausedByPerson(
  client: KubeClient,
  { node, paused }: { readonly node: string; readonly paused: boolean },
): Promise<void> {
  const body = { metadata: { annotations: { [ANNOTATIONS.paused.key]: paused ? 'true' : null } } };
  try {
    await client.request('PATCH', `/api/v1/nodes/${encodeURIComponent(node)}`, {
      body,
      contentType: MERGE_PATCH,
    });
  } catch (cause) {
    if (!hasStatus(cause, 403)) throw cause;
    const value = paused ? `${ANNOTATIONS.paused.key}=true` : `${ANNOTATIONS.paused.key}-`;
    throw new MultinicError(
      'UseKubectl',
      `you have no right to patch Nodes: ask a person with this right to run kubectl annotate node ${node} ${value}`,
      { cause },
    );
  }
}
