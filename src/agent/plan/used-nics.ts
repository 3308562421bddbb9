// NICs of ours that other software uses: a bridge, a bond or Open vSwitch contains the NIC, or a VLAN or a pod's
// interface is on top of it.
import { isLinkOnly, type Interface } from '../../network/interface.ts';
import type { RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import { metricPath } from '../files/route-metric.ts';
import { linkSteps, nicOf } from '../host/links.ts';
import type { HostState, Link, NamedNic } from '../host/machine.ts';
import type { Plan } from './plan.ts';

/** A NIC that a run leaves, with its use as the end of a sentence. */
export interface LeftNic extends NamedNic {
  readonly use: string;
  /**
   * A bridge or a bond contains the NIC, or the commit leaves the NIC to other software. So the NIC may rightly be
   * configured otherwise.
   */
  readonly isTaken: boolean;
  /** The commit leaves the NIC to other software, and the run would change nothing on it now. */
  readonly isMeant: boolean;
}

/** NICs that the run left and that a person has to know about. */
export function unexpected(left: readonly LeftNic[]): LeftNic[] {
  return left.filter(({ isMeant }) => !isMeant);
}

/** The use of a NIC by other software, as the end of a sentence; undefined: no use is known. */
export function useByOthers(
  { name, master }: Link,
  { uppers = [] }: Pick<HostState, 'uppers'>,
): string | undefined {
  if (master !== undefined) return `is part of ${master}`;
  const upper = uppers.find(({ lower }) => lower === name);
  return upper && `carries ${upper.name}`;
}

/**
 * Leaves NICs whose files the commit does not change and whose link other software changed for its own use, and
 * link-only NICs in use. One such NIC must not keep the node's other NICs from a change.
 */
export function leaveUsed(plan: Plan, host: HostState, kind: RendererKind): Plan {
  return leave(plan, findUsed(plan, host, kind), kind);
}

function findUsed(plan: Plan, host: HostState, kind: RendererKind): LeftNic[] {
  const paths = new Set(plan.files.map(({ path }) => path));
  const changed = new Set(linkSteps(host.links, plan.targets).map(({ mac }) => mac));
  return plan.present.flatMap((nic): LeftNic[] => {
    const link = nicOf(host.links, nic.mac);
    const use = link && useByOthers(link, host);
    const files = rendererOf(kind).render(nic);
    const isWritten = [...files.keys()].some((path) => paths.has(path));
    const isChanged = changed.has(nic.mac);
    if (link === undefined || use === undefined || !(isChanged || isWritten)) return [];
    const found = { mac: nic.mac, name: link.name, use };
    if (isFree(nic, link, plan)) return [{ ...found, isTaken: true, isMeant: !(isChanged && isWritten) }];
    return isWritten ? [] : [{ ...found, isTaken: link.master !== undefined, isMeant: false }];
  });
}

/** Whether a NIC is link-only and no longer has the addresses and rules from before. */
function isFree(nic: Interface, link: Link, { targets }: Plan): boolean {
  const target = targets.find(({ mac }) => mac === nic.mac);
  const { rules = [], routes = [] } = target?.unrouted ?? {};
  return (
    isLinkOnly(nic) &&
    !link.addresses.some((address) => target?.dropped.includes(address) === true) &&
    !link.routing?.rules.some((rule) => rules.includes(rule)) &&
    !link.routing?.routes.some((route) => routes.includes(route))
  );
}

/** The plan without the links and metrics of some NICs. */
export function leave(plan: Plan, left: readonly LeftNic[], kind: RendererKind): Plan {
  if (left.length === 0) return plan;
  const macs = new Set(left.map(({ mac }) => mac));
  // The metric of a NIC follows from a change of its link, so it stays too.
  const metrics = plan.present.flatMap((nic) => (macs.has(nic.mac) ? [metricPath(nic, kind)] : []));
  return {
    ...plan,
    files: plan.files.filter(({ path }) => !metrics.includes(path)),
    targets: plan.targets.filter(({ mac }) => !macs.has(mac)),
    left,
  };
}
