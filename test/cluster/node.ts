// A node: a machine of the lab with containerd, kubelet and kube-proxy, as a distribution would set them up.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Lab } from '../nodes/lab.ts';
import type { Machine } from '../nodes/machine.ts';
import type { RootfsKind } from '../nodes/rootfs.ts';
import { waitFor } from '../nodes/wait.ts';
import type { ControlPlane } from './control-plane.ts';
import { PAUSE_IMAGE } from './image.ts';

const READY_LIMIT_MS = 60_000;
const PROGRAMS = '/opt/kubernetes';
const IMPORT_LIMIT_MS = 300_000;

export interface NodeOptions {
  readonly name: string;
  /** The kubelet's systemUUID: the ID that OpenStack would have given the machine. */
  readonly systemUUID?: string;
  /** Absent: netplan. */
  readonly rootfs?: RootfsKind;
  /** Labels that the kubelet gives its Node. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Version of kubelet and kube-proxy. */
  readonly version: string;
  /** Folder with the programs of that version. */
  readonly programs: string;
  readonly pauseArchive: string;
}

export class KubernetesNode {
  readonly machine: Machine;
  readonly #options: NodeOptions;
  /** Folder of containerd on this machine. */
  readonly #images: string;

  private constructor(machine: Machine, options: NodeOptions, images: string) {
    this.machine = machine;
    this.#options = options;
    this.#images = images;
  }

  /** Boots a machine that is ready to join a cluster, which needs no control plane. */
  static async boot(lab: Lab, options: NodeOptions): Promise<KubernetesNode> {
    const { name, systemUUID, rootfs, programs, pauseArchive } = options;
    const images = join(lab.slot.dir, 'containerd', name);
    const machine = await lab.boot({
      name,
      ...(systemUUID === undefined ? {} : { systemUUID }),
      ...(rootfs === undefined ? {} : { rootfs }),
      readOnlyBinds: { [PROGRAMS]: programs },
      // The machine's disk is an overlay, and an overlay cannot be the upper layer of another.
      binds: { '/var/lib/containerd': images },
      files: { '/etc/containerd/config.toml': CONTAINERD },
    });
    const node = new KubernetesNode(machine, options, images);
    await node.#startContainers();
    await node.loadImage(pauseArchive);
    return node;
  }

  /** A fresh disk, with the programs that it had. Images are on a disk of their own, and stay. */
  async reimage(plane: ControlPlane): Promise<void> {
    await this.machine.reimage();
    await this.#startContainers();
    await this.join(plane);
  }

