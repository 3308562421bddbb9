// Static pages that need no token: the files of the web UI, each with headers that keep other pages and scripts out.

import type { IncomingMessage, ServerResponse } from 'node:http';

/** A file as the server sends it, or the place where a page is. */
export type Page =
  | {
      readonly type: string;
      readonly body: Buffer;
      /** The body compressed with gzip. */
      readonly zipped: Buffer;
      readonly etag: string;
    }
  | { readonly location: string };

/** The page loads nothing from other sites, runs no inline script, and may not stand in a frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

export const PAGE_HEADERS = {
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  // The browser asks by the ETag whether there is a new version.
  'Cache-Control': 'no-cache',
} as const;

export function sendPage(request: IncomingMessage, response: ServerResponse, page: Page): void {
  if ('location' in page) {
    response.writeHead(308, { ...PAGE_HEADERS, Location: page.location }).end();
    return;
  }
  const { type, body, zipped, etag } = page;
  const head = { ...PAGE_HEADERS, ETag: etag, Vary: 'Accept-Encoding' };
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304, head).end();
    return;
  }
  const zip = acceptsGzip(request);
  const sent = zip ? zipped : body;
  response
    .writeHead(200, {
      ...head,
      'Content-Type': type,
      'Content-Length': sent.length,
      ...(zip && { 'Content-Encoding': 'gzip' }),
    })
    .end(request.method === 'HEAD' ? undefined : sent);
}

export function acceptsGzip({ headers }: IncomingMessage): boolean {
  return /(^|,)\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*(,|$))[^,]*)?(,|$)/i.test(
    String(headers['accept-encoding'] ?? ''),
  );
}
