// Shows whether the page is live, and otherwise the age of its data.

import type { ComponentChildren } from 'preact';
import { ageText } from '../text/age.ts';
import { useLive, useNow, useText } from './context.ts';

/** Age at which the view is called stale even if the connection is not known to be lost. */
const STALE_MS = 25_000;

export function LinkMark(): ComponentChildren {
  const text = useText();
  const now = useNow(1_000);
  const { link, heardAt, state } = useLive();
  const stale = link !== 'connecting' && now - heardAt > STALE_MS;
  const { failure } = state.fleet ?? {};
  const reading = state.incoming ?? state;
  const words = (): string => {
    if (link === 'closed') return text.link.closed;
    if (stale) return text.link.stale(ageText(now - heardAt, text));
    const { nodes, total, complete } = reading;
    if (link === 'live' && !complete)
      return total === 0 ? text.link.connecting : text.link.loading(nodes.size, total);
    if (link === 'live' && failure !== undefined) return text.link.failing;
    return text.link[link];
  };
  const bad = stale || link === 'lost' || link === 'closed' || failure !== undefined;
  return (
    <p class={`link link-${bad ? 'bad' : link}`} role="status" title={failure}>
      <span aria-hidden="true" class="dot" />
      {words()}
    </p>
  );
}
