// Bounds of the docs that every page keeps; `npm run words` and a unit test compare the pages with them.
import { figuresOf, type Figures } from './figures.ts';
import { brokenLinks, brokenNames } from './links.ts';
import { readPages, ROOT, type Page } from './pages.ts';

/** Maximum values of a page. The numbers only go down. */
export const MOST = {
  /** Columns of a line outside of tables. */
  columns: 100,
  /** Characters of a line of a cell. */
  cell: 160,
  /** Mean words of a sentence. */
  words: 18,
} as const;

const ADVICE: Readonly<Record<keyof typeof MOST, string>> = {
  columns: 'break the line',
  cell: 'shorten the cell, or say it below the table',
  words: 'make two sentences of one',
};

/** Pages of one or two sentences are left out, because their mean says nothing. */
const FEW_SENTENCES = 5;

function complaintsOf(figures: Figures): string[] {
  const { path, sentences } = figures;
  return (Object.keys(MOST) as (keyof typeof MOST)[])
    .filter((key) => figures[key] > MOST[key] && (key !== 'words' || sentences >= FEW_SENTENCES))
    .map((key) => `${path}: ${figures[key].toFixed(0)} ${key}, more than ${MOST[key]}: ${ADVICE[key]}`);
}

/** Pages beyond a bound, in words for people. */
export function beyondBounds(pages: readonly Page[]): string[] {
  return pages.map(figuresOf).flatMap(complaintsOf);
}

/** All complaints about the docs of a repository. */
export async function docsComplaints(root = ROOT): Promise<string[]> {
  const pages = await readPages(root);
  return [...brokenLinks(pages, root), ...(await brokenNames(pages, root)), ...beyondBounds(pages)];
}
