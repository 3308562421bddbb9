import { STORE_SERVICE } from './cluster-names.ts';

/** The DNS name in the store's certificate that clients verify, whichever address they call. */
export function storeName(namespace: string): string {
  return `${STORE_SERVICE}.${namespace}.svc`;
}
