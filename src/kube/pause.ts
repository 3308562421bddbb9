// Pauses nodes by a person's own right to annotate Nodes, which the controller must not have.

import { ANNOTATIONS } from '../api/annotations.ts';
import { MultinicError } from '../api/errors.ts';
import { plural } from '../network/text.ts';
import { hasStatus, MERGE_PATCH, type KubeClient } from './client.ts';

/** Number of simultaneous requests. Thousands of Nodes then take seconds. */
const AT_ONCE = 8;

/**
 * The kubectl command with the same effect.
 * @param nodes several: the command is for all Nodes
 */
export function kubectlCommand(nodes: readonly string[], paused: boolean): string {
  const [node, ...more] = nodes;
  const which = more.length === 0 ? node : '--all --overwrite';
  return `kubectl annotate node ${which} ${ANNOTATIONS.paused.key}${paused ? '=true' : '-'}`;
}

/** @throws MultinicError `UseKubectl` if the person may not patch the Node */
export async function setPausedByPerson(
  client: KubeClient,
  { node, paused }: { readonly node: string; readonly paused: boolean },
): Promise<void> {
  await annotate(client, node, paused).catch((error: unknown) => refuse(error, [node], paused));
}

/**
 * Pauses or resumes Nodes, a few at a time.
 * @returns the Nodes that no longer exist
 * @throws MultinicError as the API server refused a Node, with the number of Nodes that were changed; `UseKubectl`
 */
export async function setManyPausedByPerson(
  client: KubeClient,
  nodes: readonly string[],
  paused: boolean,
): Promise<readonly string[]> {
  const gone: string[] = [];
  let done = 0;
  const one = async (node: string): Promise<void> => {
    try {
      await annotate(client, node, paused);
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
      gone.push(node);
    }
    done += 1;
  };
  for (let start = 0; start < nodes.length; start += AT_ONCE) {
    const ended = await Promise.allSettled(nodes.slice(start, start + AT_ONCE).map(one));
    const failed = ended.find((each) => each.status === 'rejected');
    if (failed !== undefined) breakOff(failed.reason, nodes, paused, done);
  }
  return gone;
}

async function annotate(client: KubeClient, node: string, paused: boolean): Promise<void> {
  const body = { metadata: { annotations: { [ANNOTATIONS.paused.key]: paused ? 'true' : null } } };
  await client.request('PATCH', `/api/v1/nodes/${encodeURIComponent(node)}`, {
    body,
    contentType: MERGE_PATCH,
  });
}

/**
 * Throws the reason why not all Nodes were changed.
 * @param done number of changed Nodes
 */
function breakOff(cause: unknown, nodes: readonly string[], paused: boolean, done: number): never {
  if (hasStatus(cause, 403) || !(cause instanceof MultinicError)) refuse(cause, nodes, paused);
  const what = `${done} of ${plural(nodes.length, 'node')} ${done === 1 ? 'is' : 'are'} ${paused ? 'paused' : 'resumed'}`;
  throw new MultinicError(cause.code, `${what}: run the command again (${cause.message})`, { cause });
}

function refuse(cause: unknown, nodes: readonly string[], paused: boolean): never {
  if (!hasStatus(cause, 403)) throw cause;
  throw new MultinicError(
    'UseKubectl',
    `you have no right to patch Nodes: ask a person with this right to run ${kubectlCommand(nodes, paused)}`,
    { cause },
  );
}
