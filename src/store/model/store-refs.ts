// The refs that the store itself writes. The branches of nodes and outcomes are history's (src/history/refs.ts).

/** The ref that names the store's only writer: the fence. */
export const WRITER_REF = 'refs/meta/writer';
/** The branch that every store has from its birth, and that HEAD names. */
export const MAIN_REF = 'refs/heads/main';
/** The refs of the audit, which a person may read: the records of pushes. */
export const AUDIT_REFS = 'refs/audit/';
export const AUDIT_REF = `${AUDIT_REFS}pushes`;
/** The branch that fast-import builds on; its input resets the branch before it would become a ref. */
export const IMPORT_REF = 'refs/multinic/import';
