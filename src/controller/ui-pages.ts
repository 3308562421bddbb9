// The files of the web UI, as the build made them. They are read once and served from memory.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Page } from '../store/http/page.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The sign-in that the page offers: the person types a token. `multinic ui` replaces this setting. */
const SESSION = '{"way":"token"}\n';

/** Folder of the UI's files: beside the bundle, beside the folder of its chunks, or in this tree's build. */
const FOLDERS = ['ui', '../ui', '../../dist/ui'];

/** All pages below `/ui/`; none if the UI was not built. */
export async function uiPages(): Promise<ReadonlyMap<string, Page>> {
  const folder = FOLDERS.map((each) => join(import.meta.dirname, each)).find((each) =>
    existsSync(join(each, 'index.html')),
  );
  if (folder === undefined) return new Map();
  const pages = new Map<string, Page>([
    ['/ui', { location: 'ui/' }],
    ['/ui/session.json', await pageOf('application/json', Buffer.from(SESSION))],
  ]);
  for (const name of await readdir(folder)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const page = await pageOf(type, await readFile(join(folder, name)));
    pages.set(name === 'index.html' ? '/ui/' : `/ui/${name}`, page);
  }
  return pages;
}

async function pageOf(type: string, body: Buffer): Promise<Page> {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 20)}"`;
  return { type, body, zipped: await promisify(gzip)(body, { level: 9 }), etag };
}
