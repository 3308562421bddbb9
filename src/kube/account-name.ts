// Finds the name by which the API server knows a person, from a certificate, a token or a login program.

import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { KubeClient } from './client.ts';

interface SelfSubjectReview {
  readonly status?: { readonly userInfo?: { readonly username?: string } };
}

/**
 * @returns undefined: the name is unknown, because the API server is older than 1.28 and the user has no certificate
 */
export async function accountName(client: KubeClient): Promise<string | undefined> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const review = await client.request<SelfSubjectReview>('POST', path, { body }).catch(() => undefined);
  return review?.status?.userInfo?.username ?? (await certificateName(client));
}

/** The common name of the certificate, which is the user's name. */
async function certificateName({ config }: KubeClient): Promise<string | undefined> {
  const user = config.getCurrentUser();
  try {
    const pem =
      user?.certData === undefined
        ? await readFile(user?.certFile ?? '')
        : Buffer.from(user.certData, 'base64');
    return /^CN=(.+)$/m.exec(new X509Certificate(pem).subject)?.[1];
  } catch {
    return undefined;
  }
}
