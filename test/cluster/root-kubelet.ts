// A kubelet for nodes that are root folders: real Node objects with real heartbeats, whose pods are really bound, given
// tokens and reported, and run as the real agent on a recorded machine. It uses processes instead of a container
// runtime, and makes faults of a node on demand.
//
//   await using kubelet = await RootKubelet.start(cluster, { nodes: 16 });
//   kubelet.fail('root-03', { kind: 'oom', at: 'agent.write' });      // its next pod
//   kubelet.runs.filter((run) => run.node === 'root-03');
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { parse, stringify } from 'yaml';
import { MultinicError } from '../../src/api/errors.ts';
import { Outcome } from '../../src/api/outcome.ts';
import { Group } from '../nodes/group.ts';
import type { Cluster } from './cluster.ts';
import { PATCH, Rest, type KubeObject, type WatchType } from './rest.ts';
import { LabError } from '../support/lab-error.ts';

const BUNDLE = resolve(import.meta.dirname, '../../dist/multinic.js');
const HEARTBEAT_MS = 4_000;
const LEASE_SECONDS = 16;
const MESSAGE_BYTES = 4_096;
const LOG_TAIL_BYTES = 2_048;
const OS_IMAGE = 'Ubuntu 22.04.4 LTS';
/** A taint that keeps away every pod that does not tolerate all taints. */
const TAINT = { key: 'multinic.test/recorded', value: 'true', effect: 'NoSchedule' } as const;

export interface RootNode {
  readonly name: string;
  readonly systemUUID: string;
  readonly macs: readonly string[];
  /** File system of the node. */
  readonly root: string;
}

/** Fault of a pod; `at` is a checkpoint of the agent (src/api/checkpoint.ts). */
export type Fault =
  /** The pod is bound and not started until `mend`. */
  | { readonly kind: 'wait' }
  /** The image cannot be pulled until `mend`. */
  | { readonly kind: 'image' }
  /** The container starts, does nothing, and ignores SIGTERM. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'oom' | 'evict'; readonly at: string };

export interface AgentRun {
  readonly node: string;
  readonly pod: string;
  readonly job: string;
  readonly commit: string;
  readonly startedAt: Date;
  endedAt?: Date;
  exitCode?: number;
  /** Termination message of the container. */
  message?: string;
  outcome?: Outcome;
  /** A file of the host was written, replaced or removed during the run. */
  changedHost?: boolean;
  /** The contents of the host's files are the same before and after the run. */
  sameFiles?: boolean;
}

export interface RootKubeletOptions {
  /** Number of nodes (`root-01` …). */
  readonly nodes: number;
  /** Secondary NICs of each node. */
  readonly nics?: number;
  /** Real node whose network the agents use to reach Services; absent: the first node. */
  readonly through?: string;
}

interface Pod extends KubeObject {
  readonly spec: {
    readonly nodeName?: string;
    readonly serviceAccountName?: string;
    readonly terminationGracePeriodSeconds?: number;
    readonly activeDeadlineSeconds?: number;
    readonly containers: readonly Container[];
    readonly volumes?: readonly Volume[];
  };
  readonly status?: { readonly phase?: string };
}

interface NodeObject extends KubeObject {
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly terminationMessagePath?: string;
  readonly terminationMessagePolicy?: string;
}

interface FieldItem {
  readonly path: string;
  readonly fieldRef?: { readonly fieldPath: string };
}

interface TokenSource {
  readonly path: string;
  readonly audience?: string;
  readonly expirationSeconds?: number;
}

interface Volume {
  readonly name: string;
  readonly hostPath?: { readonly path: string };
  readonly downwardAPI?: { readonly items: readonly FieldItem[] };
  readonly projected?: {
    readonly sources: readonly {
      readonly serviceAccountToken?: TokenSource;
      readonly downwardAPI?: { readonly items: readonly FieldItem[] };
    }[];
  };
}

