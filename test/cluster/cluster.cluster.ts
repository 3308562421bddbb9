// Tests of the test cluster itself (docs/test-cluster.md). They are started by hand, because they need root, and minutes the first time.
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { run } from '../nodes/command.ts';
import { waitFor } from '../nodes/wait.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { BASE_IMAGE, baseImage, buildImage } from './base-image.ts';
import { KUBERNETES } from './programs.ts';

const version = process.env['KUBERNETES'] ?? KUBERNETES.newest;
const LONG = { timeout: 60_000, interval: 200 };
const BOOT_ID = ['cat', '/proc/sys/kernel/random/boot_id'];

describe(`Kubernetes ${version}`, () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 2, version, log: console.log });
    await cluster.loadImage(await baseImage(console.log));
  }, 3_600_000);

  afterAll(() => cluster.stop(), 60_000);

  test('two nodes are Ready, each with the identity that it was given', async () => {
    const list = JSON.parse(await cluster.kubectl(['get', 'nodes', '-o', 'json'])) as {
      items: {
        metadata: { name: string };
        status: { nodeInfo: { systemUUID: string; kubeletVersion: string } };
      }[];
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
      job('writer', 'worker-2', [
        'sh',
        '-c',
        'echo written > /host/root/proof; cat /proc/net/dev; echo done',
      ]),
    );
    await cluster.kubectl(['wait', '--for=condition=Complete', 'job/writer', '--timeout=60s']);
    expect(await cluster.exec('worker-2', ['cat', '/root/proof'])).toBe('written');
    await expect(cluster.exec('worker-1', ['cat', '/root/proof'])).rejects.toThrow('No such file');
    const log = await cluster.kubectl(['logs', 'job/writer']);
    expect(log).toContain('eth0');
    expect(log).toContain('done');
  });

  test("what the agent's Job may do works: links, the system bus, the netplan generator, and nothing with pid 1's socket", async () => {
    const bus = 'org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager';
    const script = [
      'ip link add probe type bridge && ip link delete probe && echo links',
      `busctl call ${bus} RestartUnit ss cron-that-is-not-there.service replace 2>&1 | grep -o 'not found'`,
      `busctl call ${bus} GetUnit s dbus.service | grep -o dbus_2eservice`,
      'mkdir /tmp/staging && cp -r --parents /etc/netplan /tmp/staging',
      '/usr/libexec/netplan/generate --root-dir /tmp/staging && cat /tmp/staging/run/systemd/network/*eth0.network',
      'systemctl is-system-running 2>&1 || true',
    ].join('\n');
    await apply(agentPod('agent', 'worker-1', script));
    await cluster.kubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/agent', '--timeout=30s']);
    const log = await cluster.kubectl(['logs', 'agent']);
    for (const line of [
      'links',
      'not found',
      'dbus_2eservice',
      `Address=${cluster.machine('worker-1').address}/24`,
    ]) {
      expect(log).toContain(line);
    }
    expect(log).toContain('Failed to connect to bus');
  });

  test('a pod reaches a pod of the other node by address and by Service, and kubectl execs into it', async () => {
    const serve = "require('http').createServer((_, to) => to.end('hello')).listen(8080)";
    await apply(pod('server', 'worker-1', ['node', '-e', serve], { app: 'server' }));
    await apply(pod('client', 'worker-2', ['sleep', '3600'], {}));
    await cluster.kubectl(['expose', 'pod', 'server', '--port=80', '--target-port=8080']);
    await cluster.kubectl(['wait', '--for=condition=Ready', 'pod/server', 'pod/client', '--timeout=60s']);
    const address = await cluster.kubectl(['get', 'pod', 'server', '-o', 'jsonpath={.status.podIP}']);
    const service = await cluster.kubectl(['get', 'service', 'server', '-o', 'jsonpath={.spec.clusterIP}']);
    const inPod = (url: string) => cluster.kubectl(['exec', 'client', '--', ...nodeFetch(url)]);
    expect(await inPod(`http://${address}:8080`)).toBe('hello');
    await waitFor('the Service', async () => (await inPod(`http://${service}`)) === 'hello', {
      timeoutMs: 20_000,
    });
    // From outside of all pods: from a node by address and Service, from this machine by the pod's address.
    const dial = ['bash', '-c', `exec 3<>/dev/tcp/${service}/80 && echo open`];
    expect(await cluster.exec('worker-2', dial)).toBe('open');
    expect(await (await fetch(`http://${address}:8080`)).text()).toBe('hello');
  });

  test('an image is built from a Dockerfile, loaded, and runs', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'multinic-image-'));
    try {
      await writeFile(
        join(dir, 'Dockerfile'),
        'FROM node:24-trixie-slim\nRUN echo built > /proof\nUSER node\n',
      );
      const [name, archive] = ['localhost/multinic-test/built:1', join(dir, 'image.tar')];
      await buildImage({ context: dir, name, archive, log: console.log });
      await cluster.loadImage(archive, ['worker-1']);
      await apply(pod('built', 'worker-1', ['sh', '-c', 'cat /proof; id -un; node --version'], {}, name));
      const done = 'jsonpath={.status.phase}=Succeeded';
      await cluster.kubectl(['wait', `--for=${done}`, 'pod/built', '--timeout=60s']);
      expect(await cluster.kubectl(['logs', 'built'])).toBe(`built\nnode\n${process.version}`);
    } finally {
      await rm(dir, { recursive: true });
    }
  }, 900_000);

  test('secondary NICs come and go while the node runs, and get their configuration from netplan', async () => {
    const [one, two] = ['worker-1', 'worker-2'].map((name) => cluster.machine(name));
    await one!.attachNic({ mac: '02:00:00:00:01:01', network: 'tenant' });
    await two!.attachNic({ mac: '02:00:00:00:02:01', network: 'tenant' });
    await one!.write('/etc/netplan/90-multinic0.yaml', netplan('02:00:00:00:01:01', '192.168.7.1/24'), 0o600);
    await two!.write('/etc/netplan/90-multinic0.yaml', netplan('02:00:00:00:02:01', '192.168.7.2/24'), 0o600);
    await Promise.all([one, two].map((machine) => machine!.exec(['netplan', 'apply'])));
    const pings = () =>
      one!.exec([
        'bash',
        '-c',
        'ip neigh flush dev multinic0; exec 3<>/dev/tcp/192.168.7.2/10250 && echo open',
      ]);
    await waitFor('an answer over the tenant network', async () => (await pings()) === 'open', {
      timeoutMs: 20_000,
    });
    await one!.detachNic('02:00:00:00:01:01');
    expect(await one!.exec(['ip', '-brief', 'link'])).not.toContain('multinic0');
  });

  test('a node that reboots has another boot ID, its files, and is Ready again', async () => {
    const before = await cluster.exec('worker-2', BOOT_ID);
    await cluster.exec('worker-2', ['ip', 'rule', 'add', 'from', '192.0.2.1', 'lookup', '77']);
    await cluster.machine('worker-2').reboot();
    expect(await cluster.exec('worker-2', ['ip', 'rule'])).not.toContain('192.0.2.1');
    const after = await cluster.exec('worker-2', BOOT_ID);
    expect(after).not.toBe(before);
    expect(await cluster.exec('worker-2', ['ip', '-brief', 'address'])).toContain('192.168.7.2/24');
    await expect.poll(() => seen('worker-2'), LONG).toBe(`${after} True`);
  });

  test('a node that loses its power is not Ready, and Ready when it is back', async () => {
    const before = await cluster.exec('worker-2', BOOT_ID);
    await cluster.machine('worker-2').kill();
    await expect.poll(() => seen('worker-2'), LONG).toBe(`${before} Unknown`);
    await cluster.machine('worker-2').start();
    const back = await cluster.exec('worker-2', BOOT_ID);
    expect(back).not.toBe(before);
    await expect.poll(() => seen('worker-2'), LONG).toBe(`${back} True`);
  });

  test('the API server dies and comes back with what it knew', async () => {
    await cluster.kubectl(['create', 'configmap', 'kept', '--from-literal=a=b']);
    await cluster.controlPlane.restart('kube-apiserver', 'SIGKILL');
    await cluster.controlPlane.ready();
    expect(await cluster.kubectl(['get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}'])).toBe('b');
  });

  test('etcd is compacted through its JSON gateway', async () => {
    const call = async (path: string, body: object): Promise<{ header: { revision: string } }> => {
      const url = `${cluster.controlPlane.addresses.etcd}${path}`;
      const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
      expect(response.status).toBe(200);
      return (await response.json()) as { header: { revision: string } };
    };
    const { header } = await call('/v3/kv/range', { key: 'AA==' });
    await call('/v3/kv/compaction', { revision: header.revision });
    expect(await cluster.kubectl(['get', 'configmap', 'kept', '-o', 'name'])).toBe('configmap/kept');
  });

  test('a node joins later, and leaves', async () => {
    await cluster.addNode({
      name: 'late',
      systemUUID: '0c497169-a104-4448-afde-f27b79fca904',
      labels: { zone: 'b' },
    });
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

  test('stopping it leaves nothing', async () => {
    const { dir, name } = cluster.lab.slot;
    await cluster.stop();
    await expect(access(dir)).rejects.toThrow('ENOENT');
    expect(await run('ip', ['netns', 'list'])).not.toContain(name);
    expect(await run('cat', ['/proc/self/mountinfo'])).not.toContain(dir);
  });

  /** The boot ID of a node, and whether the node is Ready. */
  function seen(node: string): Promise<string> {
    const fields = '{.status.nodeInfo.bootID} {.status.conditions[?(@.type=="Ready")].status}';
    return cluster.kubectl(['get', 'node', node, '-o', `jsonpath=${fields}`]);
  }

  async function apply(object: unknown): Promise<void> {
    await cluster.kubectl(['apply', '-f', '-'], { input: stringify(object) });
  }
});

