// Chooses which late jobs give way to other nodes: jobs whose agents have not begun for long, such as those of nodes
// that cannot pull the image.
import type { NodeFacts } from './due.ts';
import type { JobStatus } from './job-port.ts';

export interface LateJob extends Pick<JobStatus, 'name' | 'stuck' | 'since'> {
  readonly node: NodeFacts;
}

interface Demand {
  /** Number of jobs that hold a place. */
  readonly active: number;
  /** Number of nodes that want a place now. */
  readonly wanted: number;
  readonly places: number;
}

interface Room {
  readonly postpone: readonly LateJob[];
  /** Number of stuck jobs that stay, each in a place. */
  readonly stuck: number;
}

/**
 * Makes room for other nodes. Stuck jobs keep places that nobody else wants, because their agents may all begin at once
 * when a registry comes back; jobs that merely start slowly take no place, and at most as many of them exist as there
 * are places.
 */
export function makeRoom(late: readonly LateJob[], { active, wanted, places }: Demand): Room {
  const byAge = late.toSorted(
    (a, b) => (a.since ?? 0) - (b.since ?? 0) || (a.name < b.name ? -1 : Number(a.name > b.name)),
  );
  const tooMany = byAge.filter(({ stuck }) => stuck !== true).slice(places);
  const stuck = byAge.filter((job) => job.stuck === true);
  const free = places - active - tooMany.length;
  const needed = Math.max(0, Math.min(wanted, free)) + stuck.length - free;
  const giving = stuck.slice(0, Math.max(0, needed));
  return { postpone: [...giving, ...tooMany], stuck: stuck.length - giving.length };
}
