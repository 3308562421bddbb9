// The agent's bundle on a machine of the lab, as its Job runs it.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect } from 'vitest';
import { MultinicError } from '../../src/api/errors.ts';
import type { Detection, Preview } from '../../src/agent/preview.ts';
import { NODE_ADDRESS_VARIABLE, type AgentJob } from '../../src/api/job.ts';
import type { Interface, Network } from '../../src/network/interface.ts';
import type { RendererKind } from '../../src/network/node.ts';
import { Lab } from '../nodes/lab.ts';
import type { Machine, MachineOptions } from '../nodes/machine.ts';
import { needCommands } from '../nodes/packages.ts';
import type { RootfsKind } from '../nodes/rootfs.ts';
import { UmlMachine } from '../nodes/uml.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic, readOutcome, TestStore, writeJob, type AgentEnd } from '../support/agent.ts';
import { HOST_ROOT, inPod, NODE, podMounts, PROGRAM } from './pod.ts';

const RUN_LIMIT_MS = 120_000;

/** The kinds of host that differ most, and in the matrix all. */
export const HOSTS: readonly (readonly [RootfsKind, RendererKind])[] = [
  ['netplan', 'netplan'],
  ['networkmanager', 'keyfile'],
  ['networkmanager-ifcfg', 'ifcfg'],
  ...(process.env['MATRIX'] === undefined
    ? []
    : ([
        ['netplan-bullseye', 'netplan'],
        ['netplan-trixie', 'netplan'],
      ] as const)),
];

export interface RunOptions {
  /** The commit that the record should name; the last one that was applied here when left out. */
  readonly expectedRecord?: string | null;
  readonly killAt?: string;
  readonly url?: string;
  readonly probes?: string[];
  readonly peers?: string[];
  /** The node's InternalIP, as the kubelet tells a pod. */
  readonly nodeAddress?: string;
  readonly mode?: AgentJob['apply'];
  /** Seconds. */
  readonly deadline?: number;
  /** What the cluster tells every pod. */
  readonly apiServer?: { readonly host: string; readonly port: number };
}

/** What is to be had of any machine. */
type Guest = Pick<Machine, 'exec' | 'reboot'>;

/** One host that runs, and a store that it reaches. */
export class LiveHost<M extends Guest = Machine> {
  readonly lab: Lab;
  readonly machine: M;
  readonly store: TestStore;
  /** Seen at the same path from here and from the machine. */
  readonly #dir: string;
  #applied: string | null = null;
  /** Of the agent's last run. */
  log = '';

  private constructor(lab: Lab, machine: M, store: TestStore, dir: string) {
    this.lab = lab;
    this.machine = machine;
    this.store = store;
    this.#dir = dir;
  }

  static boot(rootfs: RootfsKind): Promise<LiveHost> {
    return LiveHost.#open(rootfs, (lab, mounts) => lab.boot({ name: 'host', ...mounts }));
  }

