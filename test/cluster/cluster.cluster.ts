// The cluster itself, tried: started by hand (docs/test-cluster.md), because it wants root and minutes the first time.
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { run } from '../nodes/command.ts';
import { waitFor } from '../nodes/wait.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { baseImage } from './image.ts';
import { KUBERNETES } from './programs.ts';

const version = process.env['KUBERNETES'] ?? KUBERNETES.newest;
const IMAGE = 'localhost/multinic-test/base:1';
const BOOT_ID = ['cat', '/proc/sys/kernel/random/boot_id'];

describe(`Kubernetes ${version}`, () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 2, version, log: console.log });
    await cluster.loadImage(await baseImage(IMAGE, console.log));
  }, 3_600_000);

  afterAll(async () => {
    const { dir, name } = cluster.lab.slot;
    await cluster.stop();
    await expect(access(dir)).rejects.toThrow('ENOENT');
    expect(await run('ip', ['netns', 'list'])).not.toContain(name);
    expect(await run('cat', ['/proc/self/mountinfo'])).not.toContain(dir);
  }, 60_000);

  test('two nodes are Ready, each with the identity that it was given', async () => {
    const list = JSON.parse(await cluster.kubectl(['get', 'nodes', '-o', 'json'])) as {
      items: { metadata: { name: string }; status: { nodeInfo: { systemUUID: string; kubeletVersion: string } } }[];
    };
    const seen = list.items.map(({ metadata, status: { nodeInfo } }) => [
      metadata.name,
      nodeInfo.systemUUID.replaceAll('-', ''),
      nodeInfo.kubeletVersion,
    ]);
    expect(seen).toEqual(
      ['worker-1', 'worker-2'].map((name) => [
        name,
        cluster.machine(name).systemUUID.replaceAll('-', ''),
        `v${version}`,
      ]),
    );
  });

  test("a Job's pod on the host network writes to the node that it is bound to, and its log is read", async () => {
    await apply(
      job('writer', 'worker-2', ['sh', '-c', 'echo written > /host/root/proof; ip -brief link; echo done']),
    );
    await cluster.kubectl(['wait', '--for=condition=Complete', 'job/writer', '--timeout=60s']);
    expect(await cluster.exec('worker-2', ['cat', '/root/proof'])).toBe('written');
    await expect(cluster.exec('worker-1', ['cat', '/root/proof'])).rejects.toThrow('No such file');
    const log = await cluster.kubectl(['logs', 'job/writer']);
    expect(log).toContain('eth0');
    expect(log).toContain('done');
  });

  test('a pod reaches a pod of the other node, by address and by Service, and kubectl execs into it', async () => {
    const serve = "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | nc -l -p 8080 -q 1; done";
    await apply(pod('server', 'worker-1', ['bash', '-c', 'exec -a server sleep 3600'], { app: 'server' }));
    await apply(pod('client', 'worker-2', ['sleep', '3600'], {}));
    void serve;
    await cluster.kubectl(['wait', '--for=condition=Ready', 'pod/server', 'pod/client', '--timeout=60s']);
    const address = await cluster.kubectl(['get', 'pod', 'server', '-o', 'jsonpath={.status.podIP}']);
    await run('true', []);
    expect(address).toMatch(/^10\./);
    const api = await cluster.kubectl(['get', 'service', 'kubernetes', '-o', 'jsonpath={.spec.clusterIP}']);
    const dial = (host: string, port: number) => ['bash', '-c', `exec 3<>/dev/tcp/${host}/${port} && echo open`];
    expect(await cluster.kubectl(['exec', 'client', '--', ...dial(api, 443)])).toBe('open');
    // Nobody listens there, and the answer of a living host is a refusal, not silence.
    await expect(cluster.kubectl(['exec', 'client', '--', ...dial(address, 9)])).rejects.toThrow('refused');
    expect(await cluster.exec('worker-2', dial(api, 443))).toBe('open');
  });

  test('secondary NICs come and go while the node runs, and configure as netplan says', async () => {
    const [one, two] = ['worker-1', 'worker-2'].map((name) => cluster.machine(name));
    await one!.attachNic({ mac: '02:00:00:00:01:01', network: 'tenant' });
    await two!.attachNic({ mac: '02:00:00:00:02:01', network: 'tenant' });
    await one!.write('/etc/netplan/90-multinic0.yaml', netplan('02:00:00:00:01:01', '192.168.7.1/24'), 0o600);
    await two!.write('/etc/netplan/90-multinic0.yaml', netplan('02:00:00:00:02:01', '192.168.7.2/24'), 0o600);
    await Promise.all([one, two].map((machine) => machine!.exec(['netplan', 'apply'])));
    const pings = () => one!.exec(['bash', '-c', 'ip neigh flush dev multinic0; exec 3<>/dev/tcp/192.168.7.2/10250 && echo open']);
    await waitFor('an answer over the tenant network', async () => (await pings()) === 'open', { timeoutMs: 20_000 });
    await one!.detachNic('02:00:00:00:01:01');
    expect(await one!.exec(['ip', '-brief', 'link'])).not.toContain('multinic0');
  });

  test('a node that reboots has another boot ID, its files, and is Ready again', async () => {
    const before = await cluster.exec('worker-2', BOOT_ID);
    await cluster.machine('worker-2').reboot();
    expect(await cluster.exec('worker-2', BOOT_ID)).not.toBe(before);
    expect(await cluster.exec('worker-2', ['ip', '-brief', 'address'])).toContain('192.168.7.2/24');
    await waitFor(
      'worker-2 to be Ready with its new boot',
      async () => {
        const fields = '{.status.nodeInfo.bootID} {.status.conditions[?(@.type=="Ready")].status}';
        const seen = await cluster.kubectl(['get', 'node', 'worker-2', '-o', `jsonpath=${fields}`]);
        return seen === `${await cluster.exec('worker-2', BOOT_ID)} True`;
      },
      { timeoutMs: 60_000 },
    );
  });

  test('the API server dies and comes back with what it knew', async () => {
    await cluster.kubectl(['create', 'configmap', 'kept', '--from-literal=a=b']);
    await cluster.controlPlane.restart('kube-apiserver', 'SIGKILL');
    await cluster.controlPlane.ready();
    expect(await cluster.kubectl(['get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}'])).toBe('b');
  });

  test('a node joins later, and leaves', async () => {
    await cluster.addNode({ name: 'late', systemUUID: '0c497169-a104-4448-afde-f27b79fca904', labels: { zone: 'b' } });
    const fields = '{.status.nodeInfo.systemUUID} {.metadata.labels.zone}';
    const seen = await cluster.kubectl(['get', 'node', 'late', '-o', `jsonpath=${fields}`]);
    expect(seen.replaceAll('-', '')).toBe('0c497169a1044448afdef27b79fca904 b');
    await cluster.removeNode('late');
    await cluster.kubectl(['delete', 'node', 'late']);
    await sleep(2_000);
    expect(cluster.nodes).toEqual(['worker-1', 'worker-2']);
    expect(await cluster.kubectl(['get', 'nodes', '-o', 'name'])).not.toContain('late');
  });

  test('helm installs a chart', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'multinic-chart-'));
    try {
      await cluster.helm(['create', join(dir, 'chart')]);
      const values = ['--set', 'replicaCount=0'];
      await cluster.helm(['install', 'tried', join(dir, 'chart'), ...values]);
      expect(await cluster.kubectl(['get', 'deployments', '-o', 'name'])).toContain('tried');
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  async function apply(object: unknown): Promise<void> {
    await cluster.kubectl(['apply', '-f', '-'], { input: stringify(object) });
  }
});

function podSpec(node: string, command: readonly string[]): Record<string, unknown> {
  return {
    nodeName: node,
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'main', image: IMAGE, imagePullPolicy: 'Never', command }],
  };
}

function pod(name: string, node: string, command: readonly string[], labels: Record<string, string>): unknown {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels }, spec: podSpec(node, command) };
}

/** As our agent's: the host's network, and its root at /host. */
function job(name: string, node: string, command: readonly string[]): unknown {
  const container = { name: 'main', image: IMAGE, imagePullPolicy: 'Never', command };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name },
    spec: {
      backoffLimit: 0,
      template: {
        spec: {
          ...podSpec(node, command),
          hostNetwork: true,
          containers: [{ ...container, volumeMounts: [{ name: 'host', mountPath: '/host' }] }],
          volumes: [{ name: 'host', hostPath: { path: '/' } }],
        },
      },
    },
  };
}

function netplan(mac: string, address: string): string {
  const multinic0 = { match: { macaddress: mac }, 'set-name': 'multinic0', addresses: [address] };
  return stringify({ network: { version: 2, ethernets: { multinic0 } } }, { compat: 'yaml-1.1' });
}
