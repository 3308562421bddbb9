// Tables of the CLI: columns without lines, as kubectl prints them.

export type Row = readonly string[];

/** The number of places that a line takes on a terminal. */
type Width = (line: string) => number;

/** Blanks between columns. */
const GAP = 2;

/**
 * The width of lines in a table. The tables of Unicode take 3 MB of memory, so they are loaded only for letters beyond
 * ASCII.
 */
export async function widthFor(rows: readonly Row[]): Promise<Width> {
  if (rows.flat().every((cell) => ENGLISH.test(cell))) return (line) => line.replaceAll(COLOUR, '').length;
  return (await import('string-width')).default;
}

// oxlint-disable-next-line no-control-regex -- tabs have no width of their own, and colours have none
const ENGLISH = /^(?:[\n -~‘’“”–…]|\u001b\[\d{1,2}m)*$/;
// oxlint-disable-next-line no-control-regex -- what `paint` writes
const COLOUR = /\u001b\[\d{1,2}m/g;

/** Lines of the rows, all of which have as many cells as the first row. A cell with line breaks takes several lines. */
export function formatTable(rows: readonly Row[], widthOf: Width): string {
  const widths = widthsOf(rows, widthOf);
  const pad = (text: string, width: number): string => text + ' '.repeat(width - widthOf(text));
  return rows
    .flatMap(linesOf)
    .map((cells) => cells.map((cell, column) => pad(cell, widths[column]! + GAP)).join(''))
    .map((line) => line.replace(/ +$/, ''))
    .join('\n');
}

/** Splits a row at the line breaks of its cells. */
function linesOf(row: Row): string[][] {
  const cells = row.map((cell) => cell.split('\n'));
  const height = Math.max(...cells.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) => cells.map((lines) => lines[line] ?? ''));
}

/** Widths of the columns on a terminal, where a Korean letter takes two places and a colour takes none. */
function widthsOf(rows: readonly Row[], widthOf: Width): number[] {
  return rows[0]!.map((_, column) =>
    Math.max(...rows.flatMap((row) => row[column]!.split('\n').map((line) => widthOf(line)))),
  );
}

/** Narrowest column that is wrapped: a narrower one would be mostly line breaks. */
const MIN_WRAP = 24;

/** @param columns of the terminal; undefined when it is none */
export function wrapLast(rows: readonly Row[], columns: number | undefined, widthOf: Width): string[][] {
  const widths = widthsOf(rows, widthOf).slice(0, -1);
  const left = (columns ?? Infinity) - widths.reduce((sum, width) => sum + width + GAP, 0);
  return rows.map((row) => [
    ...row.slice(0, -1),
    left < MIN_WRAP ? row.at(-1)! : wrap(row.at(-1)!, left, widthOf),
  ]);
}

/** A word that is longer than a line stays whole: it may be a path to copy. */
function wrap(text: string, width: number, widthOf: Width): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && widthOf(line) + 1 + widthOf(word) <= width)
      lines[lines.length - 1] += ` ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}
