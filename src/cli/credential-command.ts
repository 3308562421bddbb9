// `multinic credential`: gives git a token, so that no token stands in a clone's configuration.

import { Argument, type Command } from 'commander';
import { text } from 'node:stream/consumers';
import { MultinicError } from '../api/errors.ts';
import { clusterClient, withCluster, type ClusterFlags } from './target.ts';

export function addCredentialCommand(program: Command): void {
  withCluster(
    program.command('credential').description("git's credential helper: a token for the store of a cluster"),
  )
    .addArgument(new Argument('<operation>', 'as git calls it').choices(['get', 'store', 'erase']))
    .addHelpText(
      'after',
      `
The token is for the store alone (audience multinic-agent) where you may create one.
It lasts ten minutes.
Name the URL in the setting, so that git asks for this server only:

Example:
  git clone -c http.sslCAInfo=$PWD/ca.crt \\
    -c 'credential.https://localhost:8443.helper=!multinic credential --cluster' \\
    https://localhost:8443/git store`,
    )
    .action(async (operation: string, flags: ClusterFlags) => {
      const request = await text(process.stdin);
      // git's `store` and `erase` do nothing, because no token is kept.
      if (operation !== 'get') return;
      process.stdout.write(await credential(request, flags));
    });
}

/** The answer to git, in lines of `key=value`. @throws MultinicError `NoToken`, `InsecureUrl` */
async function credential(request: string, flags: ClusterFlags): Promise<string> {
  const protocol = /^protocol=(.*)$/m.exec(request)?.[1];
  if (protocol !== 'https') {
    throw new MultinicError(
      'InsecureUrl',
      `a token is for https only, and git asks for ${protocol ?? 'no protocol'}: clone https://…`,
    );
  }
  const { tokenFor } = await import('../kube/leader-connection.ts');
  const { token } = await tokenFor(await clusterClient(flags), flags.namespace);
  return `username=multinic\npassword=${token}\n`;
}
