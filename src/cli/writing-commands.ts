// Commands that ask the controller for something.

import { Option, type Command } from 'commander';
import { userInfo } from 'node:os';
import { hasCode } from '../api/errors.ts';
import type { ManyMoved, Moved } from '../controller/many-branches.ts';
import type { RendererKind } from '../network/node.ts';
import { isElsewhere, openApi, withConnection, type ConnectionFlags } from './target.ts';
import type { NodeDescription } from '../history/timeline.ts';
import { completed } from './remedy.ts';
import { outputOption, print, printJson, withProgress, type Format } from './output.ts';
import { EXIT } from '../api/exit-codes.ts';

interface Flags extends ConnectionFlags {
  readonly output: Format;
}

export function addWritingCommands(program: Command): void {
  writing(
    program
      .command('rollback')
      .description(
        'go back to the network before, or to that of a commit; it holds until the CR changes the node',
      ),
  )
    .argument('[node]')
    .option('--to <commit>', 'a commit of the node')
    .option('--change <commit>', 'a commit of main: all nodes that it changed and that did not move on since')
    .option('--yes', 'also where a node loses all its interfaces')
    .addHelpText(
      'after',
      '\nExamples:\n  multinic rollback k8s-worker-01\n  multinic rollback k8s-worker-01 --to 1a2b3c4\n  multinic rollback --change 9f8e7d6',
    )
    .action(rollBack);

  for (const { name, what, done } of [
    { name: 'release', what: 'end the hold of a node: its CR decides again', done: 'released' },
    { name: 'pause', what: 'stop applying on a node; commits go on', done: 'paused' },
    { name: 'resume', what: 'apply again on a paused node', done: 'resumed' },
  ]) {
    writing(program.command(name).description(what))
      .argument('<node>')
      .addHelpText('after', `\nExample:\n  multinic ${name} k8s-worker-01`)
      .action(async (node: string, flags: Flags) => {
        const result = await post<Moved | undefined>(flags, `/nodes/${encodeURIComponent(node)}/${name}`, {});
        one(flags, result ?? { node }, done);
      });
  }

  addRetry(program);

  writing(
    program.command('rerender').description("write nodes' files with today's renderer, or with another one"),
  )
    .argument('[node...]', 'all nodes when none is named')
    .addOption(rendererOption())
    .addHelpText(
      'after',
      '\nExamples:\n  multinic rerender\n  multinic rerender k8s-worker-03 --renderer keyfile',
    )
    .action(async (nodes: string[], flags: Flags & { renderer?: string }) =>
      moved(flags, await post(flags, '/rerender', { nodes, renderer: flags.renderer })),
    );

  writing(
    program
      .command('confirm')
      .description(
        'say that something is meant: removals that were stopped, a change that was stopped, or the takeover of a host',
      ),
  )
    .argument('[target]', 'a node, or a commit of main; none: the removals that wait now')
    .addHelpText(
      'after',
      '\nExamples:\n  multinic confirm                 the removals that status shows as stopped\n  multinic confirm 9f8e7d6         a change that stopped because nodes failed\n  multinic confirm k8s-worker-01   a host that another store configured',
    )
    .action(async (target: string | undefined, flags: Flags) => {
      const result = await post<{ confirmed: string }>(flags, '/confirm', { target });
      if (flags.output === 'json') printJson(result);
      else print(`confirmed ${result.confirmed.slice(0, 40)}`);
    });
}

interface RollbackFlags extends Flags {
  readonly to?: string;
  readonly change?: string;
  readonly yes?: true;
}

async function rollBack(node: string | undefined, flags: RollbackFlags): Promise<void> {
  const { to, change, yes } = flags;
  if ((node === undefined) === (change === undefined)) return usage('name a node, or a change with --change');
  if (change !== undefined) return moved(flags, await post(flags, '/rollback', { change, yes }));
  const path = `/nodes/${encodeURIComponent(node!)}`;
  await rolledBack(flags, await postOrAsk(flags, `${path}/rollback`, { to, yes }), path);
}

