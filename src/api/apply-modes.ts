/** Ways in which an agent applies a change. */
export const APPLY_MODES = ['live', 'full', 'files'] as const;
