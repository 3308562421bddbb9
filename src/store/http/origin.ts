// Requests that a browser sends for a page of another site. They carry no token of their own, but a proxy before the
// controller may add one.

import type { IncomingMessage } from 'node:http';
import { MultinicError } from '../../api/errors.ts';

/** Header of the web UI. A page of another site may send it only after a CORS request, which the server refuses. */
export const UI_HEADER = 'x-multinic-ui';

/**
 * Refuses a browser's writing request that comes from another site or lacks the header of the web UI. Git, agents and
 * the CLI send no Origin.
 * @throws MultinicError `Forbidden`
 */
export function expectSameOrigin({ method, headers }: IncomingMessage): void {
  const { origin } = headers;
  if (origin === undefined || method === 'GET' || method === 'HEAD') return;
  const hosts = [headers.host, headers['x-forwarded-host']].flat();
  const host = URL.parse(origin)?.host;
  if (host !== undefined && hosts.includes(host) && headers[UI_HEADER] !== undefined) return;
  throw new MultinicError(
    'Forbidden',
    `a page of ${host ?? 'nowhere'} may not give commands: use the web UI at its own address`,
  );
}
