// Commands in messages: they repeat the home, server or cluster that the person named on the command line.

export interface Where {
  readonly dir?: string;
  readonly server?: string;
  readonly tokenFile?: string;
  readonly cluster?: true;
  readonly kubeconfig?: string;
  readonly context?: string;
}

let where = '';

/** Remembers the options of the command line for remedies. Environment variables hold for the next command anyway. */
export function rememberWhere({ dir, server, tokenFile, cluster, kubeconfig, context }: Where): void {
  const named = [
    ['-C', dir],
    ['--server', server],
    ['--token-file', tokenFile],
    ['--kubeconfig', kubeconfig],
    ['--context', context],
  ] as const;
  const words = named.map(([flag, value]) => (value === undefined ? '' : ` ${flag} ${quoted(value)}`));
  where = (cluster === true ? ' --cluster' : '') + words.join('');
}

/** Puts options before the arguments, because only the command knows where its arguments end. */
export function completed(message: string): string {
  return message.replaceAll(COMMAND, `$&${where.replaceAll('$', '$$$$')}`);
}

const COMMAND = /\bmultinic (?:status|log|show|diff|rollback|release|retry|pause|resume|rerender|confirm)\b/g;

/** Quotes a text so that a shell reads one word. */
function quoted(value: string): string {
  return /^[\w./:@%+=,-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}
