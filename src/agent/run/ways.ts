// The kernel's ways to the machines that the node must go on reaching. The source address decides too: the node answers
// from its own address, and OpenStack's port security drops the answer on any port but the port with this address.
import { MultinicError } from '../../api/errors.ts';
import type { MachinePort } from '../host/host.ts';
import type { HostState, Link, NamedNic, Needs, Route, Way } from '../host/machine.ts';
import { gatewaysOf } from '../host/gateways.ts';
import { until } from '../command/host-command.ts';

/** A way by the MAC of its NIC, because a NIC keeps its ways when it is renamed. */
type KnownWay = Omit<Way, 'dev'> & { readonly mac: string; readonly name: string };

/** @param peers addresses of the store and of API servers */
export function needsOf(
  { routes, nodeAddresses }: Pick<HostState, 'routes' | 'nodeAddresses'>,
  peers: readonly string[] = [],
): Needs {
  return { to: [...new Set([...peers, ...gatewaysOf(routes)])], from: nodeAddresses };
}

/** The links that lead to addresses as the kernel chooses by itself. */
export function linksOfWays(ways: readonly Way[]): ReadonlyMap<string, string> {
  return new Map(ways.flatMap(({ to, from, dev }) => (from === undefined ? [[to, dev] as const] : [])));
}

/**
 * Verifies that the ways are the same. Repeats the check for a second, because a daemon may just be replacing a route.
 * @param changed MACs of NICs that changed; the commit may change a way through one of these NICs
 * @throws MultinicError `VerifyFailed` naming the first way that changed
 */
export async function verifyWays(
  machine: MachinePort,
  needs: Needs,
  before: { readonly ways: readonly Way[]; readonly links: readonly Link[] },
  changed: ReadonlySet<string>,
): Promise<void> {
  const known = before.ways.map((way) => knownWay(way, before.links)).filter(({ mac }) => !changed.has(mac));
  let failure: MultinicError | undefined;
  await until(
    SETTLED_MS,
    async () => {
      const now = await machine.ways(needs);
      const links = await machine.links();
      failure = difference(
        known,
        now.map((way) => knownWay(way, links)),
      );
      return failure === undefined;
    },
    AGAIN_MS,
  );
  if (failure !== undefined) throw failure;
}

/**
 * Verifies that no packet to a gateway of the node leaves by these NICs. Unlike `verifyWays`, needs no state from
 * before the change.
 * @throws MultinicError `VerifyFailed`
 */
export async function verifyGateways(
  machine: MachinePort,
  routes: readonly Route[],
  changed: readonly NamedNic[],
): Promise<void> {
  const { nodeAddresses, links } = await machine.state();
  const ways = await machine.ways({ to: gatewaysOf(routes), from: nodeAddresses });
  const through = ways
    .map((way) => knownWay(way, links))
    .find(({ to, mac }) => gatewaysOf(routes).includes(to) && changed.some((nic) => nic.mac === mac));
  if (through !== undefined) throw changedWay(through, through);
}

const SETTLED_MS = 1_000;
const AGAIN_MS = 200;

function difference(before: readonly KnownWay[], after: readonly KnownWay[]): MultinicError | undefined {
  for (const way of before) {
    const now = after.find(({ to, from }) => to === way.to && from === way.from);
    if (now?.mac !== way.mac || now.via !== way.via) return changedWay(way, now);
  }
  return undefined;
}

function knownWay({ dev, ...way }: Way, links: readonly Link[]): KnownWay {
  return { ...way, name: dev, mac: links.find(({ name }) => name === dev)?.mac ?? dev };
}

function changedWay({ to, from }: KnownWay, now: KnownWay | undefined): MultinicError {
  const speaker = from === undefined ? '' : ` from the node’s address ${from}`;
  const leads =
    now === undefined
      ? 'the node has no way'
      : `${now.name} ${now.via === undefined ? '' : `via ${now.via} `}is the way`;
  return new MultinicError(
    'VerifyFailed',
    `after the change ${leads} to ${to}${speaker}, which differs from before; give the NIC another subnet in the MultiNicBizConfig, or look at the node’s routes and rules, then run \`multinic retry\``,
    { data: { to, ...(from !== undefined && { from }) } },
  );
}
