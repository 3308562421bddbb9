// The results of a run. Apart from the schema, because the commands that read history start without a schema.

/**
 * Applied: the host has the commit's files, verified. Pending: the same, except for NICs that the machine lacks or that
 * the Job leaves out.
 * Failed: the host is as before. Superseded: the tip moved; the host is untouched. Adopt: NICs already have a managed
 * name that the commit does not give them; the host is untouched. Diverged: the host's record names a commit that the
 * controller did not expect; the host is untouched. Unknown: no report says how the run ended.
 */
export const RESULTS = [
  'Applied',
  'Pending',
  'Failed',
  'Superseded',
  'Adopt',
  'Diverged',
  'Unknown',
] as const;
export type Result = (typeof RESULTS)[number];
