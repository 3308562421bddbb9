// A real Kubernetes cluster on this machine, in seconds: for tests, and for a person (`npm run cluster`).
//
//   await using cluster = await startCluster({ nodes: 2 });
//   await cluster.kubectl(['get', 'nodes']);
//   await cluster.exec('worker-1', ['ip', 'link']);
//   await cluster.machine('worker-1').attachNic({ mac: '02:00:00:00:01:01', network: 'tenant' });
import { delimiter, join } from 'node:path';
import { MultinicError } from '../../src/api/errors.ts';
import type { Log } from '../nodes/cache.ts';
import { run, type RunOptions } from '../nodes/command.ts';
import { Lab } from '../nodes/lab.ts';
import type { Machine } from '../nodes/machine.ts';
import { needCommands } from '../nodes/packages.ts';
import { nodeRootfs, type RootfsKind } from '../nodes/rootfs.ts';
import { ControlPlane, type ExtraArguments } from './control-plane.ts';
import { pauseImage } from './image.ts';
import { KubernetesNode } from './node.ts';
import { etcdProgram, helmProgram, KUBERNETES, kubernetesPrograms } from './programs.ts';

export interface NodeSpec {
  readonly name: string;
  readonly systemUUID?: string;
  readonly rootfs?: RootfsKind;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface ClusterOptions {
  /** Version of Kubernetes, without a v; absent: the newest tried version. */
  readonly version?: string;
  /** Number of nodes (`worker-1` …), or their settings. None: a control plane alone. */
  readonly nodes?: number | readonly NodeSpec[];
  readonly extra?: ExtraArguments;
  /** Receives a line for each step that takes long. */
  readonly log?: Log;
}

/** Everything that a cluster needs, built once on a machine. */
interface Parts {
  readonly version: string;
  readonly programs: string;
  readonly etcd: string;
  readonly pauseArchive: string;
}

export class Cluster {
  readonly controlPlane: ControlPlane;
  readonly lab: Lab;
  readonly #parts: Parts;
  readonly #log: Log;
  readonly #nodes = new Map<string, KubernetesNode>();

  constructor(lab: Lab, controlPlane: ControlPlane, parts: Parts, log: Log) {
    this.lab = lab;
    this.controlPlane = controlPlane;
    this.#parts = parts;
    this.#log = log;
  }

  get version(): string {
    return this.#parts.version;
  }

  /** Path of the administrator's kubeconfig, which works on this machine and on all nodes. */
  get kubeconfig(): string {
    return this.controlPlane.kubeconfig;
  }

  /** Folder with kubectl and the other programs of this version. */
  get programs(): string {
    return this.#parts.programs;
  }

  /** Environment for a shell or a child process: the cluster's kubectl, and no files of kubectl or helm in the home folder. */
  get env(): Readonly<Record<string, string>> {
    const home = join(this.lab.slot.dir, 'home');
    return {
      KUBECONFIG: this.kubeconfig,
      // kubectl caches discovery under the server's address, and the next cluster has the same address.
      HOME: home,
      KUBECACHEDIR: join(home, '.kube/cache'),
      PATH: [this.programs, process.env['PATH']].join(delimiter),
    };
  }

  get nodes(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  /** @returns what it printed @throws MultinicError `CommandFailed` */
  kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return run(join(this.programs, 'kubectl'), args, {
      ...options,
      env: { ...this.env, ...options.env },
    });
  }

  /** The first call on a machine builds helm. */
  async helm(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const helm = join(await helmProgram(this.#log), 'helm');
    return run(helm, args, { ...options, env: { ...this.env, ...options.env } });
  }

  /** Runs a command on a node, as root, outside of all pods. */
  exec(node: string, command: readonly string[], options?: RunOptions): Promise<string> {
    return this.machine(node).exec(command, options);
  }

  /** @throws MultinicError `NoSuchNode` */
  machine(node: string): Machine {
    return this.#node(node).machine;
  }

  /** Puts the images of a docker- or oci-archive on all nodes, or on some. */
  async loadImage(archive: string, nodes: readonly string[] = this.nodes): Promise<void> {
    await Promise.all(nodes.map((node) => this.#node(node).loadImage(archive)));
  }

  /** Returns when the node is Ready. */
  async addNode(spec: NodeSpec): Promise<void> {
    await this.join(await KubernetesNode.boot(this.lab, { ...spec, ...this.#parts }));
  }

  /** The second half of `addNode`, for machines that were booted before there was a control plane. */
  async join(node: KubernetesNode): Promise<void> {
    const { machine } = node;
    this.#nodes.set(machine.name, node);
    await this.lab.switch.route(this.controlPlane.addresses.podsOf(machine.index), machine.address);
    await node.join(this.controlPlane);
    await node.ready(this.controlPlane);
  }

  /** Removes the machine with its disk and images. Its Node object stays until somebody deletes it. */
  async removeNode(name: string): Promise<void> {
    const node = this.#node(name);
    this.#nodes.delete(name);
    await this.lab.remove(name);
    await node.removeImages();
  }

  /** Returns when its kubelet runs. */
  reimage(name: string): Promise<void> {
    return this.#node(name).reimage(this.controlPlane);
  }

  /** Removes everything: processes, mounts, namespaces, files. */
  async stop(): Promise<void> {
    await this.lab.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #node(name: string): KubernetesNode {
    const node = this.#nodes.get(name);
    if (node === undefined) {
      throw new MultinicError('NoSuchNode', `no node ${name}; there are ${this.nodes.join(', ') || 'none'}`);
    }
    return node;
  }
}

/**
 * Builds what this machine lacks (half an hour at worst, and only once), then starts a cluster and waits until all its
 * nodes are Ready. A failed start leaves nothing.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { nodes = 1, extra, log = () => {} } = options;
  const parts = await prepare(options.version ?? KUBERNETES.newest, log);
  const lab = await Lab.open({ log });
  try {
    const specs = typeof nodes === 'number' ? numbered(nodes) : nodes;
    // Machines boot while the control plane starts, because only the kubelets need it.
    const [controlPlane, ...booted] = await Promise.all([
      ControlPlane.start(lab, {
        kubernetes: parts.programs,
        etcd: parts.etcd,
        ...(extra === undefined ? {} : { extra }),
      }),
      ...specs.map((spec) => KubernetesNode.boot(lab, { ...spec, ...parts })),
    ]);
    const cluster = new Cluster(lab, controlPlane, parts, log);
    await Promise.all([controlPlane.ready(), ...booted.map((node) => cluster.join(node))]);
    return cluster;
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** Runs all builds in turn, because each compiler uses all processors. */
export async function prepare(version: string, log: Log): Promise<Parts> {
  await needCommands(['openssl', 'tar'], log);
  await nodeRootfs(log);
  return {
    version,
    programs: await kubernetesPrograms(version, log),
    etcd: await etcdProgram(log),
    pauseArchive: await pauseImage(log),
  };
}

function numbered(count: number): NodeSpec[] {
  return Array.from({ length: count }, (_, index) => ({ name: `worker-${index + 1}` }));
}
