// The columns of the tables of reasons.

/** When a retry can succeed: by itself, on a new commit of the branch, after a person acted, or never. */
export type Retry = 'itself' | 'commit' | 'person' | 'never';

/**
 * Party that has to act: nobody, the author of the CR, the pusher, the caller of a command or of the API, the operator
 * of the controller and its store, the administrator of the node, or the developers, because the code is a fault of the
 * program.
 */
export type Actor = 'nobody' | 'author' | 'pusher' | 'caller' | 'operator' | 'node' | 'defect';

export interface ReasonFacts {
  readonly retry: Retry;
  readonly actor: Actor;
  readonly means: string;
  readonly remedy: string;
  /** Status with which the API answers an error of this code; absent: 422. */
  readonly http?: number;
  /**
   * `store`: the store as a whole, so a pass ends instead of one node's turn. `tip`: the tip of a branch is invalid.
   * `nextBoot`: the host is right now, and its next boot may have another result. `access`: the run reached no store
   * and tried nothing, so its result says nothing about the change.
   */
  readonly concerns?: 'store' | 'tip' | 'nextBoot' | 'access';
}

type Row = readonly [means: string, remedy: string, marks?: Pick<ReasonFacts, 'http' | 'concerns'>];

/** Rows that share their retry class and their actor. */
export function rows<Code extends string>(
  retry: Retry,
  actor: Actor,
  table: Readonly<Record<Code, Row>>,
): Readonly<Record<Code, ReasonFacts>> {
  const entries = Object.entries<Row>(table).map(([code, [means, remedy, marks]]) => [
    code,
    { retry, actor, means, remedy, ...marks },
  ]);
  return Object.fromEntries(entries) as Record<Code, ReasonFacts>;
}
