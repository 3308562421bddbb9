import type { Mark, NewCommit, Oid } from './store-port.ts';

export interface RefMove {
  readonly ref: string;
  readonly to: Oid | Mark;
  /** Value of the ref when the decision was made; null: the ref must not exist. */
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

  /** Adds what `build` adds, or nothing when it throws. */
  whole<T>(build: () => T): T {
    const [commits, moves] = [this.commits.length, this.moves.length];
    try {
      return build();
    } catch (error) {
      this.commits.length = commits;
      this.moves.length = moves;
      throw error;
    }
  }

  get empty(): boolean {
    return this.moves.length === 0;
  }
}
