// Finds out how the page may ask the controller: by the link of `multinic ui`, or by a token that the person types.

import { ApiAccess, type Author } from './api-access.ts';

export type Way =
  | { readonly way: 'session'; readonly access: ApiAccess; readonly where: string }
  /** The person has to type a token. */
  | { readonly way: 'token' }
  /** The link was used by another browser, or `multinic ui` has ended. */
  | { readonly way: 'closed' };

interface Session {
  readonly way: Way['way'];
  readonly where?: string;
  readonly author?: Author;
  /** `multinic ui` pauses nodes with the person's own right, without the controller. */
  readonly pauses?: boolean;
}

export async function findWay(): Promise<Way> {
  const key = /^#key=([\w-]+)$/.exec(location.hash)?.[1];
  // Removes the secret from the address and the browser's history before anything else.
  if (key !== undefined) history.replaceState(undefined, '', '#/');
  const url = new URL('session.json', document.baseURI);
  const head = { headers: { 'x-multinic-ui': '1' }, cache: 'no-store' } as const;
  try {
    const response = await fetch(url, key === undefined ? head : { ...head, method: 'POST', body: key });
    if (!response.ok) return { way: 'closed' };
    const { way, where = '', author, pauses } = (await response.json()) as Session;
    if (way === 'session') return { way, where, access: new ApiAccess(undefined, author, pauses) };
    return { way };
  } catch {
    return { way: 'closed' };
  }
}

/** @returns `unknown`: the controller does not know the token. `silent`: it cannot be asked now */
export async function signIn(token: string | undefined): Promise<ApiAccess | 'unknown' | 'silent'> {
  const access = new ApiAccess(token, undefined);
  try {
    const { ok, status } = await access.open('/version');
    if (ok) return access;
    return status === 401 || status === 403 ? 'unknown' : 'silent';
  } catch {
    return 'silent';
  }
}