  async #startContainers(): Promise<void> {
    await this.machine.exec(['systemctl', 'enable', '--now', 'containerd']);
  }

  /** Starts the kubelet and returns; `ready` waits for the Node. */
  async join(plane: ControlPlane): Promise<void> {
    const { machine } = this;
    const { authority, addresses } = plane;
    const { name } = machine;
    const [kubelet, proxy] = await Promise.all([
      authority.kubeconfig(addresses.server, `kubelet-${name}`, {
        name: `system:node:${name}`,
        group: 'system:nodes',
      }),
      authority.kubeconfig(addresses.server, `kube-proxy-${name}`, { name: 'system:kube-proxy' }),
    ]);
    const pods = addresses.podsOf(machine.index);
    const files: Readonly<Record<string, string>> = {
      '/etc/kubernetes/ca.crt': await readFile(authority.certificate, 'utf8'),
      '/etc/kubernetes/kubelet.kubeconfig': kubelet,
      '/etc/kubernetes/kubelet.yaml': stringify(KUBELET),
      '/etc/kubernetes/kube-proxy.kubeconfig': proxy,
      '/etc/kubernetes/kube-proxy.yaml': stringify(kubeProxy(this.#minor, addresses.pods)),
      '/etc/cni/net.d/10-bridge.conflist': JSON.stringify(podNetwork(pods)),
      '/etc/systemd/system/kubelet.service': unit(
        'kubelet',
        'containerd.service',
        this.#kubeletArguments(),
        KMSG,
      ),
      '/etc/systemd/system/kube-proxy.service': unit('kube-proxy', 'network.target', [
        '--config=/etc/kubernetes/kube-proxy.yaml',
        `--hostname-override=${name}`,
      ]),
    };
    for (const [path, content] of Object.entries(files)) await machine.write(path, content, 0o600);
    await machine.exec(['systemctl', 'enable', '--now', 'kubelet', 'kube-proxy']);
  }

  async ready(plane: ControlPlane): Promise<void> {
    await waitFor(`node ${this.machine.name} to be Ready`, async () => isReady(await this.#read(plane)), {
      timeoutMs: READY_LIMIT_MS,
      hopeful: () => this.machine.running,
      hint: () => this.#lastWords(),
    });
  }

  async loadImage(archive: string): Promise<void> {
    const command = ['ctr', '--namespace=k8s.io', 'images', 'import', '-'];
    await this.machine.exec(command, { inputFile: archive, timeoutMs: IMPORT_LIMIT_MS });
  }

  /** Removes the images and containers of a removed machine, which are outside of its disk. */
  async removeImages(): Promise<void> {
    await rm(this.#images, { recursive: true, force: true });
  }

  #lastWords(): Promise<string> {
    const log = 'journalctl --unit=kubelet --unit=containerd --unit=node-setup --lines=30 --no-pager';
    return this.machine.exec(['sh', '-c', `systemctl --failed --no-legend; ${log}`]);
  }

  #read(plane: ControlPlane): Promise<string | undefined> {
    return plane.api.get(`/api/v1/nodes/${this.machine.name}`);
  }

  get #minor(): number {
    return Number(this.#options.version.split('.')[1]);
  }

  #kubeletArguments(): string[] {
    const { labels = {} } = this.#options;
    const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
    return [
      '--config=/etc/kubernetes/kubelet.yaml',
      '--kubeconfig=/etc/kubernetes/kubelet.kubeconfig',
      `--hostname-override=${this.machine.name}`,
      `--node-ip=${this.machine.address}`,
      ...(pairs.length === 0 ? [] : [`--node-labels=${pairs.join(',')}`]),
      // The kubelet finds containerd's socket in its configuration since 1.27, and by an argument before.
      ...(this.#minor < 27
        ? [
            '--container-runtime=remote',
            '--container-runtime-endpoint=unix:///run/containerd/containerd.sock',
          ]
        : []),
    ];
  }
}

function isReady(body: string | undefined): boolean {
  if (body === undefined) return false;
  const node = JSON.parse(body) as { status?: { conditions?: { type: string; status: string }[] } };
  return node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/** Debian's containerd 1.6, in a container itself: no AppArmor to load profiles into, and no right to lower oom scores. */
const CONTAINERD = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
`;

/** The node's control groups are below those of this machine, of version 1, and all nodes share its disk. */
const KUBELET = {
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: true },
    x509: { clientCAFile: '/etc/kubernetes/ca.crt' },
  },
  authorization: { mode: 'Webhook' },
  cgroupDriver: 'cgroupfs',
  cgroupsPerQOS: false,
  enforceNodeAllocatable: [],
  evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
  failCgroupV1: false, // since 1.31; older kubelets pass over what they do not know
  failSwapOn: false,
  imageGCHighThresholdPercent: 100,
  localStorageCapacityIsolation: false,
  makeIPTablesUtilChains: false,
  // Renewed every 4 s: with the controllers' shorter grace a dead node is NotReady after 16 s, not 50.
  nodeLeaseDurationSeconds: 16,
  nodeStatusUpdateFrequency: '4s',
  registerNode: true,
  resolvConf: '',
  rotateCertificates: false,
} as const;

/** The kubelet's oom watcher needs a kernel log, and must not read that of this machine. */
const KMSG = '/bin/ln -sf /dev/null /dev/kmsg';

function unit(name: string, after: string, args: readonly string[], before = '/bin/true'): string {
  return `[Unit]
Description=${name}
After=${after}
StartLimitIntervalSec=0
[Service]
ExecStartPre=${before}
ExecStart=${[`${PROGRAMS}/${name}`, ...args].join(' ')}
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
`;
}

function kubeProxy(minor: number, clusterCIDR: string): Record<string, unknown> {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: '/etc/kubernetes/kube-proxy.kubeconfig' },
    mode: minor >= 31 ? 'nftables' : 'iptables',
    clusterCIDR,
    // The kernel's limits belong to this machine and must stay.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
}

function podNetwork(subnet: string): Record<string, unknown> {
  return {
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true,
        ipam: { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}
