// Exit codes of all commands. Scripts and the controller read them, so they are frozen.

/** Exit code of flock when another process holds the lock. Our calls of flock set it (`flock -E`). */
export const FLOCK_HELD = 75;

/** Exit codes of `multinic` without `multinic agent`. */
export const EXIT = {
  done: 0,
  /** The message has the code and the remedy. */
  failed: 1,
  /** Wrong command line. */
  usage: 2,
  /** The input is invalid; each problem names its field. */
  invalid: 3,
  /** Nodes or CRs are not as they should be (`status`, `local --once`). */
  unsettled: 4,
} as const;

/** Exit codes of `multinic agent`; a run writes a report unless it ends with 2 or 75. */
export const AGENT_EXIT = {
  /** Applied, Pending, Superseded, Adopt or Diverged: the report says which. */
  ok: 0,
  /** Failed: the host is as it was before. */
  failed: 1,
  /** Wrong command line, or a job file that cannot be read. */
  usage: 2,
  /** Failed, and the host could not be restored. */
  restoreFailed: 3,
  /** `agent plan`: a run would change the host, or take names over. `agent observe`: the host has drifted. */
  wouldChange: 10,
  /** Another agent runs on this node. */
  locked: FLOCK_HELD,
} as const;
