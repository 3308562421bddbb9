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
  /** All tokens, those within others too. */
  readonly tokens: readonly Token[];
}

export function pageOf(path: string, text: string): Page {
  const tokens: Token[] = [];
  void walkTokens(lexer(text), (token) => {
    tokens.push(token);
  });
  return { path, text, tokens };
}

/** Every page of the repository, by path. */
export async function readPages(root = ROOT): Promise<Page[]> {
  const paths = await Array.fromAsync(glob(PAGES, { cwd: root }));
  return paths.toSorted().map((path) => pageOf(path, readFileSync(join(root, path), 'utf8')));
}

/**
 * Text that a reader sees, without marks, comments and images.
 * @param quote stands around code
 */
export function textOf(tokens: readonly Token[], quote = ''): string {
  return tokens
    .map((token) => {
      if (token.type === 'html') return token.raw.startsWith('<br') ? '\n' : '';
      if (token.type === 'image') return '';
      if (token.type === 'br') return '\n';
      if (token.type === 'codespan') return `${quote}${String(token['text'])}${quote}`;
      if ('tokens' in token && token.tokens !== undefined) return textOf(token.tokens, quote);
      return 'text' in token ? String(token.text) : '';
    })
    .join('');
}

/** Targets of the links and images of a page. */
export function linksOf(page: Page): string[] {
  return page.tokens
    .filter((token): token is Tokens.Link | Tokens.Image => token.type === 'link' || token.type === 'image')
    .map(({ href }) => href);
}

/** Anchors that GitHub gives the headings of a page. */
export function anchorsOf(page: Page): Set<string> {
  const slugger = new GithubSlugger();
  const headings = page.tokens.filter((token): token is Tokens.Heading => token.type === 'heading');
  return new Set(headings.map(({ tokens }) => slugger.slug(textOf(tokens))));
}

/** Cells of all tables of a page, as a reader sees them; each line of a cell with breaks by itself. */
export function cellsOf(page: Page): string[] {
  const tables = page.tokens.filter((token): token is Tokens.Table => token.type === 'table');
  return tables.flatMap(({ header, rows }) =>
    [header, ...rows].flat().flatMap(({ tokens }) => textOf(tokens).split('\n')),
  );
}

const SENTENCE_END = /(?<=[.!?][”")\]]?)\s+(?=[^a-z])/;

/** Sentences of the paragraphs and list items of a page. A list item without a full stop is one sentence. */
export function sentencesOf(page: Page): string[] {
  const runs = page.tokens.filter(
    (token) => token.type === 'paragraph' || (token.type === 'text' && 'tokens' in token),
  );
  return runs
    .flatMap((token) => textOf([token], '`').split(SENTENCE_END))
    .map((sentence) => sentence.replaceAll('`', '').replaceAll(/\s+/g, ' ').trim())
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
  return page.tokens.flatMap((token) => {
    if (token.type === 'html') comment = /^<!--\s*([^]*?)\s*-->/.exec(String(token['text']))?.[1] ?? '';
    else if (token.type !== 'space' && token.type !== 'code') comment = '';
    if (token.type !== 'code') return [];
    const block = { language: String(token['lang'] ?? ''), text: String(token['text']).trimEnd(), comment };
    comment = '';
    return [block];
  });
}
