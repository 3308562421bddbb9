// Machines that must answer after a change. The agent asks over a new connection, because one that was open before the
// change proves nothing.
import { connect } from 'node:net';
import { MultinicError } from '../../api/errors.ts';
import { contains, parseAddress, parseCidr } from '../../network/address.ts';
import { ownCidrOf, type Network } from '../../network/interface.ts';
import type { Mac } from '../../network/mac.ts';
import { parseProbeTarget, type ProbeTarget } from '../../api/probe-target.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** A machine that must answer after a change, asked from the address of one of the commit's NICs. */
export interface Probe {
  readonly mac: Mac;
  /** The NIC's own address. */
  readonly from: string;
  readonly host: string;
  /** TCP port; absent: the machine must answer ARP or NDP, because a pod may send no ping. */
  readonly port?: number;
}

/**
 * @param texts `192.168.100.1`, `192.168.100.1:22`, `fd00::1`, `[fd00::1]:22`
 * @returns probes of addresses in the network of one of the NICs; the other addresses belong to other nodes
 * @throws MultinicError `InvalidProbe`
 */
export function probesOf(texts: readonly string[], network: Network): Probe[] {
  return texts.flatMap((text) => {
    const { host, port } = parseTarget(text);
    return network.flatMap((nic) => {
      const subnet = parseCidr(ownCidrOf(nic) ?? '');
      const target = parseAddress(host);
      if (subnet === undefined || target === undefined || !contains(subnet, target)) return [];
      return [{ mac: nic.mac, from: subnet.text, host: target.text, ...(port !== undefined && { port }) }];
    });
  });
}

function parseTarget(text: string): ProbeTarget {
  const target = parseProbeTarget(text);
  if (target !== undefined) return target;
  throw new MultinicError(
    'InvalidProbe',
    `${JSON.stringify(text)} is no probe; write an address, or one with a TCP port (192.168.100.1:22, [fd00::1]:22), in the annotation multinic.io/probes of the Node`,
    { data: { probe: text } },
  );
}

/**
 * Whether an endpoint answers. A refused connection counts as an answer, because it proves that packets go there and
 * back.
 * @param from the local address
 */
export function answers({ host, port }: Endpoint, timeoutMs: number, from?: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port, ...(from !== undefined && { localAddress: from }) });
  const timer = setTimeout(() => resolve(false), timeoutMs);
  socket.once('connect', () => resolve(true));
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}

/** The endpoint if it answers now; undefined: there is none, or it does not answer. */
export async function answering(endpoint: Endpoint | undefined): Promise<Endpoint | undefined> {
  return endpoint !== undefined && (await answers(endpoint, ANSWER_MS)) ? endpoint : undefined;
}

/** @throws MultinicError `ApiServerLost` */
export async function expectApiServer(endpoint: Endpoint): Promise<void> {
  for (let tries = 1; !(await answers(endpoint, ANSWER_MS)); tries += 1) {
    if (tries < TRIES) continue;
    throw new MultinicError(
      'ApiServerLost',
      `after the change the API server at ${endpoint.host} no longer answers; look at the node’s routes, then run \`multinic retry\``,
      { data: { ...endpoint } },
    );
  }
}

export function probeFailed({ host, port, from }: Probe): MultinicError {
  return new MultinicError(
    'ProbeFailed',
    `after the change ${host}${port === undefined ? '' : ` (TCP port ${port})`} does not answer to ${from}; look at the port’s network, or take the probe out of the annotation multinic.io/probes, then run \`multinic retry\``,
    { data: { host, port, from } },
  );
}

/** The API server from the environment that every pod has. */
export function apiServerOf(env: NodeJS.ProcessEnv): Endpoint | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  return host === undefined || port === undefined ? undefined : { host, port: Number(port) };
}

const ANSWER_MS = 2_000;
const TRIES = 5;
