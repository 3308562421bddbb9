// Where the commands find a controller and a store: a local home, a server by URL, or a cluster by kubeconfig.

import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { MultinicError } from '../api/errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { Api } from './api-client.ts';
import { asked } from './ask.ts';
import { programName, rememberWhere } from './remedy.ts';

export interface ClusterFlags {
  readonly cluster?: true;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace: string;
}

export interface ConnectionFlags extends ClusterFlags {
  readonly dir?: string;
  readonly server?: string;
  readonly tokenFile?: string;
}

export function withConnection(command: Command): Command {
  return withCluster(
    command
      .option('-C, --dir <dir>', 'home of a local controller (default: $MULTINIC_DIR, else this folder)')
      .option('--server <url>', 'controller elsewhere: https://host:port (default: $MULTINIC_SERVER)')
      .option(
        '--token-file <file>',
        'with --server: file that has the token (default: $MULTINIC_TOKEN_FILE)',
      ),
  );
}

/** Options that name a cluster. */
export function withCluster(command: Command): Command {
  return command
    .option('--cluster', 'the controller of a cluster, by kubeconfig (always as kubectl multinic)')
    .option('--kubeconfig <file>', 'with --cluster: default $KUBECONFIG or ~/.kube/config')
    .option('--context <name>', 'with --cluster: context of the kubeconfig')
    .option('-n, --namespace <name>', 'with --cluster: namespace of the controller', 'multinic-system');
}

/**
 * The place that the command line names. `inferred`: no option names the place, so only reading commands use it without
 * a question.
 */
export type Target =
  | { readonly kind: 'home'; readonly dir: string }
  | { readonly kind: 'server'; readonly url: string }
  | { readonly kind: 'cluster'; readonly inferred: boolean };

/** A kubeconfig is used without an option if this folder is no home and nothing else is named. */
export function targetOf(flags: ConnectionFlags): Target {
  if (isCluster(flags)) return { kind: 'cluster', inferred: false };
  const server = flags.server ?? (flags.dir === undefined ? process.env['MULTINIC_SERVER'] : undefined);
  if (server !== undefined) return { kind: 'server', url: serverUrl(server) };
  const dir = homeOf(flags);
  const named = flags.dir !== undefined || process.env['MULTINIC_DIR'] !== undefined;
  if (!named && !isHome(dir) && hasKubeconfig()) return { kind: 'cluster', inferred: true };
  return { kind: 'home', dir };
}

export function homeOf(flags: Pick<ConnectionFlags, 'dir'>): string {
  return resolve(flags.dir ?? process.env['MULTINIC_DIR'] ?? '.');
}

function serverUrl(text: string): string {
  if (/^https?:\/\/./.test(text) && URL.canParse(text)) return text;
  throw new MultinicError(
    'InvalidServer',
    `${text} is not the URL of a controller: write --server https://host:port, as in https://127.0.0.1:8443`,
  );
}

function isHome(dir: string): boolean {
  return ['inventory.yaml', 'store.git', 'controller.json'].some((file) => existsSync(join(dir, file)));
}

function hasKubeconfig(): boolean {
  const named = process.env['KUBECONFIG'];
  const files = named ? named.split(delimiter) : [join(homedir(), '.kube/config')];
  return files.some((file) => file !== '' && existsSync(file));
}

/** True if the program runs as a plugin of kubectl: then kubectl's own cluster is meant. */
function isPlugin(): boolean {
  return programName(process.argv[1] ?? '').startsWith('kubectl ');
}

function isCluster({ cluster, kubeconfig, context }: Partial<ConnectionFlags>): boolean {
  return cluster === true || kubeconfig !== undefined || context !== undefined || isPlugin();
}

/** Opens the API for a command that reads. @throws MultinicError `NoController` */
export async function openApi(flags: ConnectionFlags): Promise<Api> {
  const target = targetOf(flags);
  if (target.kind === 'server') return new Api(target.url, await tokenOf(flags));
  if (target.kind === 'home') return openHome(flags, target.dir);
  const client = await clusterClient(flags);
  if (target.inferred) {
    process.stderr.write(`${describeCluster(client, flags)}\n`);
    rememberWhere({ ...flags, cluster: true });
  }
  return openCluster(client, flags);
}

/**
 * Opens the API for a command that changes something.
 * @throws MultinicError `TargetNotNamed`, `NotConfirmed`, `NoController`
 */
export async function openApiToChange(flags: ConnectionFlags): Promise<Api> {
  const target = targetOf(flags);
  if (target.kind !== 'cluster' || !target.inferred) return openApi(flags);
  const client = await clusterClient(flags);
  await expectMeant(client, flags);
  return openCluster(client, flags);
}

/** Asks a person whether a cluster is meant that no option names. @throws MultinicError `TargetNotNamed`, `NotConfirmed` */
export async function expectMeant(client: KubeClient, flags: ClusterFlags): Promise<void> {
  const where = describeCluster(client, flags);
  const meant = await asked(`Use ${where}?`);
  if (meant === undefined) {
    throw new MultinicError(
      'TargetNotNamed',
      `name the place of a command that changes something: --cluster (${where}), or the home with -C`,
    );
  }
  if (!meant) throw new MultinicError('NotConfirmed', 'nothing was changed');
}

async function tokenOf(flags: ConnectionFlags): Promise<string> {
  const file = flags.tokenFile ?? process.env['MULTINIC_TOKEN_FILE'];
  if (file === undefined)
    throw new MultinicError(
      'NoToken',
      'the server needs a token: name a file with the token by --token-file',
    );
  const token = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new MultinicError('NoToken', `${file} cannot be read: name the file that has the token`, { cause });
  });
  if (/^[\x21-\x7e]+$/.test(token.trim())) return token.trim();
  throw new MultinicError('NoToken', `${file} has no token: write it there, on one line and nothing else`);
}

/** The controller of a home: of a local one, or in the pod of a cluster's controller. */
async function openHome(flags: ConnectionFlags, dir: string): Promise<Api> {
  const { readEndpoint } = await import('./home-access.ts');
  const { url, token, fetch } = await readEndpoint(dir, flags);
  return new Api(url, token, fetch === undefined ? {} : { fetch });
}

/** The API server that the options or the kubeconfig name. @throws MultinicError `InvalidKubeconfig` */
export async function clusterClient({
  kubeconfig,
  context,
}: Pick<ClusterFlags, 'kubeconfig' | 'context'>): Promise<KubeClient> {
  const { KubeClient } = await import('../kube/client.ts');
  return KubeClient.load({
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(context !== undefined && { context }),
  });
}

/** `cluster NAME (https://…), namespace multinic-system` */
export function describeCluster({ config }: KubeClient, { namespace }: ClusterFlags): string {
  const context = config.getCurrentContext();
  return `cluster ${context} (${config.getCurrentCluster()!.server}), namespace ${namespace}`;
}

async function openCluster(client: KubeClient, { namespace }: ConnectionFlags): Promise<Api> {
  const { connectToStore } = await import('../kube/leader-connection.ts');
  const connection = await connectToStore(client, namespace);
  return new Api(connection.url, connection.token, { ...connection, client });
}
