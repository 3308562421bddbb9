import type { RendererKind } from '../network/node.ts';
import { rendererOf } from '../network/renderers.ts';
import type { Profiles } from './host.ts';
import { noAutoDefaultMac } from './no-auto-default.ts';
import type { Plan } from './plan.ts';
import type { Root } from './root.ts';

const keyfile = rendererOf('keyfile');

/** Whether a path is that of a profile of ours; the .link files beside them are udev's. */
export function isProfile(path: string): boolean {
  return path.endsWith('.nmconnection') && keyfile.manages(path);
}

/** A file that was kept, of the earlier agent, may leave it to NetworkManager. */
export function profileUuid(content: string): string | undefined {
  return /^uuid=(\S+)$/m.exec(content)?.[1];
}

/** Whether NetworkManager has a part in a plan: also when a node leaves it, or is cleaned up. */
export function needsNetworkManager({ files, targets }: Plan, kind: RendererKind): boolean {
  const told = files.some(({ path }) => isProfile(path) || noAutoDefaultMac(path) !== undefined);
  return told || (kind === 'keyfile' && targets.length > 0);
}

/** The profile file that each of the commit's NICs has, by MAC. */
export function profilePaths({ present }: Plan): ReadonlyMap<string, string> {
  return new Map(
    present.flatMap((nic) => {
      const path = [...keyfile.render(nic).keys()].find(isProfile);
      return path === undefined ? [] : [[nic.mac, path] as const];
    }),
  );
}

/** The profile that each NIC shall have once the plan's files are written; null: none of ours. */
export function wantedProfiles(plan: Plan, root: Root): Profiles {
  const written = new Map(
    plan.files.map((step) => [step.path, step.op === 'write' ? step.content : undefined]),
  );
  const paths = profilePaths(plan);
  const profileOf = (path: string): string =>
    profileUuid(written.get(path) ?? root.read(path)?.content ?? '') ?? `/${path}`;
  return Object.fromEntries(
    plan.targets.map(({ mac }) => {
      const path = paths.get(mac);
      return [mac, path === undefined ? null : profileOf(path)];
    }),
  );
}