/** A pod from its binding to one of these nodes until its object is deleted. */
interface Life {
  readonly pod: Pod;
  readonly node: RootNode;
  /** Grace period in seconds, once the pod is to end. */
  readonly deleted: Promise<number>;
  readonly delete: (graceSeconds: number) => void;
  /** `mend` was called, so the pod can start. */
  readonly mended: Promise<void>;
  readonly mend: () => void;
  child?: ChildProcess;
}

interface Ending {
  readonly phase: 'Succeeded' | 'Failed';
  /** Reason in the pod's status: `Evicted`. */
  readonly podReason?: string;
  /** Reason in the container's status. */
  readonly reason: string;
  readonly exitCode: number;
  readonly message: string;
  readonly startedAt: Date;
}

export class RootKubelet implements AsyncDisposable {
  readonly nodes: readonly RootNode[];
  /** Every started agent, in order of its start. */
  readonly runs: AgentRun[] = [];
  readonly #cluster: Cluster;
  readonly #rest: Rest;
  readonly #dir: string;
  readonly #through: string;
  readonly #group: Group;
  readonly #stopping = new AbortController();
  readonly #lives = new Map<string, Life>();
  readonly #faults = new Map<string, Fault[]>();
  readonly #unreachable = new Set<string>();
  readonly #work: Promise<unknown>[] = [];

  private constructor(
    cluster: Cluster,
    dir: string,
    through: string,
    group: Group,
    nodes: readonly RootNode[],
  ) {
    this.#cluster = cluster;
    this.#rest = Rest.of(cluster.kubeconfig);
    this.#dir = dir;
    this.#through = through;
    this.#group = group;
    this.nodes = nodes;
  }

  /** Starts the kubelet. Returns when all its nodes are Ready. */
  static async start(
    cluster: Cluster,
    { nodes: count, nics = 2, through = cluster.nodes[0] }: RootKubeletOptions,
  ): Promise<RootKubelet> {
    if (through === undefined) {
      throw new LabError('NoNode', 'agents reach Services from a node only; start the cluster with one');
    }
    const dir = await cluster.lab.folder('root-kubelet');
    const group = await Group.create(cluster.lab.slot.group('root-kubelet'));
    const nodes = await Promise.all(
      Array.from({ length: count }, (_, index) => makeNode(join(dir, 'nodes'), index + 1, nics)),
    );
    const kubelet = new RootKubelet(cluster, dir, through, group, nodes);
    await Promise.all(nodes.map((node) => kubelet.register(node.name)));
    kubelet.#work.push(kubelet.#heartbeats(), kubelet.#follow());
    return kubelet;
  }

  node(name: string): RootNode {
    const node = this.nodes.find((each) => each.name === name);
    if (node !== undefined) return node;
    throw new MultinicError('NoSuchNode', `no root folder ${name}; see nodes`);
  }

  /** Sets faults of the next pods of a node, one for each pod. */
  fail(node: string, ...faults: readonly Fault[]): void {
    this.#faults.set(node, [...(this.#faults.get(node) ?? []), ...faults]);
  }

