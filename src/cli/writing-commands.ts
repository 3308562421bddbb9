// Commands that ask the controller for something.

import { Option, type Command } from 'commander';
import type { Confirmed } from '../controller/commands.ts';
import type { ManyMoved, Moved } from '../controller/many-branches.ts';
import { hasCode } from '../api/errors.ts';
import type { DriftEntry } from '../history/drifts.ts';
import type { NodeDescription } from '../history/node-description.ts';
import type { RendererKind } from '../network/node.ts';
import type { Api } from './api-client.ts';
import {
  change,
  dangerous,
  pathOf,
  postAsked,
  postOne,
  printOne,
  usage,
  viewsOf,
  type ChangeFlags,
} from './change.ts';
import { nodeNamed, withNode } from './node-name.ts';
import { addObserveCommand } from './observe-command.ts';
import { print, printObject } from './output.ts';
import { addPause } from './pause-command.ts';
import { completed } from './remedy.ts';

type Flags = ChangeFlags;

export function addWritingCommands(program: Command): void {
  addRollback(program);
  addRelease(program);
  addPause(program);
  addRetry(program);
  addObserveCommand(program);
  addAccept(program);
  addRerender(program);
  addConfirm(program);
}

interface RollbackFlags extends Flags {
  readonly to?: string;
  readonly change?: string;
}

function addRollback(program: Command): void {
  dangerous(
    program
      .command('rollback')
      .description(
        'go back to the network before, or to that of a commit; it holds until the CR changes the node',
      ),
    'do not ask, also where a node loses all its interfaces',
  )
    .argument('[node]')
    .option('--to <commit>', 'a commit of the node')
    .option('--change <commit>', 'a commit of main: all nodes that it changed and that did not move on since')
    .addHelpText(
      'after',
      '\nExamples:\n  multinic rollback k8s-worker-01\n  multinic rollback k8s-worker-01 --to 1a2b3c4\n  multinic rollback --change 9f8e7d6 --dry-run',
    )
    .action(async (node: string | undefined, flags: RollbackFlags) => {
      if ((node === undefined) === (flags.change === undefined))
        return usage('name a node, or a change with --change');
      return change(flags, (api) =>
        node === undefined ? rollBackChange(api, flags) : rollBack(api, node, flags),
      );
    });
}

async function rollBackChange(api: Api, flags: RollbackFlags): Promise<void> {
  const body = { change: flags.change, yes: flags.yes };
  await moved(flags, await postAsked<ManyMoved>(api, flags, '/rollback', body, { yes: true }));
}

async function rollBack(api: Api, name: string, flags: RollbackFlags): Promise<void> {
  const body = { to: flags.to, yes: flags.yes };
  const result = await withNode(name, viewsOf(api), (node) =>
    postAsked<Moved>(api, flags, `${pathOf(node)}/rollback`, body, { yes: true }),
  );
  if (result !== undefined) await rolledBack(api, flags, result);
}

/** Prints the new commit and its subject, which names the target and the change. */
async function rolledBack(api: Api, flags: Flags, result: Moved): Promise<void> {
  if (flags.output !== 'table') return printObject(flags.output, 'Moved', result, [result.node]);
  const { subject } = await api.call<NodeDescription>('GET', `${pathOf(result.node)}?at=${result.commit}`);
  const ours = `${result.node}: roll back to `;
  const effect = subject.startsWith(ours) ? ` to ${subject.slice(ours.length)}` : `: ${subject}`;
  print(`${result.node} rolled back${effect} (${result.commit.slice(0, 10)})`);
}

function addRelease(program: Command): void {
  dangerous(program.command('release').description('end the hold of a node: its CR decides again'))
    .argument('<node>')
    .addHelpText('after', '\nExample:\n  multinic release k8s-worker-01')
    .action(async (name: string, flags: Flags) =>
      change(flags, async (api) => {
        const result = await withNode(name, viewsOf(api), (node) =>
          postAsked<Moved>(api, flags, `${pathOf(node)}/release`, {}),
        );
        if (result !== undefined) await printOne(flags, result, 'released');
      }),
    );
}

function addRetry(program: Command): void {
  dangerous(program.command('retry').description('run the agent again now'))
    .argument('[node]')
    .option('--failed', 'on all nodes that failed')
    .addHelpText('after', '\nExamples:\n  multinic retry k8s-worker-01\n  multinic retry --failed')
    .action(async (name: string | undefined, flags: Flags & { failed?: true }) => {
      if ((name === undefined) === (flags.failed === undefined))
        return usage('name a node, or all that failed with --failed');
      return change(flags, async (api) => {
        if (name === undefined) return moved(flags, await postAsked<ManyMoved>(api, flags, '/retry', {}));
        const result = await withNode(name, viewsOf(api), (node) =>
          postOne<Moved>(api, flags, `${pathOf(node)}/retry`),
        );
        if (result !== undefined) await printOne(flags, result, 'to be run again');
      });
    });
}

