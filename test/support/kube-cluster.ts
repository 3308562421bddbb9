// Shared parts of the tests on clusters: clusters with multinic, CRs for their nodes, and people who clone and push.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { StatusReport } from '../../src/controller/status-report.ts';
import { waitFor } from '../nodes/wait.ts';
import { startCluster, type Cluster, type NodeSpec } from '../cluster/cluster.ts';
import {
  agentImage,
  installMultinic,
  type Config,
  type Group,
  type InstallOptions,
  type Interface,
  type Multinic,
  type NodeConfig,
  type StoredConfig,
} from '../cluster/install.ts';
import { KUBERNETES } from '../cluster/programs.ts';
import type { RootKubelet, RootNode } from '../cluster/root-kubelet.ts';
import { git, type GitResult } from './http.ts';

export const VERSION = process.env['KUBERNETES'] ?? KUBERNETES.newest;
/** Longest time of building everything that a cluster needs, with an empty cache. */
export const BUILD_MS = 3_600_000;
export const NAMESPACE = 'multinic-system';
/** The name in the store's certificate, which people use in URLs. */
const STORE_HOST = `multinic-agent-store.${NAMESPACE}.svc`;
const STORE_PORT = 8443;

/** A cluster with multinic installed by helm. */
export async function setUp(
  nodes: readonly NodeSpec[],
  options: InstallOptions = {},
): Promise<{ cluster: Cluster; multinic: Multinic }> {
  const cluster = await startCluster({ version: VERSION, nodes, log: console.log });
  try {
    const image = options.image ?? (await agentImage(console.log));
    return { cluster, multinic: await installMultinic(cluster, { image, log: console.log, ...options }) };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** Attaches secondary NICs to a real node. */
export async function attach(cluster: Cluster, node: string, ...macs: readonly string[]): Promise<void> {
  for (const mac of macs) await cluster.machine(node).attachNic({ mac, network: 'tenant' });
}

/** Content of a file of a real node; undefined: the file does not exist. */
export async function hostFile(cluster: Cluster, node: string, path: string): Promise<string | undefined> {
  return cluster.exec(node, ['cat', path]).catch(() => undefined);
}

/** A NIC's name on a real node, by its MAC. */
export async function linkName(cluster: Cluster, node: string, mac: string): Promise<string | undefined> {
  const links = JSON.parse(await cluster.exec(node, ['ip', '-json', 'link'])) as {
    address: string;
    ifname: string;
  }[];
  return links.find(({ address }) => address === mac)?.ifname;
}

export function config(
  name: string,
  nodeConfigs: readonly NodeConfig[],
  group: Group = 'multinic.okestro.io',
  annotations: Readonly<Record<string, string>> = {},
): Config {
  return {
    apiVersion: `${group}/v1`,
    kind: 'MultiNicBizConfig',
    metadata: { name, namespace: NAMESPACE, annotations },
    spec: { providerId: 'test', specHash: hashOf(nodeConfigs), nodeConfigs: [...nodeConfigs] },
  };
}

/**
 * A node's entry with one interface for each MAC: 10.<net>.<MAC's last two bytes>/16. Without an ID the entry has the
 * node's name.
 */
export function entry(
  nodeId: string,
  nodeName: string,
  macs: readonly string[],
  changes: Partial<Interface> = {},
): NodeConfig {
  const interfaces = macs.map((mac, index) => {
    const [high, low] = mac
      .split(':')
      .slice(-2)
      .map((byte) => Number.parseInt(byte, 16));
    const address = `10.${120 + index}.${high}.${low}`;
    return {
      portId: `port-${index}-${nodeName}`,
      macAddress: mac,
      address,
      cidr: `${address}/16`,
      mtu: 1500,
      ...changes,
    };
  });
  return { ...(nodeId !== '' && { attachedNodeId: nodeId }), attachedNodeName: nodeName, interfaces };
}

function nics(node: RootNode): { mac: string; cidr: string }[] {
  return entry('', node.name, node.macs).interfaces!.map(({ macAddress, cidr }) => ({
    mac: macAddress!,
    cidr: cidr!,
  }));
}

/**
 * Files of a host that the earlier agent configured: names followed the order in the CR, and the CR has another order
 * now.
 */
export async function configureAsEarlierAgent(kubelet: RootKubelet, node: RootNode): Promise<void> {
  const configured = nics(node)
    .reverse()
    .map((nic, index) => ({ ...nic, name: `multinic${index}` }));
  for (const [index, { name, mac, cidr }] of configured.entries()) {
    const file = join(node.root, `etc/netplan/9${index}-${name}.yaml`);
    await mkdir(dirname(file), { recursive: true });
    const text = `network:
  version: 2
  ethernets:
    ${name}:
      match:
        macaddress: ${mac}
      set-name: ${name}
      addresses:
        - ${cidr}
      mtu: 1500
`;
    await writeFile(file, text, { mode: 0o600 });
  }
  await kubelet.editHost(node.name, (host) => {
    const [eth0] = host['links'] as object[];
    host['links'] = [
      eth0,
      ...configured.map(({ name, mac, cidr }) => ({ name, mac, up: true, mtu: 1500, addresses: [cidr] })),
    ];
  });
}

/** The metrics of the controller that leads. */
export async function metricsOf(multinic: Multinic): Promise<string> {
  const { address } = await multinic.leader();
  return (await fetch(`http://${address}:8080/metrics`)).text();
}

/** A node of a CR's status. */
export function nodeOf({ status }: StoredConfig, name: string) {
  return status?.nodeStatuses.find((node) => node.attachedNodeName === name);
}

export function conditionOf({ status }: StoredConfig, type: string) {
  return status?.conditions.find((condition) => condition.type === type);
}

/** Waits until a CR fulfils the condition. @returns the CR */
export async function untilConfig(
  multinic: Multinic,
  name: string,
  what: string,
  so: (config: StoredConfig) => boolean,
  { group = 'multinic.okestro.io', seconds = 90 }: { group?: Group; seconds?: number } = {},
): Promise<StoredConfig> {
  let last: StoredConfig | undefined;
  return waitFor(
    `${name}: ${what}`,
    async () => {
      last = await multinic.configOf(name, group);
      return so(last) && last;
    },
    {
      timeoutMs: seconds * 1_000,
      everyMs: 300,
      hint: () => JSON.stringify(last?.status, undefined, 1),
    },
  );
}

/** Messages of the Events with a reason. */
export async function events(multinic: Multinic, reason: string): Promise<string[]> {
  const text = await multinic.cluster.kubectl([
    'get',
    'events',
    '--all-namespaces',
    `--field-selector=reason=${reason}`,
    '--output=jsonpath={range .items[*]}{.message}{"\\n"}{end}',
  ]);
  return text.split('\n').filter((line) => line !== '');
}

/**
 * Makes a person with a token and no certificate.
 * @param reaching whether the person may forward ports
 * @returns path of the person's kubeconfig, in the cluster's folder
 */
export async function kubeconfigOf(
  multinic: Multinic,
  name: string,
  role: string,
  reaching = true,
): Promise<string> {
  const { cluster, namespace } = multinic;
  await multinic.kubectl('create', 'serviceaccount', name);
  const account = `--serviceaccount=${namespace}:${name}`;
  await multinic.kubectl('create', 'clusterrolebinding', `test-${name}`, `--clusterrole=${role}`, account);
  if (reaching) await multinic.kubectl('create', 'rolebinding', name, '--role=multinic-agent-cli', account);
  const token = await multinic.kubectl('create', 'token', name);
  const file = `${cluster.kubeconfig}.${name}`;
  const admin = JSON.parse(await cluster.kubectl(['config', 'view', '--raw', '--output=json'])) as {
    clusters: object[];
    contexts: { name: string; context: { cluster: string } }[];
  };
  const own = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: admin.clusters,
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: admin.contexts[0]!.context.cluster, user: name } }],
    'current-context': name,
  };
  await writeFile(file, stringify(own), { mode: 0o600 });
  return file;
}

