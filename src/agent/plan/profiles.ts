import { byNetworkManager, type RendererKind } from '../../network/node.ts';
import { RENDERER_KINDS, rendererOf } from '../../network/renderers.ts';
import type { Profiles } from '../host/machine.ts';
import { noAutoDefaultMac } from '../files/no-auto-default.ts';
import { isManagerMetric } from '../files/route-metric.ts';
import type { Plan } from './plan.ts';
import type { Root } from '../files/root.ts';
import type { Mac } from '../../network/mac.ts';

const PROFILE_KINDS = RENDERER_KINDS.filter(byNetworkManager);

/**
 * Whether a path is one of our profiles. Files beside a profile are no profiles: udev reads .link files and settings of
 * the kernel, and NetworkManager reads route files with the profile.
 */
export function isProfile(path: string): boolean {
  return PROFILE.test(path) && PROFILE_KINDS.some((kind) => rendererOf(kind).manages(path));
}

const PROFILE = /(\.nmconnection|\/ifcfg-[^/]+)$/;

/**
 * The uuid in a profile; undefined: NetworkManager chooses one. Our ifcfg files have no uuid, and a kept keyfile of the
 * earlier agent may have none.
 */
export function profileUuid(content: string): string | undefined {
  return /^uuid="?([^\s"]+)"?$/im.exec(content)?.[1];
}

/**
 * Whether a plan involves NetworkManager. This is also true if the node stops using NetworkManager, or is cleaned up.
 */
export function needsNetworkManager({ files, targets }: Plan, kind: RendererKind): boolean {
  const told = files.some(
    ({ path }) => isProfile(path) || noAutoDefaultMac(path) !== undefined || isManagerMetric(path),
  );
  return told || (byNetworkManager(kind) && targets.length > 0);
}

/** The profile file of each NIC of the commit, by MAC. */
export function profilePaths({ present }: Plan, kind: RendererKind): ReadonlyMap<Mac, string> {
  return new Map(
    present.flatMap((nic) => {
      const path = [...rendererOf(kind).render(nic).keys()].find(isProfile);
      return path === undefined ? [] : [[nic.mac, path] as const];
    }),
  );
}

/** The profile that each NIC is to have once the plan's files are written; null: none of our profiles. */
export function wantedProfiles(plan: Plan, kind: RendererKind, root: Root): Profiles {
  const written = new Map(
    plan.files.map((step) => [step.path, step.op === 'write' ? step.content : undefined]),
  );
  const paths = profilePaths(plan, kind);
  const profileOf = (path: string): string =>
    profileUuid(written.get(path) ?? root.read(path)?.content ?? '') ?? `/${path}`;
  return Object.fromEntries(
    plan.targets.map(({ mac }) => {
      const path = paths.get(mac);
      return [mac, path === undefined ? null : profileOf(path)];
    }),
  );
}