  /** With a kernel of its own. @param nics MAC to network */
  static bootUml(nics: Readonly<Record<string, string>>): Promise<LiveHost<UmlMachine>> {
    return LiveHost.#open('netplan', (lab, mounts) =>
      UmlMachine.boot(lab, { name: 'host', nics, ...mounts }),
    );
  }

  static async #open<M extends Guest>(
    rootfs: RootfsKind,
    boot: (lab: Lab, mounts: Pick<MachineOptions, 'binds' | 'readOnlyBinds'>) => Promise<M>,
  ): Promise<LiveHost<M>> {
    const lab = await Lab.open({ log: console.log, rootfs });
    try {
      const dir = await lab.folder('agent');
      // This machine's end of the cable to the lab's switch.
      const store = await TestStore.open(await lab.folder('store'), lab.slot.address('0.254'));
      const machine = await boot(lab, {
        binds: { [dir]: dir },
        readOnlyBinds: await podMounts(console.log),
      });
      return new LiveHost(lab, machine, store, dir);
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** Commits a network and runs the agent for it. */
  async apply(kind: RendererKind, network: Network, options: RunOptions = {}): Promise<AgentEnd> {
    const commit = await this.store.commit(kind, network);
    return this.run(commit, options);
  }

  async run(
    commit: string,
    { expectedRecord, killAt, url, probes, peers, nodeAddress, mode, deadline, apiServer }: RunOptions = {},
  ): Promise<AgentEnd> {
    const job = writeJob({
      dir: this.#dir,
      root: HOST_ROOT,
      url: url ?? this.store.server.url,
      commit,
      expectedRecord: expectedRecord === undefined ? this.#applied : expectedRecord,
      ...(probes && { probes }),
      ...(peers && { peers }),
      ...(mode && { apply: mode }),
      ...(deadline && { deadlineSeconds: deadline }),
    });
    const env = [
      `MULTINIC_KILL_AT=${killAt ?? ''}`,
      ...(nodeAddress === undefined ? [] : [`${NODE_ADDRESS_VARIABLE}=${nodeAddress}`]),
      ...(apiServer === undefined
        ? []
        : [`KUBERNETES_SERVICE_HOST=${apiServer.host}`, `KUBERNETES_SERVICE_PORT=${apiServer.port}`]),
    ];
    const end = await this.#agent(['apply', '--job', job], env);
    if (end.outcome?.result === 'Applied' || end.outcome?.result === 'Pending') this.#applied = commit;
    return end;
  }

  /** A process of Node that does nothing, as the agent is run. */
  async nothing(): Promise<void> {
    await this.#shell(inPod(this.#dir, [NODE, '-e', '0']));
  }

  /** A pod, and hardly anything in it. */
  async emptyPod(): Promise<void> {
    await this.#shell(inPod(this.#dir, ['true']));
  }

  /** What `agent plan` says that a run would do. */
  async plan(
    kind: RendererKind,
    network: Network,
  ): Promise<{ readonly code: number; readonly preview: Preview }> {
    const commit = await this.store.commit(kind, network);
    const { server } = this.store;
    const expectedRecord = this.#applied;
    const job = writeJob({ dir: this.#dir, root: HOST_ROOT, url: server.url, commit, expectedRecord });
    const { code, log } = await this.#shell(this.#multinic('plan', '--job', job, '--output', 'json'));
    return { code, preview: JSON.parse(log) as Preview };
  }

  async detect(): Promise<Detection> {
    const { log } = await this.#shell(this.#multinic('detect', '--output', 'json'));
    return JSON.parse(log) as Detection;
  }

  async cleanUp(): Promise<AgentEnd> {
    const end = await this.#agent(['cleanup']);
    this.#applied = null;
    return end;
  }

  /** A shell's output on the host. */
  sh(script: string): Promise<string> {
    return this.machine.exec(['sh', '-c', script]);
  }

  /** What the NICs with our names have: MTU and all addresses but the link's own, `1500 192.168.100.10/24`, by name. */
  async configured(): Promise<Record<string, string>> {
    const links = JSON.parse(await this.sh('ip -j addr')) as {
      ifname: string;
      mtu: number;
      flags: string[];
      addr_info: { local: string; prefixlen: number; scope: string }[];
    }[];
    const configured: Record<string, string> = {};
    for (const { ifname, mtu, flags, addr_info } of links) {
      const addresses = addr_info
        .filter(({ scope }) => scope === 'global')
        .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
      if (!ifname.startsWith('multinic') || addresses.length === 0) continue;
      configured[ifname] = [mtu, ...addresses, ...(flags.includes('UP') ? [] : ['down'])].join(' ');
    }
    return configured;
  }

  /** Reboots it, and waits until its NICs have what they get. @param count how many of our names have addresses then */
  async reboot(count: number): Promise<void> {
    await this.machine.reboot();
    await waitFor(`${count} NICs`, async () => Object.keys(await this.configured()).length === count, {
      timeoutMs: 30_000,
      hint: () => this.sh('nmcli device || networkctl; ip addr'),
    });
    await this.settled();
  }

  async addresses(name: string): Promise<string[]> {
    return (await this.sh(`ip -br addr show ${name}`)).trim().split(/\s+/).slice(2);
  }

  /** Link-local addresses are looked for in the network before they are used. */
  settled(): Promise<boolean> {
    const none = async (): Promise<boolean> => !(await this.sh('ip addr')).includes('tentative');
    return waitFor('the end of address detection', none, {
      timeoutMs: 10_000,
      hint: () => this.sh('ip addr; nmcli device || networkctl'),
    });
  }

  /** Its network has the store's address, so that the store is not reached through eth0 any more. */
  cutsOff(): Interface {
    return nic(1, { address: this.lab.slot.address('0.253'), prefix: 30 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.lab.close();
  }

  async #agent(args: readonly string[], env: readonly string[] = []): Promise<AgentEnd> {
    await mkdir(this.#dir, { recursive: true });
    const outcome = join(this.#dir, 'outcome.json');
    await rm(outcome, { force: true });
    const agent = [NODE, PROGRAM, 'agent', ...args, '--root', HOST_ROOT, '--outcome', outcome];
    const end = await this.#shell(inPod(this.#dir, ['env', ...env, ...agent]));
    this.log = end.log;
    return { ...end, signal: null, outcome: readOutcome(outcome) };
  }

  #multinic(...args: readonly string[]): string[] {
    return inPod(this.#dir, [NODE, PROGRAM, 'agent', ...args, '--root', HOST_ROOT]);
  }

  async #shell(command: readonly string[]): Promise<{ code: number; log: string }> {
    try {
      return { code: 0, log: await this.machine.exec(command, { timeoutMs: RUN_LIMIT_MS }) };
    } catch (error) {
      if (!(error instanceof MultinicError)) throw error;
      return { code: Number(error.data['exitCode']), log: String(error.data['stdout']) };
    }
  }
}

/** What went that is not on our NICs, nor on those that nobody configures, of what `ip monitor` said. */
export function lost(seen: readonly string[]): string[] {
  // Multicast neighbours are forgotten by the kernel itself.
  return seen.filter(
    (line) =>
      line.startsWith('Deleted') &&
      !/multinic\d|ens\d|mnswap/.test(line) &&
      !line.trimEnd().endsWith('NOARP'),
  );
}

/** A run and what the kernel said meanwhile of links, addresses, routes, rules and neighbours. Nothing else may have lost anything. */
export async function monitored<T>(
  host: LiveHost,
  action: () => Promise<T>,
): Promise<[T, readonly string[]]> {
  await host.settled();
  const before = await host.sh(NOT_OURS);
  await host.sh(`ip -o monitor link address route rule neigh > /run/monitor 2>&1 < /dev/null & echo $! > /run/monitor.pid
    sleep 0.2`);
  const result = await action();
  await host.sh('sleep 0.5; kill $(cat /run/monitor.pid)');
  expect(await host.sh(NOT_OURS)).toBe(before);
  const seen = (await host.sh('cat /run/monitor')).split('\n').filter((line) => line !== '');
  expect(lost(seen)).toEqual([]);
  return [result, seen];
}

/** What others put on the node's own NIC: a routing daemon, a CNI, a person. */
export async function foreign(host: LiveHost): Promise<void> {
  const gateway = host.lab.slot.address('0.254');
  await host.sh(`ip route replace 10.50.0.0/16 via ${gateway} dev eth0 proto bgp
    ip route replace 10.51.0.0/16 via ${gateway} dev eth0 table 100
    ip route replace blackhole 10.53.0.0/16
    ip route replace 10.54.0.0/16 proto bird nexthop via ${gateway} dev eth0 nexthop via ${host.lab.slot.address('0.253')} dev eth0
    ip rule show | grep -q 10.52.0.0 || ip rule add from 10.52.0.0/16 lookup 100 priority 1000
    ip address replace ${host.lab.slot.address('0.200')}/32 dev eth0
    ip neigh replace ${host.lab.slot.address('0.201')} lladdr 02:00:00:00:0a:0a nud permanent dev eth0`);
}

/** A shell's commands that show it, and all else of that NIC. */
export const NOT_OURS = `ip -j addr show eth0; ip -j route show dev eth0; ip -j route show table 100; ip -j route show type blackhole; ip -j route show 10.54.0.0/16
  ip -j -6 route show dev eth0; ip -j rule; ip -j neigh show nud permanent dev eth0`;

/** Gives out addresses, itself as the way to everywhere, and a name server, to which newer networkds make a route of its own. */
export const DHCP = `[Network]
Address=172.16.9.1/24
DHCPServer=yes
[DHCPServer]
EmitRouter=yes
DNS=172.16.53.1
`;

export const ADVERTISEMENTS = `[Network]
IPv6SendRA=yes
[IPv6Prefix]
Prefix=2001:db8:9::/64
`;

/**
 * A machine of its own on a secondary network, that offers to whoever asks.
 * @param offer what its networkd does there
 */
export async function bootRouter(lab: Lab, network: string, offer: string): Promise<void> {
  const files = { '/etc/systemd/network/10-ens5.network': `[Match]\nName=ens5\n${offer}` };
  const machine = await lab.boot({ name: 'router', files });
  await machine.exec([
    'sh',
    '-c',
    '! systemctl --quiet is-active NetworkManager || systemctl stop NetworkManager',
  ]);
  await machine.attachNic({ mac: '02:00:00:00:09:01', network });
  await machine.exec(['systemctl', 'start', 'systemd-networkd']);
}

/** Pings a machine from the lab's switch until it is told to stop. */
export async function startPing(
  lab: Lab,
  address: string,
): Promise<() => Promise<{ readonly sent: number; readonly received: number }>> {
  await needCommands(['ping'], console.log);
  const [file = '', ...args] = lab.command('ping', '-q', '-i', '0.05', address);
  const ping = execa(file, args, { reject: false });
  return async () => {
    // On this signal it says what it counted.
    ping.kill('SIGINT');
    const { stdout } = await ping;
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
    return { sent: Number(sent), received: Number(received) };
  };
}
