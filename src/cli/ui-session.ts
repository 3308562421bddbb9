// The proxy of the web UI answers the browser that brought the secret of the link, and no other program.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { UI_HEADER } from '../store/http/origin.ts';

/** Bytes of each secret. */
const SECRET_BYTES = 32;

export class UiSession {
  /** Path below which everything is. A cookie goes to any port of a host, but only to its path. */
  readonly base = `/${randomBytes(16).toString('hex')}`;
  readonly #cookieName = `multinic-ui-${randomBytes(4).toString('hex')}`;
  readonly #cookie = secret();
  #link: string | undefined = secret();

  /** The secret of the link, which one browser may use once; undefined: it is used. */
  get link(): string | undefined {
    return this.#link;
  }

  /** @returns the value of Set-Cookie; undefined: this is not the secret, or it is used */
  redeem(given: string): string | undefined {
    if (this.#link === undefined || !equal(given, this.#link)) return undefined;
    this.#link = undefined;
    return `${this.#cookieName}=${this.#cookie}; Path=${this.base}/; HttpOnly; SameSite=Strict`;
  }

  /** Whether the request is of the browser that has the cookie, and was made by the web UI. */
  isKnown(headers: IncomingHttpHeaders): boolean {
    if (headers[UI_HEADER] === undefined) return false;
    const cookies = (headers.cookie ?? '').split(/;\s*/);
    const mine = cookies.find((each) => each.startsWith(`${this.#cookieName}=`));
    return mine !== undefined && equal(mine.slice(this.#cookieName.length + 1), this.#cookie);
  }
}

/**
 * Whether a request comes from a page of the proxy itself, or from no page.
 * @param host the one host that the proxy answers for: a name that somebody points to this machine is another
 * @param writes whether the request may change something
 */
export function isSameOrigin(headers: IncomingHttpHeaders, host: string, writes: boolean): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin') return false;
  const { origin } = headers;
  return origin === undefined ? !writes : origin === `http://${host}`;
}

function secret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

function equal(a: string, b: string): boolean {
  return timingSafeEqual(hashOf(a), hashOf(b));
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
