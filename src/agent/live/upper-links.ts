// Links on top of other links: VLANs, tunnels, and interfaces of pods in network namespaces of their own.
import { statSync } from 'node:fs';
import type { Root } from '../files/root.ts';
import type { Upper } from '../host/machine.ts';
import { run } from '../command/host-command.ts';
import type { RawLink } from './ip.ts';

/** Kinds of links whose `link` names their other end and no link below. */
const PAIRS: ReadonlySet<string> = new Set(['veth', 'netkit', 'vxcan']);
/** Folders in which `ip netns`, container runtimes and Docker keep a file for each network namespace. */
const NAMESPACES = ['run/netns', 'run/docker/netns'];

/** Links on top of other links in one namespace, found by their device, or for tunnels by their local address. */
export function readUppers(raw: readonly RawLink[]): Upper[] {
  return raw.flatMap((each) => {
    const lower = lowerOf(each, raw);
    return lower === undefined ? [] : [{ name: each.ifname, lower }];
  });
}

function lowerOf({ link, linkinfo = {} }: RawLink, raw: readonly RawLink[]): string | undefined {
  const { info_kind = '', info_data: data = {} } = linkinfo;
  if (PAIRS.has(info_kind)) return undefined;
  const local = data.local ?? data.local6;
  const holder = raw.find(({ addr_info = [] }) => addr_info.some((each) => each.local === local));
  return link ?? data.link ?? (local === undefined ? undefined : holder?.ifname);
}

/**
 * Links of another namespace on top of links of the host's own namespace. The kernel reports the number of the link
 * below, and that this link is in another namespace.
 */
export function uppersAcross(others: readonly RawLink[], own: readonly RawLink[]): Upper[] {
  return others.flatMap(({ ifname, link_index, link_netnsid, linkinfo = {} }) => {
    if (link_netnsid === undefined || PAIRS.has(linkinfo.info_kind ?? '')) return [];
    const index = link_index ?? Number(/^if(\d+)$/.exec(linkinfo.info_data?.link ?? '')?.[1]);
    const lower = own.find(({ ifindex }) => ifindex === index)?.ifname;
    return lower === undefined ? [] : [{ name: ifname, lower }];
  });
}

/**
 * Links in the host's other network namespaces on top of links of the host's own, for all namespaces that have a file.
 * A namespace that the agent cannot enter gives no links.
 */
export async function uppersElsewhere(root: Root, own: readonly RawLink[]): Promise<Upper[]> {
  const paths = NAMESPACES.flatMap((folder) => root.list(folder).map((name) => `${folder}/${name}`));
  const files = paths.map((path) => root.resolve(path)).filter(isOther);
  if (files.length === 0) return [];
  const script = 'for file; do nsenter "--net=$file" ip -j -d link show 2>/dev/null || echo "[]"; done';
  const { stdout } = await run(['sh', '-c', script, 'sh', ...files], NAMESPACES_MS);
  const answers = stdout.split('\n').filter((line) => line.startsWith('['));
  return answers.flatMap((line, index) => {
    const name = files[index]?.split('/').at(-1) ?? '';
    const uppers = uppersAcross(JSON.parse(line) as RawLink[], own);
    return uppers.map((upper) => ({ ...upper, name: `${upper.name} in the network namespace ${name}` }));
  });
}

/** Limit of reading all namespaces. A node may have hundreds of pods, each with a namespace. */
const NAMESPACES_MS = 60_000;

/** Whether a file is for another namespace than the host's own: Docker has a file for the host's own namespace too. */
function isOther(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.ino !== statSync('/proc/self/ns/net').ino;
}
