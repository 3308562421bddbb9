// Tries a certificate as clients use it: a TLS handshake within this process.

import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { MultinicError } from '../api/errors.ts';
import type { ServerCertificate } from './certificate.ts';

/**
 * Proves that clients that know the CA trust the certificate under a name.
 * @param name DNS name that clients ask for
 * @throws MultinicError `InvalidTlsSecret`
 */
export async function proveCertificate(certificate: ServerCertificate, name: string): Promise<void> {
  try {
    await shakeHands(certificate, name);
  } catch (cause) {
    throw new MultinicError(
      'InvalidTlsSecret',
      `clients refuse the certificate under the name ${name} (${(cause as Error).message}): issue a certificate with this DNS name, with its key in tls.key and its CA in ca.crt`,
      { cause },
    );
  }
}

async function shakeHands({ key, cert, ca }: ServerCertificate, servername: string): Promise<void> {
  const [here, there] = duplexPair();
  const server = new TLSSocket(there, { isServer: true, secureContext: createSecureContext({ key, cert }) });
  // The client reports the same error, with a better message.
  server.on('error', () => undefined);
  const client = connect({ socket: here, servername, ca });
  try {
    await once(client, 'secureConnect');
  } finally {
    client.destroy();
    server.destroy();
  }
}
