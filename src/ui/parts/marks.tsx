// Small marks: the state of a node, its flags, a commit, an age.

import type { ComponentChildren } from 'preact';
import type { LiveNode } from '../../api/live.ts';
import type { NodeState } from '../../api/status.ts';
import { ageText } from '../text/age.ts';
import { useNow, useText } from './context.ts';

/** A shape beside the colour, because not everyone sees colours. */
const SHAPES: Readonly<Record<NodeState, string>> = {
  Configured: '●',
  InProgress: '◐',
  Pending: '○',
  Failed: '▲',
};

export function StateMark({ state }: { readonly state: NodeState }): ComponentChildren {
  const text = useText();
  return (
    <span class={`state state-${state}`}>
      <span aria-hidden="true" class="shape">
        {SHAPES[state]}
      </span>
      {text.states[state]}
    </span>
  );
}

export function Flags({
  node,
}: {
  readonly node: Pick<LiveNode, 'held' | 'paused' | 'drifted'>;
}): ComponentChildren {
  const { flags } = useText();
  return (
    <>
      {node.held && <span class="flag flag-held">{flags.held}</span>}
      {node.paused && <span class="flag flag-paused">{flags.paused}</span>}
      {node.drifted && <span class="flag flag-drifted">{flags.drifted}</span>}
    </>
  );
}

export function CommitId({ commit }: { readonly commit: string | undefined }): ComponentChildren {
  return commit === undefined ? (
    <span class="none">–</span>
  ) : (
    <code title={commit}>{commit.slice(0, 8)}</code>
  );
}

interface AgeProps {
  /** Milliseconds since 1970. */
  readonly at: number | undefined;
  /** Adds words that say that this is an age, for places without a column title. */
  readonly ago?: boolean;
}

export function Age({ at, ago = false }: AgeProps): ComponentChildren {
  const text = useText();
  const now = useNow(10_000);
  if (at === undefined) return <span class="none">–</span>;
  return (
    <time dateTime={new Date(at).toISOString()} title={text.time.at(at)}>
      {ago ? text.time.ago(ageText(now - at, text)) : ageText(now - at, text)}
    </time>
  );
}
