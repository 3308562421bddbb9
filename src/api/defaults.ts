/** The values that the program takes when nobody gives others. The chart's values.yaml has the same. */
export const DEFAULTS = {
  /** Number of Jobs that may wait or run at the same time. */
  jobs: 10,
  /** Number of failed nodes that stops a change. */
  stopAfter: 3,
  /** Percent of the nodes that may lose all interfaces within an hour. */
  maxRemoval: 10,
  apply: 'live',
  /** Hosts that have to answer after a change. */
  probes: [],
  /** Seconds after which a run has ended by itself, its host restored. */
  deadline: 120,
  /** Seconds that a Job's pod may take to start. */
  startLimit: 60,
  /** Seconds that a Job stays after its outcome is recorded. */
  jobTtl: 3600,
} as const;
