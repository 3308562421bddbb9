import type { Mark, NewCommit, Oid } from './store-port.ts';

export interface RefMove {
  readonly ref: string;
  readonly to: Oid | Mark;
  /** The value that the decision was made on; null: the ref must not exist. */
  readonly from: Oid | null;
}

/** Commits and ref moves that are written together: all or nothing against competing writers. */
export class Batch {
  readonly commits: NewCommit[] = [];
  readonly moves: RefMove[] = [];

  /** Adds a commit; the mark may be a parent of later commits of this batch and the target of a move. */
  commit(commit: NewCommit): Mark {
    this.commits.push(commit);
    return { mark: this.commits.length };
  }

  move(ref: string, to: Oid | Mark, from: Oid | null): void {
    this.moves.push({ ref, to, from });
  }

  get empty(): boolean {
    return this.moves.length === 0;
  }
}
