// Multinic in a test cluster as its operators install it: the image of the repository's Dockerfile, the chart by helm, a
// volume for the store, and the commands of a person afterwards.
//
//   const multinic = await installMultinic(cluster);
//   await multinic.applyConfig(config);
//   await multinic.waitReady('production-cluster-network');
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import type { ConfigStatus } from '../../src/api/status.ts';
import { MultinicError } from '../../src/api/errors.ts';
import { cached, type Log } from '../nodes/cache.ts';
import { waitFor } from '../nodes/wait.ts';
import { buildImage } from './base-image.ts';
import type { Cluster } from './cluster.ts';
import type { KubeObject } from './rest.ts';
import { LabError } from '../support/lab-error.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const CHART = join(REPOSITORY, 'deploy/helm');
const IMAGE = 'localhost/multinic-agent';
/** Files and folders that the Dockerfile copies. */
const SOURCES = ['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'dist', 'crds'];
export const RELEASE = 'multinic-agent';
const DEPLOYMENT = 'deployment/multinic-agent-controller';
/** Paths of the store and its backups on the node of their volumes. */
export const STORE_FOLDER = '/var/lib/multinic-test-store';
export const BACKUP_FOLDER = '/var/lib/multinic-test-backup';
const STORE = { claim: 'multinic-agent-store', folder: STORE_FOLDER } as const;
export const BACKUP = { claim: 'multinic-agent-backup', folder: BACKUP_FOLDER } as const;

export type Group = 'multinic.io' | 'multinic.okestro.io';

export interface Image {
  /** Name of the image with its tag. */
  readonly name: string;
  readonly archive: string;
}

export interface InstallOptions {
  readonly namespace?: string;
  readonly replicas?: number;
  /** Chart values on top of the test's own. */
  readonly values?: Readonly<Record<string, unknown>>;
  /** Absent: the image is built from the repository. */
  readonly image?: Image;
  /** Further arguments of `helm install`. */
  readonly args?: readonly string[];
  /** Node of the store's volume; absent: the first node. */
  readonly storeNode?: string;
  /** Size of the volume, such as `96m`. */
  readonly storeSize?: string;
  /** The leader writes backups by itself, into a volume of their own. */
  readonly backups?: true;
  /** Returns at once after `helm install`. */
  readonly wait?: false;
  readonly log?: Log;
}

export interface Interface {
  portId?: string;
  macAddress?: string;
  address?: string;
  cidr?: string;
  mtu?: number;
  name?: string;
  gateway?: string;
}

export interface NodeConfig {
  attachedNodeId?: string;
  attachedNodeName?: string;
  interfaces?: Interface[];
}

/** A CR in the form that a person writes. */
export interface Config {
  apiVersion: `${Group}/v1`;
  kind: 'MultiNicBizConfig';
  metadata: { name: string; namespace?: string; annotations?: Record<string, string> };
  spec: { providerId?: string; specHash?: string; nodeConfigs: NodeConfig[] };
}

/** A CR in the form of the API server. */
export type StoredConfig = KubeObject & Config & { readonly status?: ConfigStatus };

export interface Job extends KubeObject {
  readonly spec: { readonly ttlSecondsAfterFinished?: number };
  readonly status?: { readonly active?: number; readonly succeeded?: number; readonly failed?: number };
}

/** The image of the present repository, built once for each content. */
export async function agentImage(log: Log): Promise<Image> {
  const hash = await contentHash();
  const name = `${IMAGE}:${hash.slice(0, 12)}`;
  const dir = await cached('agent-image', [hash], log, async (dir) => {
    await buildImage({
      context: REPOSITORY,
      name,
      archive: join(dir, 'image.tar'),
      // Skips the build, because the stand-in base has no npm and the tests have built the bundle.
      buildArgs: ['DIST=prebuilt'],
      log,
    });
  });
  return { name, archive: join(dir, 'image.tar') };
}

/** Installs the chart. Returns when the controller is Ready, unless options say otherwise. */
export async function installMultinic(cluster: Cluster, options: InstallOptions = {}): Promise<Multinic> {
  const { namespace = 'multinic-system', log = () => {} } = options;
  const image = options.image ?? (await agentImage(log));
  const multinic = new Multinic(cluster, namespace, image);
  await Promise.all([cluster.loadImage(image.archive), multinic.makeNamespace()]);
  await multinic.makeVolume(options.storeNode ?? cluster.nodes[0] ?? '', options.storeSize);
  const backup = { enabled: true, storageClass: '-' };
  if (options.backups) await multinic.makeFolderVolume(options.storeNode ?? cluster.nodes[0] ?? '', BACKUP);
  await multinic.helm('install', {
    ...options,
    ...(options.backups && { values: { ...options.values, backup } }),
  });
  if (options.wait !== false) await multinic.rolledOut();
  return multinic;
}

/** An installed release, and the commands of operators. */
export class Multinic {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly image: Image;

  constructor(cluster: Cluster, namespace: string, image: Image) {
    this.cluster = cluster;
    this.namespace = namespace;
    this.image = image;
  }

  /** kubectl in the release's namespace. */
  kubectl(...args: readonly string[]): Promise<string> {
    return this.cluster.kubectl(['--namespace', this.namespace, ...args], { timeoutMs: 360_000 });
  }

  async json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.kubectl(...args, '--output=json')) as T;
  }

  async apply(...objects: readonly object[]): Promise<void> {
    const input = objects.map((object) => stringify(object)).join('---\n');
    await this.cluster.kubectl(['--namespace', this.namespace, 'apply', '-f', '-'], { input });
  }

  /** Labels the namespace as `scripts/build-and-deploy.sh` does, so that its pods may use the host. */
  async makeNamespace(): Promise<void> {
    const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' };
    await this.cluster.kubectl(['apply', '-f', '-'], {
      input: stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: this.namespace, labels } }),
    });
  }

  /** The volume of the store. */
  makeVolume(node: string, size?: string): Promise<void> {
    return this.makeFolderVolume(node, STORE, size);
  }

  /** The volume that a provisioner would make: a folder of one node, so the controller runs there. */
  async makeFolderVolume(
    node: string,
    { claim, folder }: { readonly claim: string; readonly folder: string },
    size?: string,
  ): Promise<void> {
    await this.cluster.exec(node, ['mkdir', '-p', folder]);
    if (size !== undefined)
      await this.cluster.exec(node, ['mount', '-t', 'tmpfs', '-o', `size=${size}`, 'store', folder]);
    // Kubernetes does not change the owner of such a folder, and the controller is not root.
    await this.cluster.exec(node, ['chmod', '0777', folder]);
    await this.apply({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `${this.namespace}-${claim.replace('multinic-agent-', '')}` },
      spec: {
        capacity: { storage: '100Gi' },
        accessModes: ['ReadWriteOnce'],
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: '',
        claimRef: { namespace: this.namespace, name: claim },
        hostPath: { path: folder, type: 'Directory' },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [
              { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] },
            ],
          },
        },
      },
    });
  }

  /** `helm install` or `helm upgrade` of the repository's chart. */
  async helm(
    command: 'install' | 'upgrade',
    { values = {}, replicas, args = [] }: InstallOptions,
  ): Promise<string> {
    const [repository, tag] = this.image.name.split(':');
    const controller = {
      image: { repository, tag, pullPolicy: 'Never' },
      // A short Lease, because tests kill leaders and wait for the next one.
      lease: { duration: 15, renewDeadline: 10, retryPeriod: 2 },
      ...(replicas !== undefined && { replicas }),
    };
    const dir = await mkdtemp(join(tmpdir(), 'multinic-values-'));
    try {
      const file = join(dir, 'values.yaml');
      await writeFile(file, stringify(merged({ controller }, values)));
      const options = ['--namespace', this.namespace, '--values', file, ...args];
      return await this.cluster.helm([command, RELEASE, CHART, ...options], { timeoutMs: 300_000 });
    } finally {
      await rm(dir, { recursive: true });
    }
  }

  async uninstall(): Promise<void> {
    await this.cluster.helm(['uninstall', RELEASE, '--namespace', this.namespace], { timeoutMs: 180_000 });
  }

  async rolledOut(): Promise<void> {
    await this.kubectl('rollout', 'status', DEPLOYMENT, '--timeout=120s').catch(async (error: unknown) => {
      const words = await this.#lastWords();
      throw new LabError('NotRolledOut', `the controller does not come up; see its words:\n${words}`, {
        cause: error,
      });
    });
  }

  async applyConfig(config: Config): Promise<void> {
    await this.apply(config);
  }

  /** Edits a CR as `kubectl edit` does: other fields stay. */
  async editConfig(
    name: string,
    edit: (spec: Config['spec'], metadata: Config['metadata']) => void,
    group: Group = 'multinic.okestro.io',
  ): Promise<void> {
    const { spec, metadata } = structuredClone(await this.configOf(name, group)) as Config;
    edit(spec, metadata);
    const { annotations = {} } = metadata;
    const patch = JSON.stringify({ spec, metadata: { annotations } });
    await this.kubectl('patch', configPath(name, group), '--type=merge', `--patch=${patch}`);
  }

  async deleteConfig(name: string, group: Group = 'multinic.okestro.io'): Promise<void> {
    await this.kubectl('delete', configPath(name, group), '--timeout=20s');
  }

  configOf(name: string, group: Group = 'multinic.okestro.io'): Promise<StoredConfig> {
    return this.json('get', configPath(name, group));
  }

  /** Waits as operators do, at once after an apply. */
  async waitReady(name: string, group: Group = 'multinic.okestro.io', seconds = 120): Promise<StoredConfig> {
    await this.kubectl(
      'wait',
      '--for=condition=Ready',
      configPath(name, group),
      `--timeout=${seconds}s`,
    ).catch(async (error: unknown) => {
      const { status } = await this.configOf(name, group);
      const words = `${JSON.stringify(status, undefined, 1)}\n${await this.#lastWords()}`;
      throw new MultinicError('NotReady', `${name} is not Ready; see why:\n${words}`, { cause: error });
    });
    return this.configOf(name, group);
  }

  /** The Jobs of a node ID as it stands in their labels, the oldest first. */
  async jobsOf(nodeId: string): Promise<Job[]> {
    const order = '--sort-by=.metadata.creationTimestamp';
    const list = await this.json<{ items: Job[] }>('get', 'jobs', `--selector=instance=${nodeId}`, order);
    return list.items;
  }

  controllerLog(): Promise<string> {
    return this.kubectl('logs', '--selector=app.kubernetes.io/component=controller', '--tail=-1');
  }

  /** Name and address of the controller's pod that leads. */
  async leader(): Promise<{ name: string; address: string; node: string }> {
    const fields = '{.items[0].metadata.name} {.items[0].status.podIP} {.items[0].spec.nodeName}';
    const selector = '--selector=multinic.io/leader=true';
    const text = await this.kubectl('get', 'pods', selector, `--output=jsonpath=${fields}`);
    const [name, address, node] = text.split(' ');
    if (!name || !address || !node)
      throw new LabError('NoLeader', 'no controller leads; wait until one does');
    return { name, address, node };
  }

  /**
   * Kills every controller by SIGKILL, and deletes its pod by force, because a container that is started
   * again and again waits longer each time.
   */
  async killControllers(): Promise<void> {
    const pods = await this.controllers();
    await Promise.all(pods.map(({ name, node }) => this.signal(name, node, 'KILL')));
    const names = pods.map(({ name }) => name);
    if (names.length > 0)
      await this.kubectl('delete', 'pods', ...names, '--force', '--grace-period=0', '--wait=false');
  }

  /** The controller's pods that are bound to a node. */
  async controllers(): Promise<{ name: string; node: string }[]> {
    const selector = '--selector=app.kubernetes.io/component=controller';
    const list = await this.json<{ items: (KubeObject & { spec: { nodeName?: string } })[] }>(
      'get',
      'pods',
      selector,
    );
    return list.items.flatMap(({ metadata, spec }) =>
      spec.nodeName === undefined ? [] : [{ name: metadata.name, node: spec.nodeName }],
    );
  }

  /** Sends a signal to all processes of a controller's pod. */
  async signal(pod: string, node: string, signal: 'KILL' | 'STOP' | 'CONT'): Promise<void> {
    const script =
      'for file in /proc/[0-9]*/environ; do grep -qsxz "POD_NAME=$1" "$file" || continue; ' +
      'pid=${file#/proc/}; kill -"$2" "${pid%/environ}"; done; true';
    await this.cluster.exec(node, ['sh', '-c', script, 'sh', pod, signal]);
  }

  /** git in the bare store itself. */
  async git(...args: readonly string[]): Promise<string> {
    // There may be no leader for a while.
    const { name } = await waitFor('a leader', () => this.leader(), { timeoutMs: 60_000 });
    return this.kubectl('exec', name, '--', 'git', '-C', '/var/lib/multinic/store.git', ...args);
  }

  async #lastWords(): Promise<string> {
    const pods = await this.kubectl('get', 'pods,jobs,events', '--output=wide').catch(String);
    const log = await this.kubectl(
      'logs',
      '--selector=app.kubernetes.io/component=controller',
      '--tail=30',
    ).catch(String);
    return `${pods}\n${log}`;
  }
}

function configPath(name: string, group: Group): string {
  return `multinicbizconfigs.${group}/${name}`;
}

async function contentHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    const path = join(REPOSITORY, source);
    const below = await readdir(path, { recursive: true }).catch(() => ['']);
    for (const name of below.sort()) {
      // Folders, and files that may be absent.
      const content = await readFile(join(path, name)).catch(() => undefined);
      if (content !== undefined) hash.update(`${join(source, name)}\0${content.length}\0`).update(content);
    }
  }
  return hash.digest('hex');
}

/** Merges maps recursively; any other value of the second map replaces that of the first. */
function merged(a: unknown, b: unknown): unknown {
  if (!isMap(a) || !isMap(b)) return b;
  const entries = Object.entries(b).map(([key, value]) => [key, key in a ? merged(a[key], value) : value]);
  return { ...a, ...(Object.fromEntries(entries) as object) };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
