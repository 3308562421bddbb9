// NICs of ours that other software uses: a bridge, a bond or Open vSwitch has taken the NIC, or a VLAN or a pod's
// interface stands on it.
import type { RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import { metricPath } from '../files/route-metric.ts';
import { linkSteps, nicOf } from '../host/links.ts';
import type { HostState, Link, NamedNic } from '../host/machine.ts';
import type { Plan } from './plan.ts';

/** A NIC that a run leaves as it is, with the use of the NIC as the end of a sentence. */
export interface LeftNic extends NamedNic {
  readonly use: string;
  /** A bridge or a bond has taken the NIC, which is rightly configured otherwise since. */
  readonly isTaken: boolean;
}

/** The use of a NIC by other software, as the end of a sentence; undefined: no use is known. */
export function useByOthers(
  { name, master }: Link,
  { uppers = [] }: Pick<HostState, 'uppers'>,
): string | undefined {
  if (master !== undefined) return `is part of ${master}`;
  const upper = uppers.find(({ lower }) => lower === name);
  return upper && `is what ${upper.name} stands on`;
}

/**
 * Leaves NICs as they are whose files the commit does not change and whose link other software has changed for its own
 * use. Such a NIC must not keep the other NICs of the node from a change.
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
    if (use === undefined || !changed.has(nic.mac) || isWritten) return [];
    return [{ mac: nic.mac, name: link?.name ?? nic.name, use, isTaken: link?.master !== undefined }];
  });
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
