// Carries out a command that changes something: shows the effect, asks the person, and sends the command to the
// controller.

import type { Command } from 'commander';
import { userInfo } from 'node:os';
import { hasCode, MultinicError } from '../api/errors.ts';
import { EXIT } from '../api/exit-codes.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Preview } from '../controller/change-preview.ts';
import type { Moved } from '../controller/many-branches.ts';
import type { StatusReport } from '../controller/status-report.ts';
import { plural } from '../network/text.ts';
import type { Api } from './api-client.ts';
import { asked } from './ask.ts';
import { outputOption, print, printObject, withProgress, type Format } from './output.ts';
import { completed } from './remedy.ts';
import { openApiToChange, targetOf, withConnection, type ConnectionFlags } from './target.ts';

export interface ChangeFlags extends ConnectionFlags {
  readonly output: Exclude<Format, 'wide'>;
  readonly yes?: true;
  readonly dryRun?: true;
}

/** Adds the options of a command that changes something. */
export function changing(command: Command): Command {
  return withConnection(command).addOption(outputOption());
}

/** Adds the options of a command that may concern many nodes. On a terminal such a command shows the nodes and asks. */
export function dangerous(command: Command, yes = 'do not ask'): Command {
  return changing(command)
    .option('--yes', yes)
    .option('--dry-run', 'only say what would change, node by node');
}

/** Opens the API for one command. */
export async function change(flags: ConnectionFlags, work: (api: Api) => Promise<void>): Promise<void> {
  const api = await openApiToChange(flags);
  try {
    await work(api);
  } finally {
    await api.close();
  }
}

export async function post<T>(api: Api, flags: ConnectionFlags, path: string, body: object): Promise<T> {
  const call = api.call<T>('POST', path, { ...body, author: await whoAmI(flags, api) });
  return withProgress('waiting for the controller', call);
}

/**
 * Posts a dangerous command. On a terminal the nodes are shown first and a person has to agree; with `--dry-run` they
 * are shown and nothing is done.
 * @param agreed added to the body once a person has agreed
 * @returns undefined: a dry run
 * @throws MultinicError `NotConfirmed`
 */
export async function postAsked<T>(
  api: Api,
  flags: ChangeFlags,
  path: string,
  body: object,
  agreed: object = {},
): Promise<T | undefined> {
  if (flags.dryRun) {
    const preview = await post<Preview>(api, flags, path, { ...body, dryRun: true });
    if (flags.output !== 'table')
      await printObject(
        flags.output,
        'Preview',
        preview,
        preview.nodes.map(({ node }) => node),
      );
    else print(previewText(preview));
    return undefined;
  }
  const terminal = process.stdin.isTTY === true && process.stderr.isTTY === true;
  if (flags.yes || !terminal) return post<T>(api, flags, path, body);
  const preview = await post<Preview>(api, flags, path, { ...body, dryRun: true });
  process.stderr.write(`${previewText(preview)}\n`);
  const question = preview.nodes.length === 0 ? 'Go on?' : `Change ${plural(preview.nodes.length, 'node')}?`;
  if ((await asked(question)) !== true) throw new MultinicError('NotConfirmed', 'nothing was changed');
  return post<T>(api, flags, path, { ...body, ...agreed });
}

/** Posts a command for one node without a question. With `--dry-run` the effect is shown, and nothing is done. */
export async function postOne<T>(api: Api, flags: ChangeFlags, path: string): Promise<T | undefined> {
  return flags.dryRun ? postAsked<T>(api, flags, path, {}) : post<T>(api, flags, path, {});
}

export function pathOf(node: string): string {
  return `/nodes/${encodeURIComponent(node)}`;
}

/** Prints the effect of a command on a node. */
export async function printOne(
  flags: ChangeFlags,
  result: Omit<Moved, 'commit'> & Partial<Moved>,
  done: string,
): Promise<void> {
  if (flags.output !== 'table') return printObject(flags.output, 'Moved', result, [result.node]);
  print(`${result.node} ${done}${result.commit === undefined ? '' : ` (${result.commit.slice(0, 10)})`}`);
}

export function usage(message: string): never {
  process.stderr.write(`error: ${message}\n`);
  process.exit(EXIT.usage);
}

/** One line a node; of a fleet, the first ones. */
function previewText({ nodes, skipped }: Preview): string {
  const lines = nodes.slice(0, SHOWN).map(({ node, change }) => `${node}  ${change}`);
  const more = nodes.length - lines.length;
  return [
    ...lines,
    ...(more > 0 ? [`and ${plural(more, 'more node')}: --dry-run -o json lists all`] : []),
    ...skipped.slice(0, SHOWN).map(({ node, reason }) => `${node}  skipped: ${completed(reason)}`),
    ...(nodes.length + skipped.length === 0 ? ['no node would change'] : []),
  ].join('\n');
}

const SHOWN = 50;

/** The state of all nodes, to find a node by its other names. */
export function viewsOf(api: Api): () => Promise<StatusReport> {
  return () => api.call<StatusReport>('GET', '/status');
}

/** Whether the controller leaves a change of a Node object to a person's own right. */
export function isForKubectl(error: unknown): boolean {
  return hasCode(error, 'UseKubectl');
}

/**
 * The author of a commit, from git's configuration, else the local user of a local home. For the account that all
 * operators share, the author has the name by which the API server knows the person.
 */
export async function whoAmI(
  flags: ConnectionFlags,
  { client, borrowed }: Api,
): Promise<{ name: string; email: string } | undefined> {
  const { execa } = await import('execa');
  const [name, email] = await Promise.all(
    ['user.name', 'user.email'].map(
      async (key) => (await execa('git', ['config', '--get', key], { reject: false })).stdout ?? '',
    ),
  );
  const account = borrowed && client !== undefined ? await accountOf(client) : undefined;
  if (account !== undefined) {
    const both = name && name !== account ? `${name} (${account})` : account;
    return { name: both.slice(0, AUTHOR_LENGTH), email: email ?? '' };
  }
  if (!name && targetOf(flags).kind !== 'home') return undefined;
  return { name: name || localUser(), email: email ?? '' };
}

/** Length of a name that the controller takes. */
const AUTHOR_LENGTH = 200;

async function accountOf(client: KubeClient): Promise<string | undefined> {
  const { accountName } = await import('../kube/account-name.ts');
  return accountName(client);
}

function localUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a user that is not in /etc/passwd.
    return 'unknown';
  }
}
