import type { Command } from 'commander';
import { wholeNumber } from './option-values.ts';
import { print, withProgress } from './output.ts';

interface Flags {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace: string;
  readonly timeout: number;
}

export function addShellCommand(program: Command): void {
  program
    .command('shell')
    .description(
      'start a pod on a node that sees the host as an agent does, for kubectl exec; it ends after an hour',
    )
    .argument('<node>', 'the node, by any of its names')
    .option('--kubeconfig <file>', 'default: $KUBECONFIG or ~/.kube/config')
    .option('--context <name>', 'context of the kubeconfig')
    .option('-n, --namespace <name>', 'namespace of the controller', 'multinic-system')
    .option('--timeout <seconds>', 'give up after', wholeNumber(1), 60)
    .addHelpText(
      'after',
      `
Examples:
  POD=$(multinic shell worker-1)
  kubectl exec -n multinic-system $POD -- ls -la /etc/netplan/backup/
  kubectl exec -n multinic-system $POD -- ip link show
  kubectl delete -n multinic-system pod $POD`,
    )
    .action(async (node: string, flags: Flags) => {
      const [{ KubeClient }, { startShell }] = await Promise.all([
        import('../kube/client.ts'),
        import('../kube/shell-pod.ts'),
      ]);
      const { namespace } = flags;
      const client = KubeClient.load({
        ...(flags.kubeconfig !== undefined && { kubeconfig: flags.kubeconfig }),
        ...(flags.context !== undefined && { context: flags.context }),
      });
      const starting = startShell({ client, namespace, node, timeoutMs: flags.timeout * 1000 });
      print(await withProgress(`waiting for the pod on ${node}`, starting));
    });
}
