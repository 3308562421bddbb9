// Why a push does not land, as its pusher reads it after `remote: `.
import type { MultinicError } from '../../api/errors.ts';

export interface Refusal {
  readonly ref: string;
  readonly error: MultinicError;
}

const MAX_BRANCHES_SHOWN = 10;
const MAX_LINE = 1000;
const MAX_LINES_A_BRANCH = 20;
// A message may quote what was pushed, and that must not move the pusher's cursor or retitle the terminal.
// oxlint-disable-next-line no-control-regex -- they are what is cleaned away
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Lines for a terminal: bounded, without control characters, each with our name in front. */
export function refusalLines(refusals: readonly Refusal[]): string[] {
  const lines = refusals.slice(0, MAX_BRANCHES_SHOWN).flatMap(({ ref, error }) => {
    const [first = '', ...rest] = error.message.split('\n').slice(0, MAX_LINES_A_BRANCH);
    const branch = ref.replace(/^refs\/heads\//, '');
    return [`refused ${branch} (${error.code}): ${first}`, ...rest.map((line) => `  ${line}`)];
  });
  const hidden = refusals.length - MAX_BRANCHES_SHOWN;
  if (hidden > 0) lines.push(`and ${hidden} more branches`);
  return lines.map((line) => `multinic: ${line.replaceAll(CONTROL, '?').slice(0, MAX_LINE)}`);
}
