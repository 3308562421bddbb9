// Parsers of option values.

import { InvalidArgumentError } from 'commander';

/** Parses an option whose value is a whole number. */
export function wholeNumber(atLeast: number, atMost = Infinity): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= atLeast && value <= atMost) return value;
    const bound = atMost === Infinity ? `${atLeast} or more` : `${atLeast} to ${atMost}`;
    throw new InvalidArgumentError(`Give a whole number, ${bound}.`);
  };
}

/** Parses a port. */
export const port = wholeNumber(0, 65_535);

const UNIT_SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600 };

/** Parses a time such as `90`, `90s`, `5m` or `1h`. @returns seconds */
export function duration(text: string): number {
  const [, digits, unit = ''] = /^(\d+)([smh]?)$/.exec(text) ?? [];
  if (digits !== undefined) return Number(digits) * UNIT_SECONDS[unit]!;
  throw new InvalidArgumentError('Give a time: 90, 90s, 5m or 1h.');
}

/**
 * Parses the namespace of a command whose `-n` was a count until 0.1.0, so that an old line does not silently ask
 * another namespace.
 */
export function namespaceNotCount(text: string): string {
  if (!/^\d+$/.test(text)) return text;
  throw new InvalidArgumentError(`-n is the namespace, as in kubectl; --limit ${text} takes the count.`);
}
