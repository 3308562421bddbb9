// The agent on live hosts: the time of a run, the agent's own share of it, and the interruption of NICs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Network } from '../src/network/interface.ts';
import type { RendererKind } from '../src/network/node.ts';
import { needCommands } from '../test/nodes/packages.ts';
import type { RootfsKind } from '../test/nodes/rootfs.ts';
import { foreign, LiveHost, NOT_OURS } from '../test/support/live-host.ts';
import { nic } from '../test/support/agent.ts';
import { median, report, timed, type Bench } from './report.ts';

const ROUNDS = 30;
const PING_MS = 5;
const NETWORKS = [0, 1, 2];

export const benches: Bench[] = [
  { name: 'agent: runs on a host of netplan and networkd', run: () => measure('netplan', 'netplan') },
  { name: 'agent: runs on a host of NetworkManager', run: () => measure('networkmanager', 'keyfile') },
];

async function measure(rootfs: RootfsKind, kind: RendererKind): Promise<void> {
  await needCommands(['ping'], console.log);
  await using host = await LiveHost.boot(rootfs);
  for (const index of NETWORKS) {
    const network = `tenant-${index}`;
    await host.machine.attachNic({ mac: nic(index).mac, network });
    await host.lab.switch.peer(network, `192.168.${100 + index}.1/24`);
  }
  await foreign(host);
  await host.apply(kind, wanted(1500));
  const pod = median(await times(ROUNDS, () => timed(() => host.emptyPod())));
  const bare = (await times(ROUNDS, () => timed(() => host.nothing()))).map((ms) => ms - pod);
  console.log(`  left out of all: ${pod.toFixed(0)} ms, in which a pod is made`);

  const changes = await runs(pod, (round) => wanted(1499 - round), kind, host);
  report(`${kind}: one NIC changed, process start to end`, changes.whole, '`node -e 0`', bare);
  report(
    `${kind}: one NIC changed, without the OS's commands and waits`,
    changes.ours,
    '`node -e 0`',
    bare,
    5,
  );
  const addresses = await runs(pod, (round) => wanted(1490, 20 + round), kind, host);
  report(`${kind}: one NIC with a new address`, addresses.whole, '`node -e 0`', bare);
  report(
    `${kind}: one NIC with a new address, without the OS's commands and waits`,
    addresses.ours,
    '`node -e 0`',
    bare,
    5,
  );
  const last = wanted(1490, 20 + ROUNDS - 1);
  const same = await runs(pod, () => last, kind, host);
  report(`${kind}: nothing to do`, same.whole, '`node -e 0`', bare);
  report(`${kind}: nothing to do, without the OS's commands and waits`, same.ours, '`node -e 0`', bare, 3);

  const lost = await interruptions(host, () =>
    host.apply(
      kind,
      last.map((each) => ({ ...each, mtu: 1400 })),
    ),
  );
  console.log(`  interruption when the MTU of all changes: ${lost}`);
  const one = await interruptions(host, () => host.apply(kind, wanted(1300, 20 + ROUNDS - 1, 1400)));
  console.log(`  interruption when that of multinic0 changes: ${one}`);
  if (kind === 'netplan') await besideNetplanApply(host);
}

/** @param last last number of the first NIC's address */
function wanted(mtu: number, last = 10, others = 1500): Network {
  return [nic(0, { mtu, address: `192.168.100.${last}` }), nic(1, { mtu: others }), nic(2, { mtu: others })];
}

async function times(rounds: number, work: () => Promise<number>): Promise<number[]> {
  const all: number[] = [];
  for (let round = 0; round < rounds; round += 1) all.push(await work());
  return all;
}

/** Medians, in milliseconds. @param pod time to make the pod, which does not count */
async function runs(
  pod: number,
  network: (round: number) => Network,
  kind: RendererKind,
  host: LiveHost,
): Promise<{ whole: number; ours: number }> {
  const whole: number[] = [];
  const ours: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const commit = await host.store.commit(kind, network(round));
    whole.push(
      await timed(async () => {
        const { outcome } = await host.run(commit);
        if (outcome?.result !== 'Applied') throw new Error(`the run failed: ${host.log}`);
      }),
    );
    const end = JSON.parse(host.log.trim().split('\n').at(-1) ?? '{}') as Record<string, number>;
    ours.push((end['durationMs'] ?? Number.NaN) - (end['elsewhereMs'] ?? Number.NaN));
  }
  return { whole: median(whole) - pod, ours: median(ours) };
}

/** Interruption of each NIC, by the pings from its network that got no answer. */
async function interruptions(host: LiveHost, work: () => Promise<unknown>): Promise<string> {
  const configured = Object.entries(await host.configured()).map(
    ([name, state]) => [name, state.split(/[ /]/)[1] ?? ''] as const,
  );
  const pings = [['eth0', host.machine.address] as const, ...configured].map(([name, address]) => {
    const [file = '', ...args] = host.lab.command('ping', '-n', '-i', String(PING_MS / 1000), address);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    return { name, child, output: text(child.stdout) };
  });
  await work();
  const lost = await Promise.all(
    pings.map(async ({ name, child, output }) => {
      child.kill('SIGINT');
      await once(child, 'exit');
      const [, sent = '0', received = '0'] =
        /(\d+) packets transmitted, (\d+) received/.exec(await output) ?? [];
      return `${name} ${Math.max(0, Number(sent) - Number(received) - 1) * PING_MS} ms`;
    }),
  );
  return lost.join(', ');
}

/** Cost of `netplan apply` on the same host, for comparison. */
async function besideNetplanApply(host: LiveHost): Promise<void> {
  const before = (await host.sh(SHOWN)).split('\n');
  let ms = 0;
  const lost = await interruptions(host, async () => {
    ms = await timed(() => host.sh('netplan apply; sleep 1'));
  });
  const after = (await host.sh(SHOWN)).split('\n');
  const gone = before.filter((line) => !after.includes(line));
  console.log(`  \`netplan apply\` with nothing changed: ${(ms - 1000).toFixed(0)} ms; ${lost}`);
  console.log(`    of what others had on eth0 it took away: ${gone.join('; ') || 'nothing'}`);
}

/** The commands of NOT_OURS, with output as lines. */
const SHOWN = NOT_OURS.replaceAll('ip -j ', 'ip ').replace('ip addr show eth0', 'ip -o -br addr show eth0');
