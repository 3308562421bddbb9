// Measures of the docs: words a sentence, columns a line, characters a cell.
import stringWidth from 'string-width';
import { cellsOf, sentencesOf, wordsOf, type Page } from './pages.ts';

export interface Figures {
  readonly path: string;
  readonly sentences: number;
  /** Mean number of words of a sentence. */
  readonly words: number;
  /** Words of the longest sentence. */
  readonly longest: number;
  /** Characters of the longest cell of a table. */
  readonly cell: number;
  /** Columns of the widest line outside of tables. */
  readonly columns: number;
}

function most(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => Math.max(a, b), 0);
}

/** Lines of a page that count for its width: all but rows of tables. */
export function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => !line.startsWith('|'));
}

const ASCII = /^[\x20-\x7e]*$/;

/** Columns of a line. The width of letters beyond ASCII takes long to find. */
function columnsOf(line: string): number {
  return ASCII.test(line) ? line.length : stringWidth(line);
}

export function figuresOf(page: Page): Figures {
  const words = sentencesOf(page).map(wordsOf);
  const sum = words.reduce((a, b) => a + b, 0);
  return {
    path: page.path,
    sentences: words.length,
    words: words.length === 0 ? 0 : sum / words.length,
    longest: most(words),
    cell: most(cellsOf(page).map((cell) => cell.length)),
    columns: most(linesOf(page.text).map(columnsOf)),
  };
}
