// The control plane: etcd and three programs of Kubernetes, as processes in the switch's namespace, each of which a test
// may kill, stop and start again.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Daemon } from '../nodes/daemon.ts';
import type { Lab } from '../nodes/lab.ts';
import { waitFor } from '../nodes/wait.ts';
import { Addresses } from './addresses.ts';
import { Api } from './api.ts';
import { CertificateAuthority, writeTokenKey, type Certificate } from './pki.ts';

const READY_LIMIT_MS = 90_000;

export type Component = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler';

/** Further arguments of each component, after our own; the last value of an argument counts. */
export type ExtraArguments = Partial<Record<Component, readonly string[]>>;

export interface ControlPlaneOptions {
  /** Folders of programs. */
  readonly kubernetes: string;
  readonly etcd: string;
  readonly extra?: ExtraArguments;
}

export class ControlPlane {
  readonly addresses: Addresses;
  readonly authority: CertificateAuthority;
  readonly api: Api;
  /** The administrator's kubeconfig, a file. */
  readonly kubeconfig: string;
  readonly #daemons: ReadonlyMap<Component, Daemon>;

  private constructor(
    addresses: Addresses,
    authority: CertificateAuthority,
    api: Api,
    kubeconfig: string,
    daemons: ReadonlyMap<Component, Daemon>,
  ) {
    this.addresses = addresses;
    this.authority = authority;
    this.api = api;
    this.kubeconfig = kubeconfig;
    this.#daemons = daemons;
  }

  /** Returns when the API server is ready: kubelets may join. */
  static async start(lab: Lab, { kubernetes, etcd, extra = {} }: ControlPlaneOptions): Promise<ControlPlane> {
    const addresses = new Addresses(lab.slot);
    const dir = await lab.folder('control-plane');
    await mkdir(join(dir, 'pki'));
    const authority = await CertificateAuthority.create(join(dir, 'pki'));
    const files = await issueFiles(dir, authority, addresses);

    const commands: Readonly<Record<Component, readonly string[]>> = {
      etcd: [join(etcd, 'etcd'), ...etcdArguments(dir, addresses)],
      'kube-apiserver': [
        join(kubernetes, 'kube-apiserver'),
        ...apiServerArguments(authority, files, addresses),
      ],
      'kube-controller-manager': [
        join(kubernetes, 'kube-controller-manager'),
        ...controllerManagerArguments(authority, files),
      ],
      'kube-scheduler': [join(kubernetes, 'kube-scheduler'), ...schedulerArguments(files)],
    };
    const daemons = new Map<Component, Daemon>();
    const start = async (name: Component): Promise<void> => {
      const command = lab.command(...commands[name], ...(extra[name] ?? []));
      const daemon = new Daemon({
        name,
        group: lab.slot.group(name),
        log: join(dir, `${name}.log`),
        command,
      });
      daemons.set(name, daemon);
      await daemon.start();
    };

    await start('etcd');
    await start('kube-apiserver');
    const api = await Api.connect(addresses.server, authority, files.admin);
    const plane = new ControlPlane(addresses, authority, api, files.kubeconfig.admin, daemons);
    await plane.answers('/readyz');
    // kube-controller-manager starts last, because it exits if the API server is not healthy within ten seconds.
    await start('kube-controller-manager');
    await start('kube-scheduler');
    return plane;
  }

  daemon(component: Component): Daemon {
    return this.#daemons.get(component)!;
  }

  /** Ends a component and starts it again; the API server is not waited for (`ready`). */
  async restart(component: Component, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.daemon(component).stop(signal);
    await this.daemon(component).start();
  }

  /** Returns when pods can be made in the namespace `default`: its service account comes some seconds later. */
  async ready(): Promise<void> {
    await this.answers('/readyz');
    await this.answers('/api/v1/namespaces/default/serviceaccounts/default');
  }

