import type { Route } from './machine.ts';

export const DEFAULT_DESTINATIONS: ReadonlySet<string> = new Set(['default', '0.0.0.0/0', '::/0']);

/** Gateways of default routes. Other routes do not count, because they belong to daemons and may end at any time. */
export function gatewaysOf(routes: readonly Route[]): string[] {
  return routes.flatMap(({ to, via }) => (DEFAULT_DESTINATIONS.has(to) && via !== undefined ? [via] : []));
}
