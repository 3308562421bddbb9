// Commands in messages: they repeat the home, server or cluster that the person named on the command line.

import { basename } from 'node:path';

export interface Where {
  readonly dir?: string;
  readonly server?: string;
  readonly tokenFile?: string;
  readonly cluster?: true;
  readonly kubeconfig?: string;
  readonly context?: string;
  /** The namespace, if the person named one. */
  readonly namespace?: string;
}

const DEFAULT_NAMESPACE = 'multinic-system';

const PLUGIN = 'kubectl-';

/**
 * The program as the person calls it. A plugin of kubectl has the name of its file, which krew takes from its index;
 * kubectl writes a dash in it as an underscore.
 */
export function programName(file: string): string {
  const name = basename(file);
  return name.startsWith(PLUGIN) ? `kubectl ${name.slice(PLUGIN.length).replaceAll('_', '-')}` : 'multinic';
}

/** This program as the person calls it. */
export const PROGRAM = programName(process.argv[1] ?? '');

let where = '';

/** Remembers the options of the command line for remedies. Environment variables hold for the next command anyway. */
export function rememberWhere({
  dir,
  server,
  tokenFile,
  cluster,
  kubeconfig,
  context,
  namespace,
}: Where): void {
  const named = [
    ['-C', dir],
    ['--server', server],
    ['--token-file', tokenFile],
    ['--kubeconfig', kubeconfig],
    ['--context', context],
    ['-n', namespace === DEFAULT_NAMESPACE ? undefined : namespace],
  ] as const;
  const words = named.map(([flag, value]) => (value === undefined ? '' : ` ${flag} ${quoted(value)}`));
  where = (cluster === true ? ' --cluster' : '') + words.join('');
}

/** Puts options before the arguments, because only the command knows where its arguments end. */
export function completed(message: string): string {
  return message.replaceAll(COMMAND, (_, command: string) => `${PROGRAM} ${command}${where}`);
}

const COMMAND =
  /(?<!kubectl )\bmultinic (status|wait|log|show|diff|rollback|release|retry|pause|resume|rerender|confirm|observe|drift|accept)\b/g;

/** Quotes a text so that a shell reads one word. */
function quoted(value: string): string {
  return /^[\w./:@%+=,-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}
