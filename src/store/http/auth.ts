// Turns request headers into tokens and tokens into principals. Each route decides what a principal may do.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Principal } from '../model/store-port.ts';

/**
 * Finds the principal of a token; resolves to undefined for an unknown token.
 * @param from address of the caller, which may send a bounded number of unknown tokens
 */
export type Authenticate = (token: string, from?: string) => Promise<Principal | undefined>;

interface HashedToken {
  readonly hash: Buffer;
  readonly principal: Principal;
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * An authenticator over a table in memory that holds only hashes. Compares every entry in constant time, so that the
 * time of an answer tells neither how much of a token was right nor which entry matched.
 */
export function hashedTokens(tokens: Iterable<readonly [token: string, principal: Principal]>): Authenticate {
  const table: HashedToken[] = [];
  for (const [token, principal] of tokens) {
    if (token !== '') table.push({ hash: sha256(token), principal });
  }
  return async (token) => {
    const hash = sha256(token);
    let found: Principal | undefined;
    for (const entry of table) {
      if (timingSafeEqual(entry.hash, hash)) found = entry.principal;
    }
    return found;
  };
}

/** The token of an Authorization header: `Bearer TOKEN`, or `Basic` with the token as password, as git sends it. */
export function tokenOf(authorization: string | undefined): string | undefined {
  const [, scheme = '', value = ''] = /^(\S+) +(\S+) *$/.exec(authorization ?? '') ?? [];
  if (scheme.toLowerCase() === 'bearer') return value;
  if (scheme.toLowerCase() !== 'basic') return undefined;
  const decoded = Buffer.from(value, 'base64').toString();
  const colon = decoded.indexOf(':');
  const password = colon < 0 ? '' : decoded.slice(colon + 1);
  return password === '' ? undefined : password;
}