  /** Clears the faults of a node, and starts its waiting pods. */
  mend(node: string): void {
    this.#faults.delete(node);
    for (const life of this.#livesOn(node)) life.mend();
  }

  /** Cuts the node off: it becomes NotReady after 16 s, and its agents go on. */
  partition(node: string): void {
    this.#unreachable.add(node);
  }

  /** Ends the cut: the node is Ready again within a heartbeat. */
  rejoin(node: string): void {
    this.#unreachable.delete(node);
  }

  /** Reboots the node: its agents die, and it gets another boot ID. */
  async reboot(name: string): Promise<void> {
    const node = this.node(name);
    for (const life of this.#livesOn(name)) life.child?.kill('SIGKILL');
    await this.editHost(name, (host) => (host['bootId'] = randomUUID()));
    await this.#announce(node);
  }

  /** Replaces the machine under its name and instance ID, with an empty disk. */
  async rebuild(name: string): Promise<void> {
    const node = this.node(name);
    for (const life of this.#livesOn(name)) life.child?.kill('SIGKILL');
    await rm(join(node.root, 'var'), { recursive: true, force: true });
    for (const file of await readdir(join(node.root, 'etc/netplan')))
      if (file.includes('multinic')) await rm(join(node.root, 'etc/netplan', file), { recursive: true });
    await this.editHost(name, (host) => {
      host['machineId'] = digest(`machine ${name} ${String(host['machineId'])}`);
      host['bootId'] = randomUUID();
      host['links'] = (host['links'] as object[]).map((link, index) =>
        index === 0 ? link : unused(node.macs[index - 1]!, index),
      );
    });
    await this.#announce(node);
  }

  /** Changes the recorded machine of a node, as hardware would. */
  async editHost(name: string, edit: (host: Record<string, unknown>) => void): Promise<void> {
    const file = join(this.node(name).root, 'host.yaml');
    const host = parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    edit(host);
    await writeFile(file, stringify(host));
  }

  /** Makes the Node object, or makes it anew after somebody deleted it. Returns when it is Ready. */
  async register(name: string): Promise<void> {
    const node = this.node(name);
    const metadata = {
      name,
      labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64' },
    };
    const object = { apiVersion: 'v1', kind: 'Node', metadata, spec: { taints: [TAINT] } };
    await this.#insist(() => this.#rest.ask('POST', '/api/v1/nodes', object));
    await this.#renew(node);
    await this.#announce(node);
  }

  /** Content of a managed file of a node; undefined: the file does not exist. */
  async file(name: string, path: string): Promise<string | undefined> {
    return readFile(join(this.node(name).root, path), 'utf8').catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#group.remove();
    await Promise.all(this.#work);
    this.#rest.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #livesOn(node: string): Life[] {
    return [...this.#lives.values()].filter((life) => life.node.name === node);
  }

  async #heartbeats(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const heard = this.nodes.filter(({ name }) => !this.#unreachable.has(name));
      // A kubelet goes on even if its heartbeat fails.
      await Promise.allSettled(heard.map((node) => this.#renew(node)));
      await this.#contradict(heard).catch(() => {});
      await sleep(HEARTBEAT_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
    }
  }

  /** Renews the Lease, which is enough for an unchanged node. */
  async #renew({ name }: RootNode): Promise<void> {
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    const renewTime = new Date().toISOString().replace('Z', '000Z');
    const spec = { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime };
    const { status } = await this.#rest.ask('PATCH', `${leases}/${name}`, { spec }, PATCH.merge);
    if (status === 404) await this.#rest.ask('POST', leases, { metadata: { name }, spec });
  }

  /** Reports its nodes as Ready where the API server says otherwise. */
  async #contradict(nodes: readonly RootNode[]): Promise<void> {
    const { items } = await this.#rest.call<{ items: NodeObject[] }>(
      'GET',
      '/api/v1/nodes?resourceVersion=0',
    );
    const doubted = items
      .filter(
        ({ status }) => !status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
      )
      .map(({ metadata }) => metadata.name);
    await Promise.all(nodes.filter(({ name }) => doubted.includes(name)).map((node) => this.#announce(node)));
  }

  /** Writes the whole status, as a starting kubelet does. */
  async #announce(node: RootNode): Promise<void> {
    const host = parse(await readFile(join(node.root, 'host.yaml'), 'utf8')) as {
      machineId: string;
      bootId: string;
      nodeAddresses: string[];
    };
    const resources = { cpu: '4', memory: '8Gi', pods: '110', 'ephemeral-storage': '20Gi' };
    const now = new Date().toISOString();
    const condition = (type: string, status: string) => ({
      type,
      status,
      reason: 'RootKubelet',
      message: '',
      lastHeartbeatTime: now,
      lastTransitionTime: now,
    });
    const status = {
      capacity: resources,
      allocatable: resources,
      addresses: [
        { type: 'InternalIP', address: host.nodeAddresses[0] },
        { type: 'Hostname', address: node.name },
      ],
      conditions: [
        ...['MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => condition(type, 'False')),
        condition('Ready', 'True'),
      ],
      nodeInfo: {
        machineID: host.machineId,
        systemUUID: node.systemUUID,
        bootID: host.bootId,
        kernelVersion: '5.15.0',
        osImage: OS_IMAGE,
        containerRuntimeVersion: 'root://1',
        kubeletVersion: `v${this.#cluster.version}`,
        kubeProxyVersion: `v${this.#cluster.version}`,
        operatingSystem: 'linux',
        architecture: 'amd64',
      },
    };
    await this.#insist(() =>
      this.#rest.ask('PATCH', `/api/v1/nodes/${node.name}/status`, { status }, PATCH.strategic),
    );
  }

  async #follow(): Promise<void> {
    const heard = (type: WatchType, pod: Pod): void => this.#heard(type, pod);
    await this.#rest.follow<Pod>('/api/v1/pods', heard, this.#stopping.signal);
  }

  #heard(type: WatchType, pod: Pod): void {
    const node = this.nodes.find(({ name }) => name === pod.spec.nodeName);
    if (node === undefined) return;
    const { uid, deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
    let life = this.#lives.get(uid);
    if (type === 'DELETED') {
      // A deletion by force does not wait for the processes, but they end.
      life?.delete(0);
      return;
    }
    if (life === undefined) {
      const deleted = Promise.withResolvers<number>();
      const mended = Promise.withResolvers<void>();
      life = {
        pod,
        node,
        deleted: deleted.promise,
        delete: deleted.resolve,
        mended: mended.promise,
        mend: mended.resolve,
      };
      this.#lives.set(uid, life);
      this.#work.push(this.#live(life));
    }
    if (deletionTimestamp !== undefined) life.delete(deletionGracePeriodSeconds ?? 30);
  }

  async #live(life: Life): Promise<void> {
    const { pod } = life;
    try {
      const finished = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
      if (!finished && (await this.#mayStart(life))) await this.#report(life, await this.#run(life));
      await this.#unlessStopping(life.deleted);
      const { namespace, name, uid } = pod.metadata;
      const options = { gracePeriodSeconds: 0, preconditions: { uid } };
      await this.#reachable(life);
      await this.#insist(() =>
        this.#rest.ask('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`, options),
      );
    } catch (error) {
      if (!this.#stopping.signal.aborted) throw error;
    } finally {
      this.#lives.delete(pod.metadata.uid);
    }
  }

  /** @returns false: it was deleted before it started */
  async #mayStart(life: Life): Promise<boolean> {
    await this.#reachable(life);
    const [fault] = this.#faults.get(life.node.name) ?? [];
    if (fault?.kind === 'wait' || fault?.kind === 'image') {
      this.#faults.get(life.node.name)?.shift();
      if (fault.kind === 'image') await this.#reportNoImage(life);
      await this.#unlessStopping(Promise.race([life.mended, life.deleted]));
    }
    return (await Promise.race([life.deleted, Promise.resolve()])) === undefined;
  }

  async #run(life: Life): Promise<Ending> {
    const { pod, node } = life;
    const [container] = pod.spec.containers;
    if (container === undefined) throw new Error('a pod without containers');
    const dir = join(this.#dir, 'pods', pod.metadata.uid);
    const termination = join(dir, 'termination-log');
    const local = await this.#mount(pod, container, node, dir);
    await writeFile(termination, '');
    const words = [...(container.command ?? []), ...(container.args ?? [])];
    if (!words.includes('agent')) return notAnAgent(words);
    const agent = words.slice(words.indexOf('agent')).map(local);
    const [fault] = this.#faults.get(node.name) ?? [];
    if (fault !== undefined) this.#faults.get(node.name)?.shift();

    const startedAt = new Date();
    const run: AgentRun = { node: node.name, pod: pod.metadata.name, startedAt, ...(await jobOf(agent)) };
    const before = await filesOf(node.root);
    this.runs.push(run);
    const log = await open(join(dir, 'log'), 'a');
    try {
      const command = [process.execPath, BUNDLE, ...agent, '--offline'];
      const netns = `/run/netns/${this.#cluster.lab.slot.name}-${this.#through}`;
      const [file, ...args] = this.#group.wrap(['nsenter', `--net=${netns}`, '--', ...command]);
      const env = Object.fromEntries((container.env ?? []).map(({ name, value = '' }) => [name, value]));
      life.child = spawn(file, args, {
        stdio: ['ignore', log.fd, log.fd],
        env: {
          PATH: process.env['PATH'],
          ...env,
          ...(fault !== undefined && 'at' in fault && { MULTINIC_KILL_AT: fault.at }),
        },
      });
      await once(life.child, 'spawn');
      if (fault?.kind === 'hang') life.child.kill('SIGSTOP');
    } finally {
      await log.close();
    }
    const { child } = life;
    const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    this.#work.push(this.#endInTime(life, child));
    await this.#reportRunning(life, startedAt);
    const deadline = pod.spec.activeDeadlineSeconds;
    const timer = deadline === undefined ? undefined : setTimeout(() => child.kill(), deadline * 1_000);
    const [code, signal] = await exit;
    clearTimeout(timer);

    const exitCode = code ?? 128 + (signal === 'SIGKILL' ? 9 : 15);
    const written = await head(termination);
    const fromLog = written === '' && container.terminationMessagePolicy === 'FallbackToLogsOnError';
    const message = fromLog && exitCode !== 0 ? await tail(join(dir, 'log')) : written;
    const after = await filesOf(node.root);
    const changedHost = !isDeepStrictEqual(after.identities, before.identities);
    const sameFiles = isDeepStrictEqual(after.contents, before.contents);
    Object.assign(run, {
      endedAt: new Date(),
      exitCode,
      message,
      changedHost,
      sameFiles,
      ...outcomeOf(written),
    });
    const killed = signal === 'SIGKILL' && fault !== undefined;
    return {
      phase: exitCode === 0 ? 'Succeeded' : 'Failed',
      ...(killed && fault.kind === 'evict' && { podReason: 'Evicted' }),
      reason: exitCode === 0 ? 'Completed' : killed && fault.kind === 'oom' ? 'OOMKilled' : 'Error',
      exitCode,
      message,
      startedAt,
    };
  }

  /** Makes the pod's volumes. @returns where a path of the container is here */
  async #mount(
    pod: Pod,
    container: Container,
    node: RootNode,
    dir: string,
  ): Promise<(path: string) => string> {
    const places = new Map<string, string>();
    for (const { name, mountPath } of container.volumeMounts ?? []) {
      const volume = pod.spec.volumes?.find((each) => each.name === name);
      const host = volume?.hostPath;
      places.set(mountPath, host === undefined ? join(dir, 'volumes', name) : join(node.root, host.path));
    }
    places.set(container.terminationMessagePath ?? '/dev/termination-log', join(dir, 'termination-log'));
    const local = (path: string): string => {
      const mount = [...places.keys()]
        .filter((each) => path === each || path.startsWith(`${each}/`))
        .reduce((longest, each) => (each.length > longest.length ? each : longest), '');
      return mount === '' ? path : join(places.get(mount)!, path.slice(mount.length));
    };
    for (const { name, downwardAPI, projected } of pod.spec.volumes ?? []) {
      const folder = join(dir, 'volumes', name);
      const sources = [{ downwardAPI }, ...(projected?.sources ?? [])];
      for (const source of sources) {
        for (const item of source.downwardAPI?.items ?? [])
          await put(join(folder, item.path), localized(fieldOf(pod, item), local));
        if ('serviceAccountToken' in source && source.serviceAccountToken !== undefined)
          await put(
            join(folder, source.serviceAccountToken.path),
            await this.#token(pod, source.serviceAccountToken),
          );
      }
    }
    await mkdir(dir, { recursive: true });
    return local;
  }

  /** Requests a token that is bound to the pod, as a kubelet does. */
  async #token(pod: Pod, { audience, expirationSeconds }: TokenSource): Promise<string> {
    const { namespace, name, uid } = pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${pod.spec.serviceAccountName}/token`;
    const spec = {
      ...(audience !== undefined && { audiences: [audience] }),
      ...(expirationSeconds !== undefined && { expirationSeconds }),
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
    };
    const answer = await this.#insist(() => this.#rest.ask('POST', path, { spec }));
    return (answer as { status?: { token?: string } }).status?.token ?? '';
  }

  /** Ends a pod: SIGTERM, its grace period, SIGKILL. */
  async #endInTime({ deleted }: Life, child: ChildProcess): Promise<void> {
    const exit = once(child, 'exit');
    const grace = await Promise.race([deleted, exit]);
    if (typeof grace !== 'number') return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), grace * 1_000);
    if (child.exitCode === null && child.signalCode === null) await exit;
    clearTimeout(timer);
  }

  #reportNoImage(life: Life): Promise<void> {
    const message = `Back-off pulling image "${life.pod.spec.containers[0]?.image}"`;
    const state = { waiting: { reason: 'ImagePullBackOff', message } };
    return this.#patchStatus(life, { phase: 'Pending', ...containerStatus(life, state) });
  }

  #reportRunning(life: Life, startedAt: Date): Promise<void> {
    return this.#patchStatus(life, {
      phase: 'Running',
      startTime: startedAt.toISOString(),
      ...containerStatus(life, { running: { startedAt: startedAt.toISOString() } }),
    });
  }

  #report(life: Life, { phase, podReason, startedAt, ...ending }: Ending): Promise<void> {
    const evicted = podReason !== undefined;
    const terminated = {
      ...ending,
      startedAt: startedAt.toISOString(),
      finishedAt: new Date().toISOString(),
      ...(ending.message === '' && { message: undefined }),
    };
    return this.#patchStatus(life, {
      phase,
      ...(evicted && { reason: podReason, message: 'The node was low on resource: memory.' }),
      ...containerStatus(life, { terminated }),
    });
  }

  async #patchStatus(life: Life, status: object): Promise<void> {
    const { namespace, name, uid } = life.pod.metadata;
    await this.#reachable(life);
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/status`;
    await this.#insist(() => this.#rest.ask('PATCH', path, { metadata: { uid }, status }, PATCH.strategic));
  }

  async #reachable({ node }: Life): Promise<void> {
    while (this.#unreachable.has(node.name)) {
      this.#stopping.signal.throwIfAborted();
      await sleep(100);
    }
  }