function addAccept(program: Command): void {
  dangerous(
    program
      .command('accept')
      .description(
        'keep what somebody changed in the files of a host; it holds until the CR changes the node',
      ),
    'do not ask, also where the node loses all its interfaces',
  )
    .argument('<node>')
    .addHelpText(
      'after',
      '\nExamples:\n  multinic accept k8s-worker-01 --dry-run\n  multinic accept k8s-worker-01',
    )
    .action(async (name: string, flags: Flags) =>
      change(flags, async (api) => {
        const result = await withNode(name, viewsOf(api), async (node) => {
          // Sends the drift that the question showed, so that no later drift is accepted.
          const body = { drift: await driftOf(api, node), yes: flags.yes };
          return postAsked<Moved>(api, flags, `${pathOf(node)}/accept`, body, { yes: true });
        });
        if (result !== undefined) await printOne(flags, result, 'keeps what its host has');
      }),
    );
}

/** The commit of a node's drift; undefined: there is none, and the command prints why. */
async function driftOf(api: Api, node: string): Promise<string | undefined> {
  try {
    return (await api.call<DriftEntry[]>('GET', `${pathOf(node)}/drift`))[0]?.commit;
  } catch (error) {
    if (hasCode(error, 'NoSuchNode')) return undefined;
    throw error;
  }
}

function addRerender(program: Command): void {
  dangerous(
    program.command('rerender').description("write nodes' files with today's renderer, or with another one"),
  )
    .argument('[node...]', 'all nodes when none is named')
    .addOption(rendererOption())
    .addHelpText(
      'after',
      '\nExamples:\n  multinic rerender --dry-run\n  multinic rerender k8s-worker-03 --renderer keyfile',
    )
    .action(async (names: string[], flags: Flags & { renderer?: string }) =>
      change(flags, async (api) => {
        const views = names.length === 0 ? [] : (await viewsOf(api)()).nodes;
        const nodes = names.map((name) => nodeNamed(views, name));
        await moved(flags, await postAsked(api, flags, '/rerender', { nodes, renderer: flags.renderer }));
      }),
    );
}

function addConfirm(program: Command): void {
  dangerous(
    program
      .command('confirm')
      .description('let a stopped action go on: removals, a change, repairs, or the takeover of a host'),
  )
    .argument('[target]', 'a node, a commit of main, or the word repairs; none: the removals that wait now')
    .addHelpText(
      'after',
      '\nExamples:\n  multinic confirm                 the removals that status shows as stopped\n  multinic confirm 9f8e7d6         a change that stopped because nodes failed\n  multinic confirm repairs         repairs that stopped because many nodes drifted\n  multinic confirm k8s-worker-01   a host that another store configured',
    )
    .action(async (given: string | undefined, flags: Flags) =>
      change(flags, async (api) => {
        const target = given === undefined ? undefined : await nodeOrCommit(api, given);
        const result = await postAsked<Confirmed>(api, flags, '/confirm', { target });
        if (result === undefined) return;
        if (flags.output !== 'table') await printObject(flags.output, 'Confirmed', result, result.nodes);
        else print(`confirmed ${result.confirmed.slice(0, 40)}`);
      }),
    );
}

/** The word `repairs`, a commit, or the node with this name. */
async function nodeOrCommit(api: Api, text: string): Promise<string> {
  if (text === 'repairs' || /^[0-9a-f]{4,40}$/.test(text)) return text;
  const { nodes } = await viewsOf(api)();
  return nodeNamed(nodes, text);
}

/** The values of RENDERER_KINDS, without loading the renderers. */
export function rendererOption(): Option {
  return new Option('--renderer <kind>', 'how files are written').choices([
    'netplan',
    'ifcfg',
    'keyfile',
  ] satisfies RendererKind[]);
}

/** @param result undefined: a dry run, which has printed what it found */
async function moved(flags: Flags, result: ManyMoved | undefined): Promise<void> {
  if (result === undefined) return;
  if (flags.output !== 'table') return printObject(flags.output, 'ManyMoved', result, namesOf(result.moved));
  for (const { node, commit } of result.moved) print(`${node}  ${commit.slice(0, 10)}`);
  for (const { node, reason } of result.skipped) print(`${node}  skipped: ${completed(reason)}`);
}

function namesOf(nodes: readonly { readonly node: string }[]): string[] {
  return nodes.map(({ node }) => node);
}
