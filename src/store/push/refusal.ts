// Lines that a pusher reads after `remote: `: why a push does not land, or what it changes.
import type { MultinicError } from '../../api/errors.ts';
import { plural, printableLine } from '../../network/text.ts';

export interface Refusal {
  readonly ref: string;
  readonly error: MultinicError;
}

const MAX_BRANCHES_SHOWN = 10;
const MAX_CHANGES_SHOWN = 200;
const MAX_LINE = 1000;
const MAX_LINES_A_BRANCH = 20;

/** Lines for a terminal: bounded, without control characters, each with our name in front. */
export function refusalLines(refusals: readonly Refusal[]): string[] {
  const lines = refusals.slice(0, MAX_BRANCHES_SHOWN).flatMap(({ ref, error }) => {
    const [first = '', ...rest] = error.message.split('\n').slice(0, MAX_LINES_A_BRANCH);
    const branch = ref.replace(/^refs\/heads\//, '');
    return [`refused ${branch} (${error.code}): ${first}`, ...rest.map((line) => `  ${line}`)];
  });
  const hidden = refusals.length - MAX_BRANCHES_SHOWN;
  if (hidden > 0) lines.push(`and ${plural(hidden, 'more branch', 'more branches')}`);
  return forTerminal(lines);
}

/** Changes of an accepted push, as the policy says them. */
export function changeLines(changes: readonly string[]): string[] {
  const hidden = changes.length - MAX_CHANGES_SHOWN;
  const lines = changes.slice(0, MAX_CHANGES_SHOWN);
  return forTerminal(hidden > 0 ? [...lines, `and ${plural(hidden, 'more interface')}`] : lines);
}

/** A line may quote what was pushed, and that must not move the pusher's cursor or retitle the terminal. */
function forTerminal(lines: readonly string[]): string[] {
  return lines.map((line) => `multinic: ${printableLine(line, MAX_LINE)}`);
}