/**
 * Posts a rollback. If the rollback takes all interfaces away, asks the person on a terminal, and fails without one.
 */
async function postOrAsk(flags: RollbackFlags, path: string, body: object): Promise<Moved> {
  try {
    return await post(flags, path, body);
  } catch (error) {
    if (!hasCode(error, 'TakesAllInterfaces') || !(await askWhetherToGoOn(error))) throw error;
    return post(flags, path, { ...body, yes: true });
  }
}

async function askWhetherToGoOn({ message }: Error): Promise<boolean> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) return false;
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${message.replace(/: add --yes.*$/, '')}. Go on? [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

function addRetry(program: Command): void {
  writing(program.command('retry').description('run the agent again now'))
    .argument('[node]')
    .option('--failed', 'on all nodes that failed')
    .addHelpText('after', '\nExamples:\n  multinic retry k8s-worker-01\n  multinic retry --failed')
    .action(async (node: string | undefined, flags: Flags & { failed?: true }) => {
      if ((node === undefined) === (flags.failed === undefined))
        return usage('name a node, or all that failed with --failed');
      if (node === undefined) return moved(flags, await post(flags, '/retry', {}));
      one(flags, await post<Moved>(flags, `/nodes/${encodeURIComponent(node)}/retry`, {}), 'to be run again');
    });
}

/** The values of RENDERER_KINDS, without loading the renderers. */
export function rendererOption(): Option {
  return new Option('--renderer <kind>', 'how files are written').choices([
    'netplan',
    'ifcfg',
    'keyfile',
  ] satisfies RendererKind[]);
}

function writing(command: Command): Command {
  return withConnection(command).addOption(outputOption());
}

async function post<T>(flags: ConnectionFlags, path: string, body: object): Promise<T> {
  const api = await openApi(flags);
  try {
    const call = api.call<T>('POST', path, { ...body, author: await whoAmI(flags) });
    return await withProgress('the controller is at it', call);
  } finally {
    await api.close();
  }
}

/**
 * The author of a commit, from git's configuration. An author is a claim; the controller adds the authenticated account.
 * Without a name in git, the local user is the author in a local home; elsewhere the account says more.
 */
async function whoAmI(flags: ConnectionFlags): Promise<{ name: string; email: string } | undefined> {
  const { execa } = await import('execa');
  const [name, email] = await Promise.all(
    ['user.name', 'user.email'].map(
      async (key) => (await execa('git', ['config', '--get', key], { reject: false })).stdout ?? '',
    ),
  );
  if (!name && isElsewhere(flags)) return undefined;
  return { name: name || localUser(), email: email ?? '' };
}

function localUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a user that is not in /etc/passwd.
    return 'unknown';
  }
}

/** Prints the new commit and its subject, which names the target and the change. */
async function rolledBack(flags: Flags, result: Moved, path: string): Promise<void> {
  if (flags.output === 'json') return printJson(result);
  const api = await openApi(flags);
  const { subject } = await api
    .call<NodeDescription>('GET', `${path}?at=${result.commit}`)
    .finally(() => api.close());
  const ours = `${result.node}: roll back to `;
  const effect = subject.startsWith(ours) ? ` to ${subject.slice(ours.length)}` : `: ${subject}`;
  print(`${result.node} rolled back${effect} (${result.commit.slice(0, 10)})`);
}

function one(flags: Flags, result: Partial<Moved>, done: string): void {
  if (flags.output === 'json') printJson(result);
  else
    print(`${result.node} ${done}${result.commit === undefined ? '' : ` (${result.commit.slice(0, 10)})`}`);
}

function moved(flags: Flags, result: ManyMoved): void {
  if (flags.output === 'json') return printJson(result);
  for (const { node, commit } of result.moved) print(`${node}  ${commit.slice(0, 10)}`);
  for (const { node, reason } of result.skipped) print(`${node}  skipped: ${completed(reason)}`);
}

function usage(message: string): never {
  process.stderr.write(`error: ${message}\n`);
  process.exit(EXIT.usage);
}
