// Messages name commands that help; whoever named a home or a server on the command line must name it there too.

export interface Where {
  readonly dir?: string;
  readonly server?: string;
  readonly tokenFile?: string;
  readonly cluster?: true;
  readonly kubeconfig?: string;
  readonly context?: string;
}

let where = '';

/** What was named on the command line. Environment variables hold for the next command as well. */
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

/** Options come before the arguments: where those end, only the command knows. */
export function completed(message: string): string {
  return message.replaceAll(COMMAND, `$&${where.replaceAll('$', '$$$$')}`);
}

const COMMAND = /\bmultinic (?:status|log|show|diff|rollback|release|retry|pause|resume|rerender|confirm)\b/g;

/** As a shell takes it for one word. */
function quoted(value: string): string {
  return /^[\w./:@%+=,-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}
