import { factsOf, readReason } from '../../api/reasons/reasons.ts';
import { useText } from './context.ts';

export interface ReasonWords {
  readonly title: string;
  readonly remedy: string | undefined;
}

/**
 * The meaning and the remedy of a code, in the person's language. An unknown code is its own title.
 * @param node the node in the remedy
 */
export function useReason(code: string, node?: string): ReasonWords {
  const { reasons } = useText();
  const facts = factsOf(readReason(code));
  const [title, remedy] = reasons[code] ?? [facts?.means, facts?.remedy];
  return {
    title: title?.replace(/\.$/, '') ?? code,
    remedy: node === undefined ? remedy : remedy?.replaceAll('NODE', node),
  };
}