  async #unlessStopping<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#stopping;
    const { promise, reject } = Promise.withResolvers<never>();
    const stop = (): void => reject(new LabError('Stopping', 'the kubelet stops; start another'));
    signal.throwIfAborted();
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([work, promise]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Asks until the API server has done it, or says that what it is about is not there (any more) or there already. */
  async #insist(ask: () => Promise<{ status: number; body: unknown }>): Promise<unknown> {
    for (;;) {
      this.#stopping.signal.throwIfAborted();
      const answer = await ask().catch(() => undefined);
      if (answer !== undefined && (answer.status < 400 || [404, 409].includes(answer.status)))
        return answer.body;
      if (answer !== undefined && answer.status < 500 && answer.status !== 429) {
        const said = JSON.stringify(answer.body).slice(0, 500);
        throw new LabError('ApiRefused', `the test kubelet is refused; see what it said: ${said}`);
      }
      await sleep(300);
    }
  }
}

async function makeNode(dir: string, index: number, nics: number): Promise<RootNode> {
  const two = String(index).padStart(2, '0');
  const hex = index.toString(16).padStart(2, '0');
  const name = `root-${two}`;
  const root = join(dir, name, 'root');
  const macs = Array.from({ length: nics }, (_, nic) => `02:00:00:01:${hex}:0${nic + 1}`);
  const primary = { name: 'eth0', mac: `fa:16:3e:01:${hex}:00`, address: `10.99.0.${10 + index}` };
  const links = [
    { name: 'eth0', mac: primary.mac, up: true, mtu: 1500, addresses: [`${primary.address}/24`] },
    ...macs.map((mac, nic) => unused(mac, nic + 1)),
  ];
  const host = {
    osImage: OS_IMAGE,
    machineId: digest(`machine ${name}`),
    bootId: randomUUID(),
    nodeAddresses: [primary.address],
    links,
    routes: [{ to: 'default', via: '10.99.0.1', dev: 'eth0' }],
  };
  await put(join(root, 'host.yaml'), stringify(host));
  const eth0 = {
    match: { macaddress: primary.mac },
    'set-name': 'eth0',
    addresses: [`${primary.address}/24`],
  };
  const cloudInit = { network: { version: 2, ethernets: { eth0 } } };
  await put(join(root, 'etc/netplan/50-cloud-init.yaml'), stringify(cloudInit, { compat: 'yaml-1.1' }));
  const uuid = digest(`system ${name}`).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return { name, systemUUID: uuid, macs, root };
}

