// Ways to the API server besides a plain address of IPv4: IPv6 alone, a proxy, a front with tokens of its own; and a
// controller that may open no socket of IPv6.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFront, startTunnels, type FrontOptions } from '../cluster/api-proxies.ts';
import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { agentImage, Multinic } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { run } from '../nodes/command.ts';
import { BUILD_MS, config, entry, NAMESPACE, VERSION } from '../support/kube-cluster.ts';

const NAME = 'fleet';
const NODE = 'root-01';
const BUNDLE = resolve(import.meta.dirname, '../../dist/multinic.js');
const PROFILE = 'no-ipv6.json';
const REFUSE_IPV6 = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [
    {
      names: ['socket'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: 97,
      args: [{ index: 0, value: 10, op: 'SCMP_CMP_EQ' }],
    },
  ],
};

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
let dir: string;
let mtu = 1500;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-ways-'));
  cluster = await startCluster({ version: VERSION, nodes: [{ name: 'worker-1' }], log: console.log });
  const image = await agentImage(console.log);
  multinic = new Multinic(cluster, NAMESPACE, image);
  await Promise.all([cluster.loadImage(image.archive), multinic.makeNamespace()]);
  await multinic.makeVolume('worker-1');
  const write = `mkdir -p /var/lib/kubelet/seccomp && echo '${JSON.stringify(REFUSE_IPV6)}' > /var/lib/kubelet/seccomp/${PROFILE}`;
  await cluster.exec('worker-1', ['sh', '-c', write]);
  const seccompProfile = { type: 'Localhost', localhostProfile: PROFILE };
  await multinic.helm('install', { values: { controller: { securityContext: { seccompProfile } } } });
  kubelet = await RootKubelet.start(cluster, { nodes: 1, nics: 1 });
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
  await rm(dir, { recursive: true, force: true });
}, 60_000);

/** Gives the node another MTU, and waits until its file has it. */
async function expectAnEdit(): Promise<void> {
  mtu -= 10;
  const entries = kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs, { mtu }));
  await multinic.applyConfig(config(NAME, entries));
  await multinic.waitReady(NAME);
  expect(await kubelet.file(NODE, 'etc/netplan/90-multinic0.yaml')).toContain(`mtu: ${mtu}`);
}

function inController(script: string): Promise<string> {
  return multinic.kubectl('exec', 'deployment/multinic-agent-controller', '--', 'node', '-e', script);
}

test('a controller that may open no socket of IPv6 leads and configures a node', async () => {
  await multinic.rolledOut();
  const listen = "require('net').createServer().on('error', (e) => console.log(e.code)).listen(0, '::')";
  expect(await inController(listen)).toBe('EAFNOSUPPORT');
  await expectAnEdit();
}, 200_000);

/**
 * Gives the controller's pod a program beside the controller, which is its only way to the API server.
 * @param extraEnv by which the controller finds the program
 */
async function putBeside(script: string, extraEnv: Readonly<Record<string, string>>): Promise<void> {
  const env = Object.entries(extraEnv).map(([name, value]) => ({ name, value }));
  await multinic.helm('upgrade', { values: { controller: { extraEnv: env } } });
  const { name: image } = multinic.image;
  const way = { name: 'way', image, imagePullPolicy: 'Never', restartPolicy: 'Always' };
  const initContainers = [{ ...way, command: ['node', '-e', script] }];
  const patch = JSON.stringify({ spec: { template: { spec: { initContainers } } } });
  await multinic.kubectl('patch', 'deployment', 'multinic-agent-controller', `--patch=${patch}`);
  await multinic.rolledOut();
}

test('a controller that knows the API server by an address of IPv6 alone leads and configures a node', async () => {
  const to = cluster.controlPlane.addresses.kubernetesService;
  const relay = `const net = require('net');
    net.createServer((one) => {
      const other = net.connect(443, '${to}');
      one.on('error', () => other.destroy()).pipe(other);
      other.on('error', () => one.destroy()).pipe(one);
    }).listen(6444, '::1');`;
  await putBeside(relay, { KUBERNETES_SERVICE_HOST: '::1', KUBERNETES_SERVICE_PORT: '6444' });
  await expectAnEdit();
  // Established connections of this network namespace: 192C is the port 6444.
  const connections = await inController("console.log(require('fs').readFileSync('/proc/net/tcp6', 'utf8'))");
  expect(connections).toMatch(/ 0{24}01000000:192C 01 /);
}, 200_000);

test('a controller that reaches the API server through a proxy leads and configures a node', async () => {
  const proxy = `const net = require('net');
    require('http').createServer().on('connect', ({ url }, one) => {
      console.log(url);
      const other = net.connect(url.split(':')[1], url.split(':')[0], () => one.write('HTTP/1.1 200 OK\\r\\n\\r\\n'));
      one.on('error', () => other.destroy()).pipe(other);
      other.on('error', () => one.destroy()).pipe(one);
    }).listen(3128, '127.0.0.1');`;
  await putBeside(proxy, { HTTPS_PROXY: 'http://127.0.0.1:3128' });
  await expectAnEdit();
  const { name } = await multinic.leader();
  expect(await multinic.kubectl('logs', name, '--container=way')).toContain(
    `${cluster.controlPlane.addresses.kubernetesService}:443`,
  );
}, 200_000);

const FRONT = { host: '::1', prefix: '/k8s/clusters/c-m-abc12', token: 'kubeconfig-u-1:front' } as const;

function cli(line: string, kubeconfig: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const args = [BUNDLE, ...line.split(' '), '--cluster', '--kubeconfig', kubeconfig];
  return run(process.execPath, args, { cwd: dir, env: { HOME: dir, NO_PROXY: '', ...env } });
}

async function frontOf(options: Pick<FrontOptions, 'refuses'> = {}) {
  const front = await startFront({ ...FRONT, kubeconfig: cluster.kubeconfig, ...options });
  const file = join(dir, 'front.kubeconfig');
  await writeFile(file, front.kubeconfig, { mode: 0o600 });
  return { front, file };
}

describe('the CLI', () => {
  test('sees the fleet through a proxy, and commands too', async () => {
    await using tunnels = await startTunnels();
    const env = { HTTPS_PROXY: tunnels.url };
    expect(await cli('status', cluster.kubeconfig, env)).toMatch(/root-01.*Configured/);
    expect(await cli(`retry ${NODE}`, cluster.kubeconfig, env)).toContain('to be run again');
    const { host } = new URL(cluster.controlPlane.addresses.server);
    expect(new Set(tunnels.asked)).toEqual(new Set([host]));
    // The requests, and a forwarded port for each command.
    expect(tunnels.asked.length).toBeGreaterThanOrEqual(4);
    await cli(`wait ${NODE}`, cluster.kubeconfig);
  }, 120_000);

  test('sees the fleet where the API server has an address of IPv6 alone, behind a path and tokens of a front', async () => {
    const { front, file } = await frontOf();
    await using _ = front;
    expect(await cli('status', file)).toMatch(/root-01.*Configured/);
    expect(await cli(`retry ${NODE}`, file)).toContain('to be run again');
    expect(front.asked.filter((line) => /portforward/.test(line))).not.toEqual([]);
    await cli(`wait ${NODE}`, cluster.kubeconfig);
  }, 120_000);

  test('says what it takes where the front forwards no request for a token', async () => {
    const { front, file } = await frontOf({ refuses: /serviceaccounts\/.*\/token$/ });
    await using _ = front;
    await expect(cli('status', file)).rejects.toThrow(
      /does not know the token of your kubeconfig, and you may not create .*multinic-agent-operator-token/,
    );
  });
});
