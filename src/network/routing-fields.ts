// Normalises the fields of a CR's interface that concern routing. check.ts judges the values, because files that a
// person edits obey the same rules.

import type { z } from 'zod';
import type { Problem } from '../api/errors.ts';
import type { InterfaceConfig } from '../api/multinicbizconfig.ts';
import { networkAddress, parseAddress, parseCidr } from './address.ts';
import { compareRoutes, type Route, type WantedInterface } from './interface.ts';

type Item = Pick<
  z.infer<typeof InterfaceConfig>,
  'addresses' | 'gateway' | 'gateway6' | 'routes' | 'sourceRouting'
>;

export type Routing = Pick<
  WantedInterface,
  'furtherAddresses' | 'gateway' | 'gateway6' | 'routes' | 'sourceRouting'
>;

/** @param path of the interface: `spec.nodeConfigs[1].interfaces[0]` */
export function readRouting(item: Item, path: string, problems: Problem[]): Routing {
  const { gateway, gateway6, sourceRouting } = item;
  const further = (item.addresses ?? []).flatMap((text, index) => {
    const cidr = parseCidr(text);
    if (cidr !== undefined) return [`${cidr.text}/${cidr.prefix}`];
    const message = `is ${JSON.stringify(text.slice(0, 80))}; write an address with its prefix, such as 192.168.100.11/24`;
    problems.push({ path: `${path}.addresses[${index}]`, code: 'InvalidAddress', message });
    return [];
  });
  const routes = (item.routes ?? []).flatMap((route, index) =>
    readRoute(route, `${path}.routes[${index}]`, problems),
  );
  return {
    ...(further.length > 0 && { furtherAddresses: [...new Set(further)].sort() }),
    ...(gateway !== undefined && { gateway: parseAddress(gateway)?.text ?? gateway }),
    ...(gateway6 !== undefined && { gateway6: parseAddress(gateway6)?.text ?? gateway6 }),
    ...(routes.length > 0 && { routes: routes.sort(compareRoutes) }),
    ...(sourceRouting !== undefined && { sourceRouting }),
  };
}

function readRoute(
  { to = '', via = '', metric }: NonNullable<Item['routes']>[number],
  path: string,
  problems: Problem[],
): Route[] {
  const network = parseCidr(to === 'default' ? '0.0.0.0/0' : to);
  const next = parseAddress(via);
  const refuse = (field: 'to' | 'via', value: string, remedy: string): Route[] => {
    const found = value === '' ? 'is missing' : `is ${JSON.stringify(value.slice(0, 80))}`;
    problems.push({ path: `${path}.${field}`, code: 'InvalidRoute', message: `${found}; ${remedy}` });
    return [];
  };
  if (network === undefined) return refuse('to', to, 'write a network such as 10.20.0.0/16');
  const canonical = `${networkAddress(network)}/${network.prefix}`;
  if (network.text !== networkAddress(network)) {
    return refuse('to', to, `the network of this address is ${canonical}, write that`);
  }
  if (next === undefined) return refuse('via', via, 'write the next hop, such as 192.168.100.1');
  return [{ to: canonical, via: next.text, ...(metric !== undefined && { metric }) }];
}