/** Name of the next unused NIC in udev's form, from 1 on. */
function unused(mac: string, index: number): object {
  return { name: `ens${4 + index}`, mac, up: false, mtu: 1500 };
}

function containerStatus({ pod }: Life, state: object): object {
  const { name, image } = pod.spec.containers[0]!;
  const running = 'running' in state;
  const now = new Date().toISOString();
  const condition = (type: string, on: boolean) => ({
    type,
    status: on ? 'True' : 'False',
    lastTransitionTime: now,
  });
  return {
    conditions: [
      condition('Initialized', true),
      condition('Ready', running),
      condition('ContainersReady', running),
    ],
    containerStatuses: [
      { name, image, imageID: image, ready: running, started: running, restartCount: 0, state },
    ],
  };
}

function notAnAgent(words: readonly string[]): Ending {
  const message = `the test kubelet runs agents only, not ${words.join(' ')}`;
  return { phase: 'Failed', reason: 'StartError', exitCode: 128, message, startedAt: new Date() };
}

/** Files of the downward API: here, a pod's own annotations and labels. */
function fieldOf(pod: Pod, { path, fieldRef }: FieldItem): string {
  const found = /^metadata\.(annotations|labels)\['(.+)'\]$/.exec(fieldRef?.fieldPath ?? '');
  if (found === null) throw new Error(`${path}: ${fieldRef?.fieldPath} is more than this kubelet knows`);
  const [, kind, key] = found;
  return pod.metadata[kind as 'annotations' | 'labels']?.[key!] ?? '';
}

