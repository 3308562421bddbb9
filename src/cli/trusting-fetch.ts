// fetch for a server on this machine, loaded in the pod of a controller alone.

import { Agent, fetch } from 'undici';

/** @param ca PEM of the only CA that is trusted. The address is a loopback, so the certificate's names say nothing. */
export function trustingFetch(ca: string): typeof globalThis.fetch {
  const dispatcher = new Agent({ connect: { ca, checkServerIdentity: () => undefined } });
  return ((url: string, init: object) =>
    fetch(url, { ...init, dispatcher })) as unknown as typeof globalThis.fetch;
}
