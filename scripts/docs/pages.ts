// The pages of the docs, and the parts of a page that checks look at: links, anchors, sentences, cells, code blocks.
import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import GithubSlugger from 'github-slugger';
import { lexer, walkTokens, type Token, type Tokens } from 'marked';

/** Root of the repository. */
export const ROOT = join(import.meta.dirname, '../..');

const PAGES = ['*.md', 'docs/**/*.md', 'bench/README.md', 'fixtures/**/README.md', 'deploy/helm/README.md'];

export interface Page {
  /** Path from the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly tokens: readonly Token[];
}

export function pageOf(path: string, text: string): Page {
  return { path, text, tokens: lexer(text) };
}

/** Every page of the repository, by path. */
export async function readPages(root = ROOT): Promise<Page[]> {
  const paths = await Array.fromAsync(glob(PAGES, { cwd: root }));
  return paths.toSorted().map((path) => pageOf(path, readFileSync(join(root, path), 'utf8')));
}

/** Text that a reader sees, without marks, comments and images. */
export function textOf(tokens: readonly Token[]): string {
  return tokens
    .map((token) => {
      if (token.type === 'html') return token.raw.startsWith('<br') ? '\n' : '';
      if (token.type === 'image') return '';
      if (token.type === 'br') return '\n';
      if ('tokens' in token && token.tokens !== undefined) return textOf(token.tokens);
      return 'text' in token ? String(token.text) : '';
    })
    .join('');
}

function all(page: Page): Token[] {
  const found: Token[] = [];
  void walkTokens([...page.tokens], (token) => {
    found.push(token);
  });
  return found;
}

/** Targets of the links and images of a page. */
export function linksOf(page: Page): string[] {
  return all(page)
    .filter((token): token is Tokens.Link | Tokens.Image => token.type === 'link' || token.type === 'image')
    .map(({ href }) => href);
}

/** Anchors that GitHub gives the headings of a page. */
export function anchorsOf(page: Page): Set<string> {
  const slugger = new GithubSlugger();
  const headings = all(page).filter((token): token is Tokens.Heading => token.type === 'heading');
  return new Set(headings.map(({ tokens }) => slugger.slug(textOf(tokens))));
}

/** Cells of all tables of a page, as a reader sees them; each line of a cell with breaks by itself. */
export function cellsOf(page: Page): string[] {
  const tables = all(page).filter((token): token is Tokens.Table => token.type === 'table');
  return tables.flatMap(({ header, rows }) =>
    [header, ...rows].flat().flatMap(({ tokens }) => textOf(tokens).split('\n')),
  );
}

const SENTENCE_END = /(?<=[.!?][”")\]]?)\s+(?=[^a-z])/;

/** Sentences of the paragraphs and list items of a page. A list item without a full stop is one sentence. */
export function sentencesOf(page: Page): string[] {
  const runs = all(page).filter(
    (token) => token.type === 'paragraph' || (token.type === 'text' && 'tokens' in token),
  );
  return runs
    .flatMap((token) => textOf([token]).split(SENTENCE_END))
    .map((sentence) => sentence.replaceAll(/\s+/g, ' ').trim())
    .filter((sentence) => /\p{L}/u.test(sentence));
}

export function wordsOf(sentence: string): number {
  return sentence.split(' ').filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
}

/** A block of code, fenced or indented, with the comment directly before it. */
export interface CodeBlock {
  /** Language that the fence names; empty if none. */
  readonly language: string;
  readonly text: string;
  /** Text of the HTML comment before the block; empty if none. */
  readonly comment: string;
}

export function codeBlocksOf(page: Page): CodeBlock[] {
  let comment = '';
  return all(page).flatMap((token) => {
    if (token.type === 'html') comment = /^<!--\s*([^]*?)\s*-->/.exec(String(token['text']))?.[1] ?? '';
    else if (token.type !== 'space' && token.type !== 'code') comment = '';
    if (token.type !== 'code') return [];
    const block = { language: String(token['lang'] ?? ''), text: String(token['text']).trimEnd(), comment };
    comment = '';
    return [block];
  });
}
