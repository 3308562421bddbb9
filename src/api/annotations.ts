// Every annotation that we read or write. A key that stands here is frozen.

import { APPLY_MODES } from './apply-modes.ts';
import { parseProbeTarget } from './probe-target.ts';

/** The kind of object that bears an annotation. `Pod` is a pod of an agent. */
export type Bearer = 'CR' | 'Node' | 'Job' | 'Pod';

export interface Annotation<T> {
  readonly key: `multinic.io/${string}`;
  readonly on: readonly Bearer[];
  /** The values, as a person writes them. */
  readonly values: string;
  readonly means: string;
  /** Parses a text; undefined: the text has no meaning. */
  readonly parse: (text: string) => T | undefined;
  /** Whether a text is valid; absent: a text is valid if `parse` reads it. The agent refuses a bad probe itself. */
  readonly accepts?: (text: string) => boolean;
}

function oneOf<T extends string>(...values: readonly T[]): Pick<Annotation<T>, 'values' | 'parse'> {
  return { values: values.join(' or '), parse: (text) => values.find((value) => value === text) };
}

const FLAG: Pick<Annotation<boolean>, 'values' | 'parse'> = {
  values: 'true or false',
  parse: (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
};

const TEXT: Pick<Annotation<string>, 'parse'> = { parse: (text) => text };

/** Splits a text at commas and white space. */
function listOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== '');
}

export const DRIFT_MODES = ['repair', 'report'] as const;
export type DriftMode = (typeof DRIFT_MODES)[number];

/** Annotations that people write. */
export const ANNOTATIONS = {
  confirmCleanup: {
    key: 'multinic.io/confirm-cleanup',
    on: ['CR'],
    means: 'The removal of the CR, or of its entries, may clean any number of nodes.',
    ...FLAG,
  },
  paused: {
    key: 'multinic.io/paused',
    on: ['CR', 'Node'],
    means: 'Commits go on, and no run applies them.',
    ...FLAG,
  },
  renderer: {
    key: 'multinic.io/renderer',
    on: ['Node'],
    means: 'The renderer of the node, instead of the one that its OS image suggests.',
    ...oneOf('netplan', 'ifcfg', 'keyfile'),
  },
  apply: {
    key: 'multinic.io/apply',
    on: ['CR', 'Node'],
    means: 'How a change reaches the running NICs ([live, full, files](agent-live.md#live-full-files)).',
    ...oneOf(...APPLY_MODES),
  },
  drift: {
    key: 'multinic.io/drift',
    on: ['CR', 'Node'],
    means: 'Answer to drift: repair the host, or report the drift and wait ([drift](drift.md)).',
    ...oneOf(...DRIFT_MODES),
  },
  sourceRouting: {
    key: 'multinic.io/source-routing',
    on: ['CR', 'Node'],
    means:
      'Source routing of NICs for which the CR does not set it. auto: only NICs that need it have it. off: none has it.',
    ...oneOf('auto', 'off'),
  },
  probes: {
    key: 'multinic.io/probes',
    on: ['CR', 'Node'],
    values: 'addresses, each with or without a TCP port: 192.168.100.1,192.168.101.1:22',
    means:
      'Hosts that must answer after a change, to ARP or NDP, or at the TCP port. Only a NIC whose network contains the host asks.',
    parse: listOf,
    accepts: (text) => listOf(text).every((each) => parseProbeTarget(each) !== undefined),
  },
} as const satisfies Readonly<Record<string, Annotation<unknown>>>;

/** Annotations that the controller writes on the Jobs of agents and on their pods. */
export const JOB_ANNOTATIONS = {
  node: {
    key: 'multinic.io/node',
    on: ['Job', 'Pod'],
    values: 'a name',
    means: 'The node of the run.',
    ...TEXT,
  },
  commit: {
    key: 'multinic.io/commit',
    on: ['Job', 'Pod'],
    values: 'a commit',
    means: 'The commit that the run applies.',
    ...TEXT,
  },
  attempt: {
    key: 'multinic.io/attempt',
    on: ['Job', 'Pod'],
    values: 'a number',
    means: 'The attempt, from 1.',
    parse: (text) => (/^\d+$/.test(text) ? Number(text) : undefined),
  },
  recorded: {
    key: 'multinic.io/recorded',
    on: ['Job'],
    values: 'true',
    means: 'The outcome of the run is in the store.',
    parse: FLAG.parse,
  },
  waitingSince: {
    key: 'multinic.io/waiting-since',
    on: ['Job'],
    values: 'a time, RFC 3339',
    means:
      'The Job was made again under its name, because its container had not begun; the first one is so old.',
    parse: (text) => (Number.isNaN(Date.parse(text)) ? undefined : Date.parse(text)),
  },
  withdrawn: {
    key: 'multinic.io/withdrawn',
    on: ['Pod'],
    values: 'true',
    means: 'The Job was withdrawn before the agent began.',
    parse: FLAG.parse,
  },
  job: {
    key: 'multinic.io/job',
    on: ['Pod'],
    values: 'JSON',
    means: 'The job file of the agent.',
    ...TEXT,
  },
  ca: {
    key: 'multinic.io/ca',
    on: ['Pod'],
    values: 'PEM',
    means: 'The CA of the store.',
    ...TEXT,
  },
} as const satisfies Readonly<Record<string, Annotation<unknown>>>;

const ALL: readonly Annotation<unknown>[] = Object.values(ANNOTATIONS);
const BY_KEY: ReadonlyMap<string, Annotation<unknown>> = new Map(ALL.map((each) => [each.key, each]));

/** The value of an annotation; undefined when it is absent or means nothing. */
export function readAnnotation<T>(
  annotations: Readonly<Record<string, string>> | undefined,
  { key, parse }: Pick<Annotation<T>, 'key' | 'parse'>,
): T | undefined {
  const text = annotations?.[key];
  return text === undefined ? undefined : parse(text);
}

/** Keeps only the annotations that people write. */
export function ourAnnotations(annotations: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => BY_KEY.has(key)));
}

/**
 * Why an annotation has no effect on an object of this kind, and what to write instead; undefined: nothing is wrong
 * with the annotation.
 */
export function doubtAnnotation(
  bearer: Bearer,
  key: string,
  value: string,
): { readonly code: 'UnknownAnnotation' | 'InvalidAnnotation'; readonly message: string } | undefined {
  const known = BY_KEY.get(key);
  if (known === undefined) {
    const taken = ALL.filter(({ on }) => on.includes(bearer)).map((each) => each.key);
    return {
      code: 'UnknownAnnotation',
      message: `means nothing here: a ${bearer} takes ${taken.join(', ')}`,
    };
  }
  if (!known.on.includes(bearer)) {
    const message = `means nothing on a ${bearer}: write it on the ${known.on.join(' or ')}`;
    return { code: 'UnknownAnnotation', message };
  }
  if (known.accepts?.(value) ?? known.parse(value) !== undefined) return undefined;
  return { code: 'InvalidAnnotation', message: `is "${value}" and means nothing: write ${known.values}` };
}
