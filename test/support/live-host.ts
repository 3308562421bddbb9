// Runs the agent's bundle on a machine of the lab, as its Job would.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect } from 'vitest';
import { MultinicError } from '../../src/api/errors.ts';
import type { Detection, Preview } from '../../src/agent/run/preview.ts';
import { NODE_ADDRESS_VARIABLE, type AgentJob } from '../../src/api/job.ts';
import { Observation } from '../../src/api/observation.ts';
import type { Network } from '../../src/network/interface.ts';
import type { RendererKind } from '../../src/network/node.ts';
import { Lab } from '../nodes/lab.ts';
import type { Machine, MachineOptions } from '../nodes/machine.ts';
import { needCommands } from '../nodes/packages.ts';
import type { RootfsKind } from '../nodes/rootfs.ts';
import { UmlMachine } from '../nodes/uml.ts';
import { waitFor } from '../nodes/wait.ts';
import { readOutcome, TestStore, writeJob, type AgentEnd } from './agent.ts';
import { HOST_ROOT, inPod, NODE, podMounts, PROGRAM } from './live-pod.ts';

const RUN_LIMIT_MS = 120_000;
/** Output of a shell's `times`: user and system time of the shell, and on the next line of its children. */
const CHILD_TIMES = /^0m[\d.]+s 0m[\d.]+s\n0m([\d.]+)s 0m([\d.]+)s\n?$/m;

/** The kinds of host that differ most; the matrix has all kinds. */
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
  /** The commit that the record should name; absent: the last commit that was applied here. */
  readonly expectedRecord?: string | null;
  readonly killAt?: string;
  readonly url?: string;
  readonly probes?: string[];
  readonly leaveOut?: string[];
  readonly peers?: string[];
  /** The node's InternalIP, as the kubelet tells a pod. */
  readonly nodeAddress?: string;
  readonly mode?: AgentJob['apply'];
  /** Seconds. */
  readonly deadline?: number;
  /** Environment variables that the cluster sets in every pod. */
  readonly apiServer?: { readonly host: string; readonly port: number };
}

/** Operations that every machine of the lab has. */
type Guest = Pick<Machine, 'exec' | 'reboot'>;

/** A running host, and a store that it reaches. */
export class LiveHost<M extends Guest = Machine> {
  readonly lab: Lab;
  readonly machine: M;
  readonly store: TestStore;
  /** A folder with the same path in this process and on the machine. */
  readonly #dir: string;
  #applied: string | null = null;
  /** Output of the agent's last run. */
  log = '';
  /** CPU time of the last run and its commands, which hardly depends on other work of the machine. */
  cpuSeconds = 0;
  /** Number of processes that the last observation started. */
  processes = 0;

  private constructor(lab: Lab, machine: M, store: TestStore, dir: string) {
    this.lab = lab;
    this.machine = machine;
    this.store = store;
    this.#dir = dir;
  }

  static boot(rootfs: RootfsKind): Promise<LiveHost> {
    return LiveHost.#open(rootfs, (lab, mounts) => lab.boot({ name: 'host', ...mounts }));
  }

