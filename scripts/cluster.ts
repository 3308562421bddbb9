// Starts a cluster for a person, with NICs on its nodes and multinic installed, prints what to type next, and deletes it
// on Ctrl-C.
import { Command, InvalidArgumentError } from 'commander';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { Slot } from '../test/nodes/slot.ts';
import { prepare, startCluster, type Cluster } from '../test/cluster/cluster.ts';
import { agentImage, installMultinic, Multinic, type Config, type Image } from '../test/cluster/install.ts';
import { helmProgram, KUBERNETES } from '../test/cluster/programs.ts';
import { ownArchitecture } from './release/image.ts';

interface Options {
  readonly nodes: number;
  readonly kubernetes: string;
  readonly bare?: true;
  readonly release?: string;
  readonly sweep?: true;
}

/** NICs of each node besides its own, as OpenStack would attach them. */
const NICS = 2;
const NAMESPACE = 'multinic-system';
const REPOSITORY = resolve(import.meta.dirname, '..');

const program = new Command('cluster')
  .description('A real Kubernetes cluster on this machine with multinic in it, until Ctrl-C. Needs root.')
  .option('-n, --nodes <count>', 'how many nodes', count, 1)
  .option('-k, --kubernetes <version>', `such as ${KUBERNETES.oldest}`, KUBERNETES.newest)
  .option('--bare', 'Kubernetes alone: no NICs, no chart')
  .option(
    '--release <dir>',
    'folder of npm run release: its image is on the nodes, the chart is yours to install',
  )
  .option('--sweep', 'take away what killed runs left behind, and start nothing')
  .action(async (options: Options) => {
    if (options.sweep) await Slot.sweep(log);
    else await serve(options);
  });
await program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});

async function serve({ nodes, kubernetes, bare, release }: Options): Promise<void> {
  const whole = bare !== true && nodes > 0;
  // Ctrl-C may interrupt the preparation, which takes minutes and leaves only a cache. After the preparation, Ctrl-C
  // takes the cluster down in order.
  await prepare(kubernetes, log);
  const helm = await helmProgram(log);
  const image = whole ? await imageOf(release) : undefined;
  const start = performance.now();
  const seconds = (): string => ((performance.now() - start) / 1000).toFixed(1);
  const ended = Promise.race(['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => once(process, signal)));
  let stopping = false;
  void ended.then(() => (stopping = true));
  await using cluster = await startCluster({ nodes, version: kubernetes, log });
  log(`Kubernetes ${kubernetes} with ${nodes} nodes after ${seconds()} s`);
  let next = '';
  if (image !== undefined && !stopping) {
    const sample = await furnish(cluster);
    if (release === undefined) {
      await installMultinic(cluster, { namespace: NAMESPACE, image, log });
      log(`multinic is installed after ${seconds()} s`);
    } else await prepareInstall(cluster, image);
    next = release === undefined ? steps(sample) : releaseSteps(release, sample);
  }
  if (!stopping) {
    console.log(`
  export KUBECONFIG=${cluster.kubeconfig}
  export PATH=${join(REPOSITORY, 'node_modules/.bin')}:${cluster.programs}:${helm}:$PATH
  kubectl get nodes
${next}
Ctrl-C, or kill ${process.pid}, stops it; nothing stays.`);
  }
  // Keeps the process alive by a timer, because a signal handler alone does not.
  const alive = setInterval(() => {}, 1 << 30);
  await ended;
  clearInterval(alive);
  log('stopping');
}

/** Attaches NICs to every node. @returns file of a CR that fits them */
async function furnish(cluster: Cluster): Promise<string> {
  const nodeConfigs: Config['spec']['nodeConfigs'] = [];
  for (const [index, name] of cluster.nodes.entries()) {
    const interfaces = [];
    for (let nic = 0; nic < NICS; nic += 1) {
      const macAddress = `02:00:00:00:${byte(index + 1)}:${byte(nic + 1)}`;
      await cluster.machine(name).attachNic({ mac: macAddress, network: 'tenant' });
      const address = `192.168.${100 + nic}.${11 + index}`;
      interfaces.push({
        portId: `port-${nic}-${name}`,
        macAddress,
        address,
        cidr: `${address}/24`,
        mtu: 1500,
      });
    }
    const path = '--output=jsonpath={.status.nodeInfo.systemUUID}';
    const attachedNodeId = await cluster.kubectl(['get', 'node', name, path]);
    nodeConfigs.push({ attachedNodeId, attachedNodeName: name, interfaces });
  }
  const config: Config = {
    apiVersion: 'multinic.okestro.io/v1',
    kind: 'MultiNicBizConfig',
    metadata: { name: 'sample', namespace: NAMESPACE },
    spec: { nodeConfigs },
  };
  const file = join(cluster.lab.slot.dir, 'sample.yaml');
  await writeFile(file, stringify(config));
  return file;
}

async function imageOf(release: string | undefined): Promise<Image> {
  if (release === undefined) return agentImage(log);
  const names = await readdir(release).catch(() => []);
  const archive = names.find((name) => name.endsWith(`-${ownArchitecture()}.tar`));
  if (archive === undefined) throw new Error(`${release} has no image: npm run release makes one there`);
  return { name: archive, archive: resolve(release, archive) };
}

/** Gives the cluster a volume and the image, which a person's own cluster already has. */
async function prepareInstall(cluster: Cluster, image: Image): Promise<void> {
  await cluster.loadImage(image.archive);
  await new Multinic(cluster, NAMESPACE, image).makeVolume(cluster.nodes[0]!);
}

function releaseSteps(release: string, sample: string): string {
  return `
  cd ${resolve(release)}                 # docs/quick-start.md says what to type here
  kubectl apply -f ${sample}                      # afterwards: ${NICS} NICs on every node
`;
}

function steps(sample: string): string {
  return `
  kubectl apply -f ${sample}                      # ${NICS} NICs on every node
  kubectl get multinicclusterconfigs -A -o wide
  multinic status --cluster
  multinic log worker-1 --cluster
  sed -i '0,/mtu: 1500/s//mtu: 1400/' ${sample} && kubectl apply -f ${sample}
  multinic rollback worker-1 --cluster
`;
}

function byte(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function count(text: string): number {
  const nodes = Number(text);
  if (!Number.isInteger(nodes) || nodes < 0) throw new InvalidArgumentError('a number from 0 on');
  return nodes;
}

function log(line: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
}
