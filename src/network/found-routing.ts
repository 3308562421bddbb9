// Gateways, routes and source routing of a NIC, taken from the routes that a file has. A reader takes them from the file,
// renders the NIC again and compares, so a file has the routing of a NIC as a whole or not at all.

import type { Problem } from '../api/errors.ts';
import { compareRoutes, type Interface, type Route } from './interface.ts';
import { metricOf, tableOf } from './source-routing.ts';
import type { Files } from './renderer.ts';
import { compareLines, type Commented } from './vocabulary.ts';

/** A route of a file; absent values are absent in the file. */
export interface FileRoute {
  readonly to: string;
  readonly via?: string | undefined;
  readonly table?: string | undefined;
  readonly metric?: string | undefined;
}

export type FoundRouting = Pick<Interface, 'gateway' | 'gateway6' | 'routes' | 'sourceRouting'>;

/** The destination of default routes in files, in the form that every version of every reader accepts. */
export const DEFAULTS = { 4: '0.0.0.0/0', 6: '::/0' } as const;

/**
 * @param name of the NIC, which decides its table and its metric
 * @param ruled whether the file has a rule
 */
export function routingIn(name: string, routes: readonly FileRoute[], ruled: boolean): FoundRouting {
  const own = routes.filter(({ table }) => table === String(tableOf(name)));
  const via = (to: string): string | undefined => own.find((route) => route.to === to)?.via;
  const gateway = via(DEFAULTS[4]);
  const gateway6 = via(DEFAULTS[6]);
  const main = routes.flatMap((route): Route[] => {
    if (route.table !== undefined || route.via === undefined) return [];
    const { to, via: next, metric } = route;
    const given = metric !== undefined && metric !== String(metricOf(name));
    return [{ to, via: next, ...(given && { metric: Number(metric) }) }];
  });
  return {
    ...(gateway !== undefined && { gateway }),
    ...(gateway6 !== undefined && { gateway6 }),
    ...(main.length > 0 && { routes: main.sort(compareRoutes) }),
    ...((ruled || own.length > 0) && { sourceRouting: true }),
  };
}

/** Joins the values in the comments of a file with its routing, and refuses comments that contradict the routing. */
export function joinRouting(
  path: string,
  said: Commented,
  found: FoundRouting,
  problems: Problem[],
): Commented & FoundRouting {
  const { statedSourceRouting: stated } = said;
  const routed = found.sourceRouting === true;
  if (stated !== undefined && stated !== routed) {
    const message = routed
      ? 'says "Source routing: off" beside rules or routes of a table of the NIC; remove them, or the comment'
      : 'says "Source routing: on" and has no rules and table for the NIC; write sourceRouting into the CR, or remove the comment';
    problems.push({ path, code: 'InvalidSourceRouting', message });
  }
  if (routed && (said.gateway !== undefined || said.gateway6 !== undefined)) {
    const message = 'has a gateway as a comment although source routing is on; remove the comment';
    problems.push({ path, code: 'InvalidGateway', message });
  }
  return { ...said, ...found };
}

/**
 * Compares the files of a NIC with those that the renderer would write. Leaves out the main file, whose values were
 * read.
 * @param mine the NIC's files of a tree
 */
export function compareFiles(mine: Files, rendered: Files, main: ReadonlySet<string>): Problem[] {
  const problems: Problem[] = [];
  for (const [path, expected] of rendered) {
    if (main.has(path)) continue;
    const content = mine.get(path);
    if (content === undefined) {
      const message = 'is missing beside the other files of the NIC; restore it from the commit before';
      problems.push({ path, code: 'MissingFile', message });
    } else problems.push(...compareLines(path, content, expected));
  }
  for (const path of mine.keys()) {
    if (rendered.has(path)) continue;
    const message = 'is a file that the NIC does not need, as its other files say; remove it';
    problems.push({ path, code: 'ForeignFile', message });
  }
  return problems;
}

/** The files of one NIC among all. */
export function filesOf(name: string, files: Files, nameOf: (path: string) => string | undefined): Files {
  return new Map([...files].filter(([path]) => nameOf(path) === name));
}
