// Link-local addresses. Every network has them, and OpenStack gives them to no port. A new one is refused; one that an
// earlier version accepted gets a warning, so that installing a version touches no node.
import type { Problem } from '../api/errors.ts';
import { isLinkLocal, parseAddress } from './address.ts';
import type { Mac } from './mac.ts';

interface Addressed {
  readonly mac: Mac;
  readonly address?: string;
}

/** The problem of an interface whose address is link-local. */
export function linkLocalProblem({ address }: Pick<Addressed, 'address'>, path: string): Problem | undefined {
  const parsed = address === undefined ? undefined : parseAddress(address);
  if (parsed === undefined || !isLinkLocal(parsed)) return undefined;
  const message = `${address} is a link-local address, which every network has; write the address of the port`;
  return { path, code: 'LinkLocalAddress', message };
}

/** Splits the link-local addresses of a network into those that it had before and new ones. */
export function partLinkLocals<Nic extends Addressed>(
  network: readonly Nic[],
  before: readonly Addressed[],
): { stored: Nic[]; added: Nic[] } {
  const known = new Set(before.map(keyOfAddress));
  const all = network.filter((nic) => linkLocalProblem(nic, '') !== undefined);
  return {
    stored: all.filter((nic) => known.has(keyOfAddress(nic))),
    added: all.filter((nic) => !known.has(keyOfAddress(nic))),
  };
}

export function keyOfAddress({ mac, address }: Addressed): string {
  return `${mac} ${address}`;
}