/** A person with a token of their own, and one of the chart's ClusterRoles. */
export class Person implements AsyncDisposable {
  readonly name: string;
  readonly token: string;
  readonly dir: string;
  readonly #multinic: Multinic;

  private constructor(multinic: Multinic, name: string, token: string, dir: string) {
    this.#multinic = multinic;
    this.name = name;
    this.token = token;
    this.dir = dir;
  }

  static async create(multinic: Multinic, name: string, access: 'read' | 'write' | 'none'): Promise<Person> {
    await multinic.kubectl('create', 'serviceaccount', name);
    if (access !== 'none') {
      const account = `--serviceaccount=${multinic.namespace}:${name}`;
      const role = `--clusterrole=${await historyRole(multinic, access)}`;
      await multinic.kubectl('create', 'clusterrolebinding', `test-${name}`, role, account);
    }
    const token = await multinic.kubectl('create', 'token', name);
    const dir = await mkdtemp(join(tmpdir(), 'multinic-person-'));
    const ca = await multinic.json<{ data: Record<string, string> }>('get', 'configmap', 'multinic-agent-ca');
    await writeFile(join(dir, 'ca.crt'), ca.data['ca.crt'] ?? '');
    return new Person(multinic, name, token, dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }

  /** The same server, with another person's token. */
  with(token: string): Person {
    return new Person(this.#multinic, this.name, token, this.dir);
  }

  async lsRemote(): Promise<GitResult> {
    return git(this.dir, ...(await this.#settings()), 'ls-remote', this.remote);
  }

  async fetchInto(dir: string, what: string, ...settings: readonly string[]): Promise<GitResult> {
    return git(dir, ...settings, ...(await this.#settings()), 'fetch', '-q', this.remote, what);
  }

  async pushFrom(dir: string, what: string): Promise<GitResult> {
    return git(dir, ...(await this.#settings()), 'push', this.remote, what);
  }

  /** Runs git in this person's clone, against the leading replica. Never throws. */
  async tryGit(...args: readonly string[]): Promise<GitResult> {
    return git(join(this.dir, 'store'), ...(await this.#settings()), ...args);
  }

  async git(...args: readonly string[]): Promise<string> {
    const ended = await this.tryGit(...args);
    if (ended.code !== 0) throw new Error(`git ${args.join(' ')}: ${ended.stdout}\n${ended.stderr}`);
    return ended.stdout;
  }

  async clone(): Promise<void> {
    const ended = await this.tryClone();
    if (ended.code !== 0) throw new Error(ended.stderr);
  }

  async tryClone(): Promise<GitResult> {
    return git(this.dir, ...(await this.#settings()), 'clone', '-q', this.remote, 'store');
  }

  get remote(): string {
    return `https://multinic:${this.token}@${STORE_HOST}:${STORE_PORT}/git`;
  }

  /** Checks out the present branch of a node. */
  async switch(node: string): Promise<void> {
    await this.git('fetch', '-q');
    await this.git('switch', '-q', '-C', `node/${node}`, `origin/node/${node}`);
  }

  async push(node: string): Promise<string> {
    await this.git('push', '-q', 'origin', `HEAD:refs/heads/node/${node}`);
    return this.git('rev-parse', 'HEAD');
  }

  /** Subjects of a branch, newest first. */
  async subjects(branch: string): Promise<string[]> {
    await this.git('fetch', '-q');
    return (await this.git('log', '--first-parent', '--format=%s', `origin/${branch}`)).split('\n');
  }

  /** Sends a request to the store's Service. A refusal is no exception. */
  async ask(method: 'GET' | 'POST', path: string, body?: object): Promise<{ status: number; body: unknown }> {
    const { address } = await this.#multinic.leader();
    const call = request({
      host: address,
      port: STORE_PORT,
      servername: STORE_HOST,
      ca: readFileSync(join(this.dir, 'ca.crt')),
      method,
      path,
      agent: false,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      signal: AbortSignal.timeout(30_000),
    });
    call.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    const text = (await response.setEncoding('utf8').toArray()).join('');
    return { status: response.statusCode ?? 0, body: text === '' ? undefined : parse(text) };
  }

  async status(): Promise<StatusReport> {
    const { status, body } = await this.ask('GET', '/api/v1/status');
    if (status !== 200) throw new Error(`GET status: ${status} ${JSON.stringify(body)}`);
    return body as StatusReport;
  }

  /** Sends a command to the API. @throws if it is refused */
  async command(path: string, body: object = {}): Promise<unknown> {
    const answer = await this.ask('POST', `/api/v1${path}`, body);
    if (answer.status >= 300)
      throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async #settings(): Promise<string[]> {
    const { address } = await this.#multinic.leader();
    return [
      '-c',
      `http.curloptResolve=${STORE_HOST}:${STORE_PORT}:${address}`,
      '-c',
      `http.sslCAInfo=${join(this.dir, 'ca.crt')}`,
    ];
  }
}

interface ClusterRole {
  readonly metadata: { readonly name: string };
  readonly rules: readonly { readonly resources?: readonly string[]; readonly verbs: readonly string[] }[];
}

/** The chart's ready role for people who read, or who also push. */
async function historyRole(multinic: Multinic, access: 'read' | 'write'): Promise<string> {
  const selector = '--selector=app.kubernetes.io/name=multinic-agent';
  const { items } = await multinic.json<{ items: ClusterRole[] }>('get', 'clusterroles', selector);
  const found = items.find(({ rules }) => {
    const verbs = rules
      .filter(({ resources }) => resources?.includes('multinicbizconfigs/history'))
      .flatMap((rule) => rule.verbs);
    return verbs.length > 0 && verbs.includes('update') === (access === 'write');
  });
  if (found === undefined) throw new Error(`the chart has no ClusterRole for people who ${access}`);
  return found.metadata.name;
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}
