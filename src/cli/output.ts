// Prints results for people and programs.

import { Option } from 'commander';
import { styleText } from 'node:util';
import { formatProblem, InvalidInputError, MultinicError } from '../api/errors.ts';
import { printable, printableJson } from '../network/text.ts';
import { completed } from './remedy.ts';
import { EXIT } from '../api/exit-codes.ts';
import { formatTable, widthFor, wrapLast, type Row } from './table.ts';

export type Format = 'table' | 'wide' | 'name' | 'json' | 'yaml';

/** @param formats of the command: those that say something else than a table does */
export function outputOption(formats: readonly Format[] = ['table', 'name', 'json', 'yaml']): Option {
  return new Option('-o, --output <format>', 'for people, or for programs').choices(formats).default('table');
}

/**
 * Prints the program's present work on stderr if the work takes longer than a second, so that nobody thinks the program
 * hangs.
 */
export async function withProgress<T>(what: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => process.stderr.write(`${what}\n`), 1000);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/**
 * Styles text on a terminal only, and never with NO_COLOR. With FORCE_COLOR, `styleText` alone would style a pipe too.
 */
function painter(stream: NodeJS.WriteStream, style: Style): (text: string) => string {
  const paints = stream.isTTY && process.env['NO_COLOR'] === undefined;
  return (text) => (paints ? styleText(style, text, { validateStream: false }) : text);
}

/** Styles for text on stdout. */
export const paint: Readonly<Record<Style, (text: string) => string>> = {
  bold: painter(process.stdout, 'bold'),
  dim: painter(process.stdout, 'dim'),
  red: painter(process.stdout, 'red'),
  green: painter(process.stdout, 'green'),
  yellow: painter(process.stdout, 'yellow'),
  cyan: painter(process.stdout, 'cyan'),
};

export function print(text: string): void {
  process.stdout.write(forTerminal(text.endsWith('\n') ? text : `${text}\n`));
}

/**
 * Prints a table on stdout. The last column is wrapped on a terminal, and never in a pipe.
 * The width of letters is a matter of large tables, which a run of the agent must not load.
 */
export async function printTable(head: Row, rows: readonly Row[]): Promise<void> {
  const widthOf = await widthFor([head, ...rows]);
  const [, ...wrapped] = wrapLast([head, ...rows], process.stdout.columns, widthOf);
  print(formatTable([head.map((cell) => paint.dim(cell)), ...wrapped], widthOf));
}

/** Version of every object that a program reads; docs/cli.md says what stays. */
const API_VERSION = 'cli.multinic.io/v1';

/**
 * Prints an object for programs, with its kind.
 * @param names of the nodes that `-o name` prints
 */
export async function printObject(
  format: Exclude<Format, 'table' | 'wide'>,
  kind: string,
  value: object,
  names: readonly string[] = [],
): Promise<void> {
  if (format === 'name') {
    for (const name of names) print(`node/${name}`);
    return;
  }
  const json = printableJson(JSON.stringify({ apiVersion: API_VERSION, kind, ...value }, undefined, 2));
  if (format === 'json') return void process.stdout.write(`${json}\n`);
  const { formatYaml } = await import('./yaml-output.ts');
  process.stdout.write(forTerminal(formatYaml(JSON.parse(json))));
}

/** Removes everything that a terminal obeys except colours, because the text may quote pushed text. */
export function forTerminal(text: string): string {
  return text
    .split(COLOUR)
    .map((part, index) => (index % 2 === 0 ? printable(part) : part))
    .join('');
}

// oxlint-disable-next-line no-control-regex -- what `paint` writes
const COLOUR = /(\u001b\[\d{1,2}m)/;

/** RFC 3339 in UTC, to the second. @param seconds since 1970 */
export function formatTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
] as const;

/** Time since then, in the largest unit of which there are two: `45s`, `5m`, `3h`, `12d`. @param then milliseconds since 1970 */
export function formatAge(then: number, now = Date.now()): string {
  const seconds = Math.max(0, Math.round((now - then) / 1000));
  const [unit, size] = UNITS.find((each) => seconds >= 2 * each[1]) ?? ['s', 1];
  return `${Math.floor(seconds / size)}${unit}`;
}

/** Ends the program with the reason, as text on stderr. */
export function fail(error: unknown): never {
  const label = painter(process.stderr, 'red')('error');
  if (error instanceof InvalidInputError) {
    for (const problem of error.problems) complain(`${label}: ${formatProblem(problem)}\n`);
    process.exit(EXIT.invalid);
  }
  if (error instanceof MultinicError) complain(`${label}: ${completed(error.message)} (${error.code})\n`);
  else if (isSystemError(error)) complain(`${label}: ${error.message} (${error.code})\n`);
  else complain(`${label}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(EXIT.failed);
}

function complain(text: string): void {
  process.stderr.write(forTerminal(text));
}

/** An error of the operating system. Its message names the file, so it is shown without a stack. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}
