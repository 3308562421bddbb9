import { indexOfName, ownCidrOf, type Interface } from '../../network/interface.ts';
import type { HostState, Link, NamedNic } from '../host/machine.ts';
import { nicOf } from '../host/links.ts';
import { wantedRouting, type LinkRouting } from '../host/routing.ts';
import type { Desired, Plan } from './plan.ts';
import { sha256, type Applied } from '../files/host-record.ts';
import type { Root } from '../files/root.ts';

type Origin = Pick<Link, 'name' | 'mtu' | 'up' | 'networkManager'>;

/** The host record after the plan is carried out. */
export function nextRecord(
  desired: Desired,
  plan: Plan,
  before: HostState,
  old: Applied | undefined,
  root: Root,
  node: string,
  at: Date,
): Applied {
  const written = new Map(
    plan.files.flatMap((step) => (step.op === 'write' ? [[step.path, step.content] as const] : [])),
  );
  const paths = [...plan.kept, ...written.keys()].filter((path) => desired.files.has(path)).sort();
  return {
    node,
    commit: desired.commit,
    machineId: before.machineId,
    appliedAt: at.toISOString(),
    nics: Object.fromEntries(
      plan.present.map((nic) => {
        const link = nicOf(before.links, nic.mac);
        const known = old?.nics[nic.mac];
        const own = ownCidrOf(nic);
        const lingering = plan.lingering.find(({ mac }) => mac === nic.mac);
        const origin =
          known?.origin ??
          (known === undefined && link !== undefined && indexOfName(link.name) === undefined
            ? link
            : undefined);
        return [
          nic.mac,
          {
            name: nameOf(nic, plan, link, known?.name),
            ...(own !== undefined && { address: own }),
            ...(nic.furtherAddresses && { furtherAddresses: nic.furtherAddresses }),
            ...(lingering && {
              lingering: {
                bootId: before.bootId,
                addresses: [...lingering.addresses],
                ...(lingering.heldRouting && { routing: recorded(lingering.heldRouting) }),
              },
            }),
            ...(origin && { origin: originOf(origin) }),
            ...routingOf(nic, link, known),
          },
        ];
      }),
    ),
    files: Object.fromEntries(
      paths.map((path) => {
        const content = written.get(path) ?? root.read(path)?.content ?? '';
        return [path, { sha256: sha256(content), commit: sha256(desired.files.get(path) ?? '') }];
      }),
    ),
  };
}

/** A link as the agent first saw it. */
function originOf({ name, mtu, up, networkManager }: Origin): Origin {
  return { name, mtu, up, ...(networkManager === true && { networkManager }) };
}

function recorded({ rules, routes }: LinkRouting): NonNullable<Applied['nics'][string]['routing']> {
  return { rules, routes, sysctls: {} };
}

/** Rules and routes of the NIC, with the settings from before the agent gave it any. */
function routingOf(
  nic: Interface,
  link: Link | undefined,
  known: Applied['nics'][string] | undefined,
): Pick<Applied['nics'][string], 'routing'> {
  const { rules, routes, sysctls } = wantedRouting(nic);
  if (rules.length === 0 && routes.length === 0) return {};
  const isSet = Object.keys(sysctls).length > 0;
  const before = known?.routing?.sysctls ?? link?.routing?.sysctls ?? {};
  return { routing: { rules, routes, sysctls: isSet ? { ...before } : {} } };
}

/**
 * The name of a NIC in the record. A run that touches no links leaves the NIC the name that the agent gave it before,
 * and the next boot gives it the new one.
 */
function nameOf(
  { mac, name }: NamedNic,
  { targets }: Plan,
  link: NamedNic | undefined,
  given: string | undefined,
): string {
  const isChanged = targets.some((target) => target.mac === mac);
  return !isChanged && given !== undefined && link?.name === given ? given : name;
}
