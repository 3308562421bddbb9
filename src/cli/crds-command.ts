import type { Command } from 'commander';
import { GROUPS, type Group } from '../api/api-groups.ts';
import { groups } from './groups.ts';
import { wholeNumber } from './option-values.ts';
import { print } from './output.ts';

interface Flags {
  readonly kubeconfig?: string;
  readonly groups: Group[];
  readonly timeout: number;
}

export function addCrdsCommand(program: Command): void {
  program
    .command('crds')
    .description('the CustomResourceDefinitions in a cluster')
    .command('apply')
    .description('apply them by server-side apply, and wait until the API serves them')
    .option('--kubeconfig <file>', 'default: the pod’s own account, $KUBECONFIG or ~/.kube/config')
    .option('--groups <list>', 'API groups', groups, [...GROUPS])
    .option('--timeout <seconds>', 'give up after', wholeNumber(1), 60)
    .addHelpText(
      'after',
      `
Examples:
  multinic crds apply
  multinic crds apply --groups multinic.io`,
    )
    .action(async (flags: Flags) => {
      const [{ KubeClient }, { applyCrds }] = await Promise.all([
        import('../kube/client.ts'),
        import('../kube/crd-apply.ts'),
      ]);
      const client = KubeClient.load(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig });
      for (const name of await applyCrds(client, flags.groups, flags.timeout * 1000))
        print(`${name} is served`);
    });
}
