// Starts a cluster for a person, prints how to use it, and deletes it on Ctrl-C.
import { Command, InvalidArgumentError } from 'commander';
import { once } from 'node:events';
import { Slot } from '../test/nodes/slot.ts';
import { prepare, startCluster } from '../test/cluster/cluster.ts';
import { helmProgram, KUBERNETES } from '../test/cluster/programs.ts';

interface Options {
  readonly nodes: number;
  readonly kubernetes: string;
  readonly sweep?: true;
}

const program = new Command('cluster')
  .description('A real Kubernetes cluster on this machine, until Ctrl-C. Needs root.')
  .option('-n, --nodes <count>', 'how many nodes', count, 1)
  .option('-k, --kubernetes <version>', `such as ${KUBERNETES.oldest}`, KUBERNETES.newest)
  .option('--sweep', 'take away what killed runs left behind, and start nothing')
  .action(async ({ nodes, kubernetes, sweep }: Options) => {
    if (sweep) await Slot.sweep(log);
    else await serve(nodes, kubernetes);
  });
await program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});

async function serve(nodes: number, version: string): Promise<void> {
  // Ctrl-C may interrupt the preparation, which takes minutes and leaves only a cache. After the preparation, Ctrl-C
  // takes the cluster down in order.
  await prepare(version, log);
  const helm = await helmProgram(log);
  const start = performance.now();
  const end = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), once(process, 'SIGHUP')]);
  await using cluster = await startCluster({ nodes, version, log });
  log(`Kubernetes ${version} with ${nodes} nodes after ${((performance.now() - start) / 1000).toFixed(1)} s`);
  console.log(`
  export KUBECONFIG=${cluster.kubeconfig}
  export PATH=${cluster.programs}:${helm}:$PATH
  kubectl get nodes

Ctrl-C, or kill ${process.pid}, stops it; nothing stays.`);
  // A signal handler alone does not keep a process alive, so a timer does.
  const alive = setInterval(() => {}, 1 << 30);
  await end;
  clearInterval(alive);
  log('stopping');
}

function count(text: string): number {
  const nodes = Number(text);
  if (!Number.isInteger(nodes) || nodes < 0) throw new InvalidArgumentError('a number from 0 on');
  return nodes;
}

function log(line: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
}
