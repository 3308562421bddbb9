// The picture of a soak: memory, disk and latency over the simulated days.

import { picture, type Line } from './picture.ts';
import type { Soak } from './soak.ts';
import type { Sample } from './soak-month.ts';

type Figure = (sample: Sample) => number | undefined;

interface Plan {
  readonly title: string;
  readonly unit: string;
  readonly lines: Readonly<Record<string, Figure>>;
}

const PANELS: readonly Plan[] = [
  {
    title: 'Memory of the controller after a collection',
    unit: 'MiB',
    lines: {
      resident: ({ rssMiB }) => rssMiB,
      'of that its own': ({ ownMiB }) => ownMiB,
      "V8's heap": ({ heapMiB }) => heapMiB,
      'git cat-file beside it': ({ childrenMiB }) => childrenMiB,
    },
  },
  {
    title: 'Store on the disk',
    unit: 'MiB',
    lines: {
      'all files': ({ storeMiB }) => storeMiB,
      packs: ({ packMiB }) => packMiB,
      'loose objects': ({ looseMiB }) => looseMiB,
      'deleted and still open': ({ deletedMiB }) => deletedMiB,
    },
  },
  {
    title: 'A pass, on the processor',
    unit: 'ms',
    lines: {
      'with commits, p99': ({ changed }) => changed.cpuP99,
      'with commits, p50': ({ changed }) => changed.cpuP50,
      'without, p99': ({ quiet }) => quiet.cpuP99,
      'without, p50': ({ quiet }) => quiet.cpuP50,
    },
  },
  {
    title: 'A pass, on the clock',
    unit: 'ms',
    lines: {
      'with commits, p50': ({ changed }) => changed.p50,
      'without, p50': ({ quiet }) => quiet.p50,
      'probe: a bare fsynced commit': ({ probeMs }) => probeMs,
    },
  },
  {
    title: 'Processes that a pass starts',
    unit: 'on average',
    lines: {
      'with commits': ({ changed }) => changed.processes,
      without: ({ quiet }) => quiet.processes,
    },
  },
  {
    title: 'Reads of one node',
    unit: 'ms',
    lines: {
      'git log -p': ({ logMs }) => logMs,
      "the agent's checkout": ({ checkoutMs }) => checkoutMs,
    },
  },
  {
    title: 'Care of the store',
    unit: 'ms',
    lines: {
      'a maintenance': ({ maintenanceMs }) => maintenanceMs,
      'a backup': ({ backupMs }) => backupMs,
    },
  },
];

export function soakPicture({ nodes, samples }: Omit<Soak, 'fresh'>): string {
  const { commits = 0, passes = 0, hour = 0 } = samples.at(-1) ?? {};
  return picture({
    title: 'A simulated month',
    about: `${nodes.toLocaleString('en')} nodes, ${hour / 24} days: ${commits.toLocaleString('en')} commits, ${passes.toLocaleString('en')} passes`,
    across: 'day',
    panels: PANELS.map(({ title, unit, lines }) => ({
      title,
      unit,
      lines: Object.entries(lines).map(([name, of]) => lineOf(name, of, samples)),
    })),
  });
}

/** A sample without such an event (no pass yet, no backup) has no point. */
function lineOf(name: string, of: Figure, samples: readonly Sample[]): Line {
  const points = samples.flatMap((sample) => {
    const value = of(sample);
    return value === undefined || !Number.isFinite(value) ? [] : [[sample.hour / 24, value] as const];
  });
  return { name, points };
}
