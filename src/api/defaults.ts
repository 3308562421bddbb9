/**
 * Seconds of the controller's Lease: etcd on slow disks has pauses of 10 seconds, and an agent waits 40 seconds for the
 * next leader.
 */
export const LEASE_DEFAULTS = { duration: 30, renewDeadline: 20, retryPeriod: 4 } as const;

/** Hours between two backups, and the number of backups to keep. Used only if a folder for backups is given. */
export const BACKUP_DEFAULTS = { interval: 24, keep: 7 } as const;

/** The default values of the program. The chart's values.yaml has the same values. */
export const DEFAULTS = {
  /** Number of Jobs that may wait or run at the same time. */
  jobs: 10,
  /** Number of failed nodes that stops a change. */
  stopAfter: 3,
  /** Percent of the nodes that may lose all interfaces within an hour. */
  maxRemoval: 10,
  /** Hours after which passes leave out a node that departed, that no CR names and that has no interfaces. */
  retireAfter: 24,
  apply: 'live',
  /** Answer to drift. */
  drift: 'repair',
  /** Source routing of NICs for which the CR does not set it. */
  sourceRouting: 'auto',
  /** Networks of pods and Services that CRs must not overlap. */
  clusterNetworks: [],
  /** Minutes between two observations of a node; 0: only after boots and repairs, and on request. */
  observeMinutes: 60,
  /** Hosts that have to answer after a change. */
  probes: [],
  /**
   * Seconds within which a run ends by itself. A run that cannot complete its change in this time restores the host.
   */
  deadline: 120,
  /** Seconds that a Job's pod may take to start. */
  startLimit: 60,
  /** Seconds that a Job stays after its outcome is recorded. */
  jobTtl: 3600,
} as const;
