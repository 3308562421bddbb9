// Links and anchors of the docs, and pages that the program and the chart name: each leads somewhere.
import { existsSync, readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { anchorsOf, linksOf, ROOT, type Page } from './pages.ts';

const NAMED = /\bdocs\/[a-z/-]+\.md(?:#[\w-]+)?/g;
const SOURCES = ['src/**/*.{ts,tsx}', 'deploy/**/*.{yaml,json,tpl,txt}', 'scripts/**/*.ts'];

/** Complaint about a missing target; undefined: the target exists. */
function complaint(pages: ReadonlyMap<string, Page>, root: string, path: string, anchor = ''): string | undefined {
  if (!existsSync(join(root, path))) return `${path} does not exist`;
  const page = pages.get(path);
  if (anchor === '' || page === undefined) return undefined;
  return anchorsOf(page).has(anchor) ? undefined : `${path} has no heading #${anchor}`;
}

/** Links of the pages that lead nowhere, in words for people. */
export function brokenLinks(pages: readonly Page[], root = ROOT): string[] {
  const byPath = new Map(pages.map((page) => [page.path, page]));
  return pages.flatMap((page) =>
    linksOf(page)
      .filter((href) => !/^[a-z][a-z0-9+.-]*:/i.test(href))
      .flatMap((href) => {
        const [target = '', anchor] = decodeURI(href).split('#');
        const path = target === '' ? page.path : normalize(join(page.path, '..', target));
        const said = complaint(byPath, root, path, anchor);
        return said === undefined ? [] : [`${page.path}: the link ${href} leads nowhere: ${said}`];
      }),
  );
}

/** Pages that sources name and that do not exist. */
export async function brokenNames(pages: readonly Page[], root = ROOT): Promise<string[]> {
  const byPath = new Map(pages.map((page) => [page.path, page]));
  const files = await Array.fromAsync(glob(SOURCES, { cwd: root, exclude: ['**/*.test.ts'] }));
  return files.toSorted().flatMap((file) => {
    const names = readFileSync(join(root, file), 'utf8').match(NAMED) ?? [];
    return names.flatMap((name) => {
      const [path = '', anchor] = name.split('#');
      const said = complaint(byPath, root, path, anchor);
      return said === undefined ? [] : [`${file}: ${said}`];
    });
  });
}
