import type { Command } from 'commander';
import { BUILD, type BuildInfo } from '../api/build-info.ts';
import { MultinicError } from '../api/errors.ts';
import { outputOption, print, printObject, type Format } from './output.ts';
import { completed } from './remedy.ts';
import { openApi, targetOf, withConnection, type ConnectionFlags } from './target.ts';

interface Flags extends ConnectionFlags {
  readonly output: Exclude<Format, 'wide' | 'name'>;
  readonly client?: true;
}

export function addVersionCommand(program: Command): void {
  withConnection(program.command('version').description('versions of this program and of the controller'))
    .addOption(outputOption(['table', 'json', 'yaml']))
    .option('--client', 'only of this program')
    .addHelpText('after', '\nExamples:\n  multinic version\n  multinic version --client -o json')
    .action(async (flags: Flags) => {
      const client = { ...BUILD, node: process.version };
      const server = flags.client ? undefined : await serverOf(flags);
      if (flags.output !== 'table')
        return printObject(flags.output, 'Versions', { client, ...(server !== undefined && { server }) });
      print(`client  ${describe(client)}, Node ${client.node}`);
      if (server !== undefined)
        print(`server  ${'message' in server ? completed(server.message) : describe(server)}`);
    });
}

function describe({ version, commit }: BuildInfo): string {
  return `${version} (${commit})`;
}

/** The controller's version, or the reason why it is unknown; undefined: no place has a controller. */
async function serverOf(flags: Flags): Promise<BuildInfo | { readonly message: string } | undefined> {
  try {
    const api = await openApi(flags);
    return await api.call<BuildInfo>('GET', '/version').finally(() => api.close());
  } catch (error) {
    if (!(error instanceof MultinicError)) throw error;
    const named = flags.dir !== undefined || targetOf(flags).kind !== 'home';
    return named ? { message: error.message } : undefined;
  }
}
