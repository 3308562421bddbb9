// How results reach people and programs.

import Table from 'cli-table3';
import { InvalidArgumentError, Option } from 'commander';
import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import { formatProblem, InvalidInputError, MultinicError } from '../api/errors.ts';
import { printable, printableJson } from '../network/text.ts';
import { completed } from './remedy.ts';
import { EXIT } from '../api/exit-codes.ts';

export type Format = 'table' | 'json';

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'for people, or for programs')
    .choices(['table', 'json'] satisfies Format[])
    .default('table');
}

/** For options that count something. */
export function wholeNumber(atLeast: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= atLeast) return value;
    throw new InvalidArgumentError(`Give a whole number, ${atLeast} or more.`);
  };
}

/** Says on stderr what the program does if that takes longer than a second, so that nobody thinks it hangs. */
export async function withProgress<T>(what: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => process.stderr.write(`${what}\n`), 1000);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** Colours on a terminal only, never with NO_COLOR. `isTTY` of a pipe is undefined, and picocolors needs a boolean. */
export const paint = pc.createColors(process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined);

export function print(text: string): void {
  process.stdout.write(forTerminal(text.endsWith('\n') ? text : `${text}\n`));
}

export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(value, undefined, 2))}\n`);
}

/** Text in which nothing but colours is left that a terminal obeys: what is printed may quote what somebody pushed. */
export function forTerminal(text: string): string {
  return text
    .split(COLOUR)
    .map((part, index) => (index % 2 === 0 ? printable(part) : part))
    .join('');
}

// oxlint-disable-next-line no-control-regex -- what `paint` writes
const COLOUR = /(\u001b\[\d{1,2}m)/;

/** `1 node`, `2 nodes`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Columns without lines, as kubectl prints them. The last column is wrapped on a terminal, and never in a pipe. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = new Table({
    head: head.map((cell) => paint.dim(cell)),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': GAP },
    chars: NO_LINES,
  });
  table.push(...wrapLast([head, ...rows], process.stdout.columns).slice(1));
  print(table.toString().replaceAll(/ +$/gm, ''));
}

/** A narrower column has more line breaks than sense. */
const MIN_WRAP = 24;

/** @param columns of the terminal; undefined when it is none */
export function wrapLast(rows: readonly (readonly string[])[], columns: number | undefined): string[][] {
  const widths = rows[0]!
    .slice(0, -1)
    .map((_, column) => Math.max(...rows.map((row) => stripVTControlCharacters(row[column]!).length)));
  const left = (columns ?? Infinity) - widths.reduce((sum, width) => sum + width + GAP, 0);
  return rows.map((row) => [...row.slice(0, -1), left < MIN_WRAP ? row.at(-1)! : wrap(row.at(-1)!, left)]);
}

/** A word that is longer than a line stays whole: it may be a path to copy. */
function wrap(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width) lines[lines.length - 1] += ` ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}

/** Blanks between columns. */
const GAP = 2;

const NO_LINES = Object.fromEntries(
  [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
    'left',
    'left-mid',
    'mid',
    'mid-mid',
    'right',
    'right-mid',
    'middle',
  ].map((name) => [name, '']),
);

/** RFC 3339 in UTC, to the second. @param seconds since 1970 */
export function formatTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Ends the program with the reason, as text on stderr. */
export function fail(error: unknown): never {
  if (error instanceof InvalidInputError) {
    for (const problem of error.problems) complain(`${pc.red('error')}: ${formatProblem(problem)}\n`);
    process.exit(EXIT.invalid);
  }
  if (error instanceof MultinicError)
    complain(`${pc.red('error')}: ${completed(error.message)} (${error.code})\n`);
  else if (isSystemError(error)) complain(`${pc.red('error')}: ${error.message} (${error.code})\n`);
  else
    complain(
      `${pc.red('error')}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  process.exit(EXIT.failed);
}

function complain(text: string): void {
  process.stderr.write(forTerminal(text));
}

/** An error of the operating system. Its message names the file, so it is shown without a stack. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}
