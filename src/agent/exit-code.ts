/** How `multinic agent` ends; a report is written in all cases but 2 and 75. */
export const EXIT = {
  /** Applied, Pending, Superseded, Adopt or Diverged: the report says which. */
  ok: 0,
  /** Failed: the host is as it was before. */
  failed: 1,
  /** Wrong command line, or a job file that cannot be read. */
  usage: 2,
  /** Failed, and the host could not be restored. */
  restoreFailed: 3,
  /** Another agent runs on this node. */
  locked: 75,
} as const;
