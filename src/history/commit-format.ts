// The words of commit messages: trailers, kinds of change, subjects.

import { isDeepStrictEqual } from 'node:util';
import { parseOid, type Oid } from '../api/oid.ts';
import type { ConfigRef } from '../network/node.ts';
import { ownCidrOf, type Interface, type Network, type Route } from '../network/interface.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Commit } from '../store/model/store-port.ts';

/** The `Change:` trailer of a commit on a node's branch. */
export const KINDS = ['birth', 'spec', 'rerender', 'identity', 'rollback'] as const;
export type Kind = (typeof KINDS)[number];

export const TRAILER = {
  change: 'Change',
  config: 'MultiNicBizConfig',
  uid: 'CR-UID',
  generation: 'Generation',
  specHash: 'Spec-Hash',
  mainCommit: 'Main-Commit',
  endsHold: 'Ends-Hold',
  confirms: 'Confirms',
  /** Commit of the drift whose files an edit keeps. */
  accepts: 'Accepts',
  /** The object of a confirmation: `removals`, `repairs`, or a `change` that failed. */
  means: 'Means',
  by: 'By',
} as const;

export type Trailers = (readonly [key: string, value: string])[];

export function trailer(commit: Commit, key: string): string | undefined {
  return commit.trailers.findLast(([name]) => name === key)?.[1];
}

/** A trailer whose value is the id of an object; undefined: the commit has none, or its value is no id. */
export function oidTrailer(commit: Commit, key: string): Oid | undefined {
  return parseOid(trailer(commit, key));
}

/**
 * An author with the authenticated account, unless both have one name: `Alice (authenticated as operator)`.
 * @param author a name, alone or with an address; git knows no empty address
 */
export function signedBy(author: string, principal: string | undefined): string {
  const known = author.replace(/ <unknown>$/, '');
  return principal === undefined || principal === known ? known : `${known} (authenticated as ${principal})`;
}

export function formatConfigRef(ref: ConfigRef): string {
  return `${ref.group}/${ref.namespace}/${ref.name}`;
}

/** The difference of two networks in a person's words: `add multinic1 192.168.200.10/24, remove multinic2`. */
export function describeChange(before: Network, after: Network): string {
  const old = new Map(before.map((nic) => [nic.mac, nic]));
  const next = new Set(after.map((nic) => nic.mac));
  const removed = before.filter((nic) => !next.has(nic.mac)).map((nic) => `remove ${nic.name}`);
  const changed = after.flatMap((nic) => {
    const was = old.get(nic.mac);
    return was === undefined ? [`add ${nic.name} ${cidr(nic)}`] : describeInterfaceChange(was, nic);
  });
  return [...removed, ...changed].join(', ') || 'no change of the network';
}

/** Changes of each interface, one line an interface: `multinic0 (02:00:00:00:01:01): mtu 1500 -> 1400`. */
export function describeNics(before: Network, after: Network): string[] {
  const macs = new Set([...before, ...after].map(({ mac }) => mac));
  const lines = [...macs].flatMap((mac) => {
    const [was, is] = [before, after].map((network) => network.filter((nic) => nic.mac === mac));
    const name = is?.[0]?.name ?? was?.[0]?.name ?? '';
    return isDeepStrictEqual(was, is) ? [] : [`${name} (${mac}): ${describeChange(was ?? [], is ?? [])}`];
  });
  return lines.length > 0 ? lines : ['no interface changes'];
}

function describeInterfaceChange(was: Interface, nic: Interface): string[] {
  const parts: string[] = [];
  if (was.name !== nic.name) parts.push(`rename ${was.name} to ${nic.name}`);
  if (cidr(was) !== cidr(nic)) parts.push(`${nic.name} ${cidr(was)} -> ${cidr(nic)}`);
  if (was.mtu !== nic.mtu) parts.push(`${nic.name} mtu ${was.mtu} -> ${nic.mtu}`);
  if (was.takeover !== nic.takeover)
    parts.push(`${nic.name} takeover ${was.takeover ?? false} -> ${nic.takeover ?? false}`);
  if (was.portId !== nic.portId)
    parts.push(`${nic.name} port ${was.portId ?? 'none'} -> ${nic.portId ?? 'none'}`);
  return [...parts, ...describeRoutingChange(was, nic)];
}

function describeRoutingChange(was: Interface, nic: Interface): string[] {
  const further = describeSet(was.furtherAddresses ?? [], nic.furtherAddresses ?? []);
  const routes = describeSet((was.routes ?? []).map(routeText), (nic.routes ?? []).map(routeText));
  const gateways = (['gateway', 'gateway6'] as const).flatMap((field) =>
    was[field] === nic[field]
      ? []
      : [`${nic.name} ${field} ${was[field] ?? 'none'} -> ${nic[field] ?? 'none'}`],
  );
  const [before, after] = [was, nic].map(({ sourceRouting, statedSourceRouting: stated }) =>
    stated === undefined ? `${sourceRouting === true ? 'on' : 'off'} (auto)` : stated ? 'on' : 'off',
  );
  return [
    ...(further === '' ? [] : [`${nic.name} addresses ${further}`]),
    ...gateways,
    ...(routes === '' ? [] : [`${nic.name} routes ${routes}`]),
    ...(before === after ? [] : [`${nic.name} source routing ${before} -> ${after}`]),
  ];
}

/** Names additions to a set and removals from it: `+192.0.2.11/24 -192.0.2.12/24`. */
function describeSet(before: readonly string[], after: readonly string[]): string {
  const more = after.filter((each) => !before.includes(each)).map((each) => `+${each}`);
  const less = before.filter((each) => !after.includes(each)).map((each) => `-${each}`);
  return [...more, ...less].join(' ');
}

function routeText({ to, via, metric }: Route): string {
  return `${to} via ${via}${metric === undefined ? '' : ` metric ${metric}`}`;
}

export function cidr(nic: Interface): string {
  return ownCidrOf(nic) ?? 'link only';
}

/** Cuts a subject to one line of a terminal; the diff has the rest. */
export function subject(node: string, what: string): string {
  const line = `${node}: ${what}`;
  return line.length <= 120 ? line : `${line.slice(0, 117)}...`;
}

/** Whether the controller wrote the commit. Only then do its trailers count. */
export function isByController(commit: Commit): boolean {
  return commit.committer.email.toLowerCase() === CONTROLLER.email;
}

/** The kind of a commit that the controller wrote; undefined for a person's. */
export function kindOf(commit: Commit): Kind | undefined {
  return isByController(commit) ? (trailer(commit, TRAILER.change) as Kind | undefined) : undefined;
}
