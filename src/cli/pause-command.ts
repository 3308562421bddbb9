// `multinic pause` and `multinic resume`, of a node or of all nodes.

import type { Command } from 'commander';
import type { Preview } from '../controller/change-preview.ts';
import type { ManyPaused } from '../controller/commands.ts';
import type { Moved } from '../controller/many-branches.ts';
import type { KubeClient } from '../kube/client.ts';
import { plural } from '../network/text.ts';
import type { Api } from './api-client.ts';
import {
  change,
  dangerous,
  isForKubectl,
  pathOf,
  post,
  postAsked,
  postOne,
  printOne,
  usage,
  viewsOf,
  type ChangeFlags,
} from './change.ts';
import { nodeNamed, withNode } from './node-name.ts';
import { print, printObject } from './output.ts';
import { completed } from './remedy.ts';

/** One of the commands `pause` and `resume`. */
interface Switch {
  readonly name: 'pause' | 'resume';
  readonly what: string;
  readonly done: 'paused' | 'resumed';
}

const SWITCHES: readonly Switch[] = [
  { name: 'pause', what: 'stop applying on a node, or on all nodes; commits go on', done: 'paused' },
  { name: 'resume', what: 'apply again on a paused node, or on all nodes', done: 'resumed' },
];

type Flags = ChangeFlags & { readonly all?: true };

export function addPause(program: Command): void {
  for (const each of SWITCHES) {
    dangerous(program.command(each.name).description(each.what))
      .argument('[node]')
      .option('--all', 'all nodes that there are now')
      .addHelpText(
        'after',
        `\nExamples:\n  multinic ${each.name} k8s-worker-01\n  multinic ${each.name} --all --dry-run`,
      )
      .action(async (given: string | undefined, flags: Flags) => {
        if ((given === undefined) === (flags.all === undefined))
          return usage('name a node, or all of them with --all');
        return change(flags, (api) =>
          given === undefined ? switchAll(api, flags, each) : switchOne(api, flags, each, given),
        );
      });
  }
}

/**
 * Pauses or resumes a node. In a cluster the person's own right to annotate Nodes counts, because the controller has
 * none.
 */
async function switchOne(api: Api, flags: Flags, { name, done }: Switch, given: string): Promise<void> {
  let node = given;
  let result: Moved | undefined;
  try {
    result = await withNode(given, viewsOf(api), (named) => {
      node = named;
      return postOne<Moved | undefined>(api, flags, `${pathOf(named)}/${name}`);
    });
  } catch (error) {
    if (!isForKubectl(error) || api.client === undefined) throw error;
    node = nodeNamed((await viewsOf(api)()).nodes, given);
    const { setPausedByPerson } = await import('../kube/pause.ts');
    await setPausedByPerson(api.client, { node, paused: name === 'pause' });
  }
  if (flags.dryRun) return;
  await printOne(flags, result ?? { node }, done);
}

/** Pauses or resumes all nodes in the same way. */
export async function switchAll(api: Api, flags: Flags, { name, done }: Switch): Promise<void> {
  const result = await postAsked<ManyPaused>(api, flags, `/${name}`, {}).catch((error: unknown) => {
    if (!isForKubectl(error) || api.client === undefined) throw error;
    return switchAllByPerson(api, api.client, flags, name);
  });
  if (result === undefined) return;
  if (flags.output !== 'table') {
    const nodes = result.moved.map(({ node }) => node);
    return printObject(flags.output, 'ManyMoved', result, nodes);
  }
  print(`${plural(result.moved.length, 'node')} ${done}`);
  for (const { node, reason } of result.skipped) print(`${node}  skipped: ${completed(reason)}`);
}

async function switchAllByPerson(
  api: Api,
  client: KubeClient,
  flags: Flags,
  name: Switch['name'],
): Promise<ManyPaused> {
  const { nodes, skipped } = await post<Preview>(api, flags, `/${name}`, { dryRun: true });
  const { setManyPausedByPerson } = await import('../kube/pause.ts');
  const names = nodes.map(({ node }) => node);
  const gone = await setManyPausedByPerson(client, names, name === 'pause');
  const moved = names.filter((node) => !gone.includes(node)).map((node) => ({ node }));
  return { moved, skipped: [...skipped, ...gone.map((node) => ({ node, reason: 'is gone' }))] };
}