/** Replaces the container's paths in a JSON file by paths of this machine. */
function localized(text: string, local: (path: string) => string): string {
  if (!text.startsWith('{')) return text;
  return JSON.stringify(
    JSON.parse(text, (_key, value: unknown) => (typeof value === 'string' ? local(value) : value)),
  );
}

async function jobOf(agent: readonly string[]): Promise<{ job: string; commit: string }> {
  const file = agent[agent.indexOf('--job') + 1] ?? '';
  const { name, commit } = JSON.parse(await readFile(file, 'utf8')) as { name: string; commit: string };
  return { job: name, commit };
}

function outcomeOf(message: string): { outcome?: Outcome } {
  try {
    return { outcome: Outcome.parse(JSON.parse(message)) };
  } catch {
    return {};
  }
}

interface HostFiles {
  /** Inode and times: other values mean that the file was written. */
  readonly identities: ReadonlyMap<string, string>;
  readonly contents: ReadonlyMap<string, string>;
}

/** Every file but the agent's own. */
async function filesOf(root: string): Promise<HostFiles> {
  const identities = new Map<string, string>();
  const contents = new Map<string, string>();
  for (const path of (await readdir(join(root, 'etc'), { recursive: true })).sort()) {
    const file = join(root, 'etc', path);
    // The file was deleted meanwhile.
    const found = await stat(file, { bigint: true }).catch(() => undefined);
    if (found?.isFile() !== true) continue;
    identities.set(path, `${found.ino} ${found.mtimeNs}`);
    contents.set(path, await readFile(file, 'utf8').catch(() => ''));
  }
  return { identities, contents };
}

async function put(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

async function head(file: string): Promise<string> {
  return (await readFile(file)).subarray(0, MESSAGE_BYTES).toString();
}

async function tail(file: string): Promise<string> {
  return (await readFile(file)).subarray(-LOG_TAIL_BYTES).toString();
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