function nodeFetch(url: string): string[] {
  return ['node', '-e', `fetch('${url}').then(r => r.text()).then(console.log)`];
}

/** A pod with the least rights that an agent needs on its node. */
function agentPod(name: string, node: string, script: string): object {
  const container = {
    name: 'main',
    image: BASE_IMAGE,
    imagePullPolicy: 'Never',
    command: ['chroot', '/host', 'sh', '-ec', script],
    volumeMounts: [{ name: 'host', mountPath: '/host' }],
    securityContext: {
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'SYS_ADMIN', 'SYS_CHROOT'] },
    },
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      nodeName: node,
      restartPolicy: 'Never',
      hostNetwork: true,
      automountServiceAccountToken: false,
      containers: [container],
      volumes: [{ name: 'host', hostPath: { path: '/' } }],
    },
  };
}

function podSpec(node: string, command: readonly string[], image = BASE_IMAGE): Record<string, unknown> {
  return {
    nodeName: node,
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'main', image, imagePullPolicy: 'Never', command }],
  };
}

function pod(
  name: string,
  node: string,
  command: readonly string[],
  labels: Readonly<Record<string, string>>,
  image?: string,
): object {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels }, spec: podSpec(node, command, image) };
}

/** A pod like the agent's, with the host's network and the host's root at /host. */
function job(name: string, node: string, command: readonly string[]): unknown {
  const container = { name: 'main', image: BASE_IMAGE, imagePullPolicy: 'Never', command };
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
