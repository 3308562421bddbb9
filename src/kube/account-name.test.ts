import { expect, test } from 'vitest';
import { authority } from '../../test/support/authority.ts';
import { FakeClient } from '../../test/support/kube.ts';
import { accountName } from './account-name.ts';
import type { KubeClient } from './client.ts';

const REVIEW = 'POST /apis/authentication.k8s.io/v1/selfsubjectreviews';

function clientOf(answer: unknown, user: object): KubeClient {
  const fake = new FakeClient().on(REVIEW, answer);
  return Object.assign(fake, { config: { getCurrentUser: () => user } }) as unknown as KubeClient;
}

test('is what the API server says', async () => {
  const review = { status: { userInfo: { username: 'oidc:alice@example.org' } } };
  expect(await accountName(clientOf(review, {}))).toBe('oidc:alice@example.org');
});

test('is the name of the certificate, where the API server knows no such question', async () => {
  const { pem } = await authority('kubernetes-admin');
  const certData = Buffer.from(pem).toString('base64');
  expect(await accountName(clientOf(404, { certData }))).toBe('kubernetes-admin');
});

test('is unknown to an old API server without a certificate', async () => {
  expect(await accountName(clientOf(404, { token: 't' }))).toBeUndefined();
  expect(await accountName(clientOf(403, { certFile: '/nowhere' }))).toBeUndefined();
});
