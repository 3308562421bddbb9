// Routes, rules, addresses and permanent neighbours of other software: a routing daemon, a CNI, a person. The kernel or
// a network manager removes them when a link goes down, or when the manager reads all of its files again, and no other
// software restores them.

/**
 * Range of the foreign state that a change may remove. `single`: entries on the changed NICs, except routes over
 * several next hops; `ours`: these routes too; `rules`: also entries on no NIC, or on several (systemd 257); `all`: all
 * entries of the node.
 */
export type ForeignScope = 'single' | 'ours' | 'rules' | 'all';

interface Entry {
  /** The words of `ip` that describe the entry, after `add`. */
  readonly text: string;
  /** Names of the links that the entry is on or leads through. */
  readonly links: readonly string[];
}

export interface ForeignRoute extends Entry {
  readonly family: Family;
  readonly hasGateway: boolean;
  readonly hasNextHops: boolean;
  /** Number of the software that made the route, as in `ip -N route`. */
  readonly protocol?: string;
}

export interface ForeignRule extends Entry {
  readonly family: Family;
}

export type Family = 4 | 6;

export interface ForeignState {
  readonly addresses: readonly Entry[];
  readonly routes: readonly ForeignRoute[];
  readonly neighbours: readonly Entry[];
  readonly rules: readonly ForeignRule[];
}

export const NO_FOREIGN_STATE: ForeignState = { addresses: [], routes: [], neighbours: [], rules: [] };

const LINK = /(?<= dev )\S+/g;

export function entryOf(text: string): Entry {
  return { text, links: ` ${text}`.match(LINK) ?? [] };
}

export function routeOf(family: Family, text: string): ForeignRoute {
  const protocol = / proto (\S+)/.exec(text)?.[1];
  return {
    ...entryOf(text),
    family,
    hasGateway: text.includes(' via '),
    hasNextHops: /\bnexthop\b/.test(text),
    ...(protocol !== undefined && { protocol }),
  };
}

/** Writes a state as the arguments of `ip` that add each entry: the format of the host record. */
export function toCommands({ addresses, routes, neighbours, rules }: ForeignState): string[] {
  return [
    ...addresses.map(({ text }) => `addr add ${text}`),
    ...routes.map(({ family, text }) => `-${family} route add ${text}`),
    ...neighbours.map(({ text }) => `neigh add ${text}`),
    ...rules.map(({ family, text }) => `-${family} rule add ${text}`),
  ];
}

/** Reads the format of the host record. A command that no version of the agent writes is left out. */
export function fromCommands(commands: readonly string[]): ForeignState {
  const parsed = commands.map((command) => {
    const [, family, object = '', text = ''] =
      /^(?:-([46]) )?(\w+) (?:add|replace) (.*)$/.exec(command) ?? [];
    return { family: family === '6' ? 6 : 4, object, text } as const;
  });
  const of = (object: string): typeof parsed => parsed.filter((each) => each.object === object);
  return {
    addresses: of('addr').map(({ text }) => entryOf(text)),
    routes: of('route').map(({ family, text }) => routeOf(family, text)),
    neighbours: of('neigh').map(({ text }) => entryOf(text)),
    rules: of('rule').map(({ family, text }) => ({ ...entryOf(text), family })),
  };
}

/**
 * Whether a network manager may have written an entry (protocol 4 static) that is on none of these links. After the
 * manager has read its files again the entry is not added, because the files may say otherwise by now.
 */
export function mayBeOfManager({ text, links }: Entry, own: ReadonlySet<string>): boolean {
  return / proto 4\b/.test(text) && links.every((name) => !own.has(name));
}

/** Keeps the entries for which `keep` is true. */
export function filterState(state: ForeignState, keep: (entry: Entry) => boolean): ForeignState {
  return {
    addresses: state.addresses.filter(keep),
    routes: state.routes.filter(keep),
    neighbours: state.neighbours.filter(keep),
    rules: state.rules.filter(keep),
  };
}

export function isEmpty({ addresses, routes, neighbours, rules }: ForeignState): boolean {
  return [addresses, routes, neighbours, rules].every((entries) => entries.length === 0);
}

/** The entries that are not on any of these links. */
export function notOnLinks(state: ForeignState, links: readonly { readonly name: string }[]): ForeignState {
  const names = new Set(links.map(({ name }) => name));
  return filterState(state, (entry) => entry.links.every((link) => !names.has(link)));
}

/**
 * Rewrites a state for links that have new names, and leaves out entries on links that are gone.
 * @param names new name by old name; undefined: the link is gone
 * @param present names of all links
 */
export function withLinksRenamed(
  state: ForeignState,
  names: ReadonlyMap<string, string | undefined>,
  present: ReadonlySet<string>,
): ForeignState {
  const nameOf = (name: string): string => (names.has(name) ? (names.get(name) ?? '') : name);
  const kept = filterState(state, ({ links }) => links.every((name) => present.has(nameOf(name))));
  return fromCommands(toCommands(kept).map((command) => command.replaceAll(LINK, nameOf)));
}

/** Commands in an order in which each command can succeed: routes to gateways come before the routes through them. */
export function inOrder(state: ForeignState): string[] {
  const behind = state.routes.filter(({ hasGateway }) => hasGateway);
  const others = state.routes.filter(({ hasGateway }) => !hasGateway);
  return [
    ...toCommands({ ...state, routes: others }),
    ...toCommands({ ...NO_FOREIGN_STATE, routes: behind }),
  ];
}