  /** The primary NIC has its address from a DHCP server. */
  static bootWithDhcp(rootfs: RootfsKind): Promise<LiveHost> {
    return LiveHost.#open(rootfs, async (lab, mounts) => {
      await bootDhcpServer(lab);
      return lab.boot({ name: 'host', dhcp: true, ...mounts });
    });
  }

  /** Starts a machine with a kernel of its own. @param nics MAC to network */
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
      // The local end of the machine's cable to the lab's switch.
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
    {
      expectedRecord,
      killAt,
      url,
      probes,
      leaveOut,
      peers,
      nodeAddress,
      mode,
      deadline,
      apiServer,
    }: RunOptions = {},
  ): Promise<AgentEnd> {
    const job = writeJob({
      dir: this.#dir,
      root: HOST_ROOT,
      url: url ?? this.store.server.url,
      commit,
      expectedRecord: expectedRecord === undefined ? this.#applied : expectedRecord,
      ...(probes && { probes }),
      ...(leaveOut && { leaveOut }),
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

  /** Runs a Node.js process that does nothing, in the way that the agent runs. */
  async nothing(): Promise<void> {
    await this.#shell(inPod(this.#dir, [NODE, '-e', '0']));
  }

  /** The host's addresses from which a connection to the store can be opened. */
  reachesStoreFrom(addresses: readonly string[]): Promise<string[]> {
    const { hostname, port } = new URL(this.store.server.url);
    return this.reachesFrom(addresses, hostname, Number(port));
  }

  /** The host's addresses from which a connection to a server can be opened. */
  async reachesFrom(addresses: readonly string[], host: string, port: number): Promise<string[]> {
    const script = `const { connect } = require('node:net');
      setTimeout(() => process.exit(), 4000).unref();
      for (const localAddress of ${JSON.stringify(addresses)}) {
        const socket = connect({ host: '${host}', port: ${port}, localAddress });
        socket.once('connect', () => { console.log(localAddress); socket.destroy(); });
        socket.once('error', () => {});
      }`;
    const { log } = await this.#shell(inPod(this.#dir, [NODE, '-e', script]));
    return addresses.filter((each) => log.split('\n').includes(each));
  }

  /** Runs a pod that does almost nothing. */
  async emptyPod(): Promise<void> {
    await this.#shell(inPod(this.#dir, ['true']));
  }

  /** Runs an observation, as its Job does, against the last applied commit. */
  async observe(): Promise<Observation> {
    const job = writeJob({
      dir: this.#dir,
      root: HOST_ROOT,
      url: this.store.server.url,
      commit: this.#applied ?? '',
      expectedRecord: this.#applied,
    });
    // Node says on stderr which processes it starts.
    const { log, outcome } = await this.#agent(['observe', '--job', job], ['NODE_DEBUG=child_process']);
    this.processes = [...log.matchAll(/CHILD_PROCESS \d+: spawn /g)].length;
    this.log = log.replaceAll(/^CHILD_PROCESS \d+: spawn [^]*?^}\n/gm, '');
    return Observation.parse(outcome);
  }

  /** Output of `agent plan`: the steps that a run would take. */
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

  /** Runs a shell on the host. @returns its output */
  sh(script: string): Promise<string> {
    return this.machine.exec(['sh', '-c', script]);
  }

  /** MTU and addresses of the NICs with our names, without link-local ones: `1500 192.168.100.10/24`, by name. */
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

  /**
   * Reboots the machine, and waits until its NICs have their addresses.
   * @param count number of managed names that have an address then
   */
  async reboot(count: number): Promise<void> {
    await this.machine.reboot();
    await waitFor(`${count} NICs`, async () => Object.keys(await this.configured()).length === count, {
      timeoutMs: 60_000,
      hint: () => this.sh('nmcli device || networkctl; ip addr'),
    });
    await this.managed();
    await this.settled();
  }

  /** Waits for the network manager, which until then removes what other software adds. */
  async managed(): Promise<void> {
    // nm-online would never end, because unconfigured NICs keep asking for DHCP. A bridge that a test adds may stay pending.
    const by = `if systemctl --quiet is-active NetworkManager; then nmcli -g DEVICE,STATE device > /run/devices &&
      grep -q ^eth0:connected$ /run/devices && ! grep -q ^multinic.*:connecting /run/devices
      else ! networkctl --no-legend | grep -v -e no-carrier -e bridge | grep -Eq 'pending|initialized|configuring'; fi && echo yes`;
    await waitFor('the network manager', () => this.sh(by), {
      timeoutMs: 90_000,
      hint: () => this.sh('nmcli device || networkctl; ip addr'),
    });
  }

  async addresses(name: string): Promise<string[]> {
    return (await this.sh(`ip -br addr show ${name}`)).trim().split(/\s+/).slice(2);
  }

  /** Waits for the end of address detection, which precedes the use of a link-local address. */
  settled(): Promise<boolean> {
    const none = async (): Promise<boolean> => !(await this.sh('ip addr')).includes('tentative');
    return waitFor('the end of address detection', none, {
      timeoutMs: 30_000,
      hint: () => this.sh('ip addr; nmcli device || networkctl'),
    });
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
    const timed = ['sh', '-c', '"$@"; code=$?; times; exit $code', 'sh', 'env', ...env, ...agent];
    const { code, log } = await this.#shell(inPod(this.#dir, timed));
    const [, user, system] = CHILD_TIMES.exec(log) ?? [];
    this.cpuSeconds = Number(user) + Number(system);
    this.log = log.replace(CHILD_TIMES, '');
    return { code, log: this.log, signal: null, outcome: readOutcome(outcome) };
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

const BUSCTL = '/usr/bin/busctl';

/** @param command of the host's, that comes in the midst of the change: when its restore is armed */
export async function atArm<T>(host: LiveHost, command: string, change: () => Promise<T>): Promise<T> {
  const wrapper = `#!/bin/sh
case "$*" in *StartTransientUnit*multinic-restore*) { ${command}; } >/dev/null 2>&1 </dev/null ;; esac
exec ${BUSCTL}.real "$@"
`;
  await host.sh(`mv ${BUSCTL} ${BUSCTL}.real`);
  try {
    await host.machine.write(BUSCTL, wrapper, 0o755);
    return await change();
  } finally {
    await host.sh(`mv ${BUSCTL}.real ${BUSCTL}`);
  }
}

/** A change in the midst of which the store falls silent, as the node sees it; the ways to it stay as they are. */
export async function storeSilent<T>(host: LiveHost, change: () => Promise<T>): Promise<T> {
  const neighbour = `${host.lab.slot.address('0.254')} dev eth0`;
  const silence = `ip neigh replace ${neighbour} lladdr 02:00:00:00:00:99 nud permanent`;
  return await atArm(host, silence, async () => {
    try {
      return await change();
    } finally {
      await host.sh(`ip neigh del ${neighbour}`);
    }
  });
}

/** Messages of `ip monitor` about lost state that is on none of our NICs and on no unconfigured NIC. */
function lost(seen: readonly string[], host: LiveHost): string[] {
  const permanent = neighboursOf(host).map((address) => `Deleted ${address} `);
  return seen.filter(
    (line) =>
      line.startsWith('Deleted') &&
      !/multinic\d|multinic-swap|ens\d/.test(line) &&
      // The kernel forgets other neighbours by itself. A permanent one is FAILED before it is deleted.
      (!NEIGHBOUR.test(line) || permanent.some((each) => line.startsWith(each))),
  );
}

/** iproute2 5.10 writes two blanks where a neighbour has no address. */
const NEIGHBOUR = / dev \S+( lladdr \S+)?( router)?( proxy)? +[A-Z]+ *$/;
/** Addresses whose messages mark the beginning and the end of the recording. */
const MARKERS = ['192.0.2.1', '192.0.2.2'] as const;

/** Runs an action, and records the kernel's messages about links, addresses, routes, rules and neighbours. */
async function heard<T>(host: LiveHost, action: () => Promise<T>): Promise<[T, readonly string[]]> {
  const mark = (address: string): Promise<string> =>
    waitFor(
      '`ip monitor`',
      () =>
        host.sh(`ip addr add ${address}/32 dev lo; ip addr del ${address}/32 dev lo; sleep 0.05
          grep -F ${address} /run/monitor`),
      { timeoutMs: 30_000 },
    );
  await host.sh(
    `ip -o monitor link address route rule neigh > /run/monitor 2>&1 < /dev/null & echo $! > /run/monitor.pid`,
  );
  await mark(MARKERS[0]);
  const result = await action();
  await mark(MARKERS[1]);
  const seen = await host.sh('kill $(cat /run/monitor.pid); cat /run/monitor');
  const isMarker = (line: string): boolean =>
    MARKERS.some((marker) => line.includes(`${marker} `) || line.includes(`${marker}/`));
  return [result, seen.split('\n').filter((line) => line !== '' && !isMarker(line))];
}

/** Runs an action. @returns its result, and the messages about lost state that is on none of our NICs */
export async function losing<T>(host: LiveHost, action: () => Promise<T>): Promise<[T, readonly string[]]> {
  const [result, seen] = await heard(host, action);
  return [result, lost(seen, host)];
}

/** Runs the agent with the kernel's messages recorded. @throws if other software lost state */
export async function monitored<T>(
  host: LiveHost,
  action: () => Promise<T>,
): Promise<[T, readonly string[]]> {
  await host.settled();
  const before = await foreignState(host);
  const [result, seen] = await heard(host, action);
  expect(await foreignState(host)).toBe(before);
  expect(lost(seen, host)).toEqual([]);
  return [result, seen];
}

/**
 * Runs an action. State of other software on no NIC, or on several NICs, may be absent for a moment, and must be
 * restored.
 */
export async function unharmed<T>(host: LiveHost, action: () => Promise<T>): Promise<T> {
  await host.settled();
  const before = await foreignState(host);
  const [result, seen] = await heard(host, action);
  await host.settled();
  expect(await foreignState(host)).toBe(before);
  const went = lost(seen, host);
  expect(went.filter((line) => !/^Deleted (\d+:|blackhole )|nexthop/.test(line))).toEqual([]);
  expect(went.filter((line) => !seen.includes(line.slice('Deleted '.length)))).toEqual([]);
  return result;
}

/** Permanent ones that `foreign` adds. */
function neighboursOf({ lab }: LiveHost): string[] {
  return [lab.slot.address('0.201'), 'fe80::201'];
}

/** State of other software on the node's own NIC: of a routing daemon, a CNI, a person. */
export async function foreign(host: LiveHost): Promise<void> {
  const { slot } = host.lab;
  const gateway = slot.address('0.254');
  await host.sh(`ip route replace 10.50.0.0/16 via ${gateway} dev eth0 proto bgp
    ip route replace 10.51.0.0/16 via ${gateway} dev eth0 table 100
    ip route replace blackhole 10.53.0.0/16
    ip route replace 10.54.0.0/16 proto bird nexthop via ${gateway} dev eth0 nexthop via ${slot.address('0.253')} dev eth0
    ip rule show | grep -q 10.52.0.0 || ip rule add from 10.52.0.0/16 lookup 100 priority 1000
    ip address replace ${slot.address('0.200')}/32 dev eth0
    ip address replace 10.55.0.1/32 dev lo
    ip -6 route replace fd50::/32 via fe80::fffe dev eth0 proto bgp
    ip -6 route replace fd51::/32 via fe80::fffe dev eth0 table 100
    ip -6 route replace blackhole fd53::/32
    ip -6 route replace fd54::/32 proto bird nexthop via fe80::fffe dev eth0 nexthop via fe80::fffd dev eth0
    ip -6 rule show | grep -q fd52: || ip -6 rule add from fd52::/32 lookup 100 priority 1000
    ip address replace fd55::200/128 dev eth0 nodad`);
  for (const address of neighboursOf(host))
    await host.sh(`ip neigh replace ${address} lladdr 02:00:00:00:0a:0a nud permanent dev eth0`);
}

/** Shell commands that show this state, and all other state of that NIC. */
export const NOT_OURS = `ip -j addr show eth0; ip -j addr show lo; ip -j route show dev eth0; ip -j route show table 100; ip -j route show type blackhole
  ip -j route show 10.54.0.0/16; ip -j -6 route show dev eth0; ip -j -6 route show table 100; ip -j -6 route show type blackhole
  ip -j -6 route show fd54::/32; ip -j rule; ip -j -6 rule; ip -j neigh show nud permanent dev eth0`;

/** Output of the commands while all state is there, because state that is missing before cannot get lost. */
export async function foreignState(host: LiveHost): Promise<string> {
  // Duplicate address detection of the node's own NIC may still run after a boot, and ends by itself.
  await host.sh('for i in $(seq 50); do ip addr show eth0 | grep -q tentative || break; sleep 0.1; done');
  const shown = await host.sh(NOT_OURS);
  const all = [
    ...[0, 1, 2, 3, 4].flatMap((index) => [`"10.5${index}.0.0`, `"fd5${index}::`]),
    ...[host.lab.slot.address('0.200'), '10.55.0.1', 'fd55::200', ...neighboursOf(host)].map(
      (each) => `"${each}"`,
    ),
  ];
  expect(all.filter((each) => !shown.includes(each))).toEqual([]);
  return shown;
}

/** Shell commands that show all links, addresses, routes and rules. */
export function linksOf(kind: RendererKind): string {
  // Leaves out link-local addresses and DHCP of unconfigured NICs, which NetworkManager starts whenever such a NIC
  // comes up.
  return kind === 'netplan'
    ? `ip -j addr | sed 's/"qdisc":"[a-z]*",//g'; ip -j route; ip -j -6 route; ip -j rule`
    : `ip -br addr | sed 's/ fe80[^ ]*//g; s/ *$//'; grep . /sys/class/net/*/mtu; ip rule
       (ip route; ip -6 route) | grep -v fe80 | sed 's/ metric.*//'`;
}

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
 * A further machine on a secondary network that offers addresses or routes there.
 * @param offer the configuration of its networkd
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

/** The lab's first machine, which gives the second machine its address on the primary network. */
async function bootDhcpServer(lab: Lab): Promise<void> {
  const server = `[Network]
DHCPServer=yes
[DHCPServer]
PoolOffset=12
PoolSize=1
EmitRouter=yes
Router=${lab.slot.address('0.1')}
EmitDNS=no
EmitNTP=no
DefaultLeaseTimeSec=600
`;
  const files = { '/etc/systemd/network/10-netplan-eth0.network.d/server.conf': server };
  await lab.boot({ name: 'server', rootfs: 'netplan', files });
}

/**
 * Pings a machine until the test ends the ping.
 * @param from the lab's switch, where the machine's gateway is, or this machine, a peer on the primary network
 * @returns the sequence numbers without an answer between the first and the last answered one, and the number of pings
 * that had time for an answer
 */
export async function startPing(
  lab: Lab,
  address: string,
  from: 'switch' | 'peer' = 'switch',
): Promise<() => Promise<{ readonly missing: readonly number[]; readonly answered: number }>> {
  await needCommands(['ping'], console.log);
  const command = ['ping', '-n', '-i', String(PING_MS / 1000), address];
  const [file = '', ...args] = from === 'switch' ? lab.command(...command) : command;
  const ping = execa(file, args, { reject: false });
  const began = performance.now();
  return async () => {
    const sent = (performance.now() - began) / PING_MS;
    ping.kill('SIGINT');
    const { stdout } = await ping;
    const seen = new Set(
      [...stdout.matchAll(/bytes from .* icmp_seq=(\d+)/g)].map(([, each]) => Number(each)),
    );
    const [first, last] = [Math.min(...seen), Math.max(...seen)];
    const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    return { missing: all.filter((each) => !seen.has(each)), answered: seen.size / sent };
  };
}

const PING_MS = 50;