  /** Waits until the API server returns the object. */
  async answers(path: string): Promise<void> {
    const daemons = [...this.#daemons.values()];
    await waitFor(`the API server's ${path}`, async () => (await this.api.get(path)) !== undefined, {
      timeoutMs: READY_LIMIT_MS,
      everyMs: 50,
      hopeful: () => daemons.every((daemon) => daemon.running),
      hint: async () => (await Promise.all(daemons.map((daemon) => daemon.lastWords(8)))).join('\n'),
    });
  }

  async stop(): Promise<void> {
    // Stops the components in reverse order by SIGKILL, because their data is deleted anyway.
    for (const daemon of [...this.#daemons.values()].reverse()) await daemon.stop('SIGKILL');
  }
}

interface Files {
  readonly server: Certificate;
  readonly kubeletClient: Certificate;
  readonly admin: Certificate;
  readonly token: { readonly privateKey: string; readonly publicKey: string };
  readonly kubeconfig: Readonly<Record<'admin' | 'controllerManager' | 'scheduler', string>>;
}

async function issueFiles(
  dir: string,
  authority: CertificateAuthority,
  addresses: Addresses,
): Promise<Files> {
  const kubeconfig = async (file: string, name: string, group?: string) => {
    const path = join(dir, `${file}.kubeconfig`);
    const subject = { name, ...(group === undefined ? {} : { group }) };
    await writeFile(path, await authority.kubeconfig(addresses.server, file, subject), { mode: 0o600 });
    return path;
  };
  const [server, kubeletClient, admin, token, forAdmin, controllerManager, scheduler] = await Promise.all([
    authority.issue('apiserver', {
      name: 'kube-apiserver',
      alternativeNames: [
        ...['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost'].map(
          (name) => `DNS:${name}`,
        ),
        ...[addresses.controlPlane, addresses.kubernetesService, '127.0.0.1', '::1'].map(
          (address) => `IP:${address}`,
        ),
      ],
    }),
    authority.issue('apiserver-kubelet-client', {
      name: 'kube-apiserver-kubelet-client',
      group: 'system:masters',
    }),
    authority.issue('prober', { name: 'multinic-test', group: 'system:masters' }),
    writeTokenKey(dir),
    kubeconfig('admin', 'admin', 'system:masters'),
    // One account for all controllers: with one for each, making them takes it four seconds at every start.
    kubeconfig('controller-manager', 'system:kube-controller-manager', 'system:masters'),
    kubeconfig('scheduler', 'system:kube-scheduler'),
  ]);
  return {
    server,
    kubeletClient,
    admin,
    token,
    kubeconfig: { admin: forAdmin, controllerManager, scheduler },
  };
}

function etcdArguments(dir: string, { etcd }: Addresses): string[] {
  return [
    `--data-dir=${join(dir, 'etcd')}`,
    `--listen-client-urls=${etcd}`,
    `--advertise-client-urls=${etcd}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    // No fsync: the data is worthless after a crash of the whole machine.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

function apiServerArguments(authority: Certificate, files: Files, addresses: Addresses): string[] {
  return [
    `--advertise-address=${addresses.controlPlane}`,
    `--etcd-servers=${addresses.etcd}`,
    `--client-ca-file=${authority.certificate}`,
    `--tls-cert-file=${files.server.certificate}`,
    `--tls-private-key-file=${files.server.key}`,
    // Credentials for logs and exec.
    `--kubelet-client-certificate=${files.kubeletClient.certificate}`,
    `--kubelet-client-key=${files.kubeletClient.key}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${files.token.publicKey}`,
    `--service-account-signing-key-file=${files.token.privateKey}`,
    `--service-cluster-ip-range=${addresses.services}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    // Webhooks are called by the addresses of their pods, because no kube-proxy runs beside the API server.
    '--enable-aggregator-routing=true',
  ];
}

function controllerManagerArguments(authority: Certificate, files: Files): string[] {
  return [
    `--kubeconfig=${files.kubeconfig.controllerManager}`,
    `--service-account-private-key-file=${files.token.privateKey}`,
    `--root-ca-file=${authority.certificate}`,
    `--cluster-signing-cert-file=${authority.certificate}`,
    `--cluster-signing-key-file=${authority.key}`,
    '--node-monitor-grace-period=16s',
    '--node-monitor-period=2s',
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
  ];
}

function schedulerArguments(files: Files): string[] {
  return [`--kubeconfig=${files.kubeconfig.scheduler}`, '--leader-elect=false', '--bind-address=127.0.0.1'];
}
