// Says why an answer of the API is missing, or how old it is.

import type { ComponentChildren } from 'preact';
import { useText } from './context.ts';
import type { Asked } from './use-answer.ts';

/** @param of answers that the same screen shows; the first that failed is told */
export function AnswerNotice({ of }: { readonly of: readonly Asked<unknown>[] }): ComponentChildren {
  const text = useText();
  const failed = of.find(({ error }) => error !== undefined);
  if (failed === undefined) return null;
  return (
    <p class="trouble" role="status">
      {failed.error} {failed.value !== undefined && text.link.answerOf(text.time.at(failed.at))}
    </p>
  );
}
