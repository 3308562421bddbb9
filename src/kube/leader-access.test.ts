import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { selfSigned } from '../../test/support/certificate.ts';
import { openApi } from '../cli/target.ts';
import type { Endpoint } from '../controller/endpoint.ts';
import { LeaderAccess } from './leader-access.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-leader-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});

const FLAGS = { namespace: 'multinic-system' };

function access(): LeaderAccess {
  return new LeaderAccess({ storeDir: join(dir, 'store.git'), pod: 'controller-1', namespace: 'nics' });
}

async function endpoint(): Promise<Endpoint> {
  return JSON.parse(await readFile(join(dir, 'controller.json'), 'utf8')) as Endpoint;
}

test('the token of the file is valid, no other one is, and nobody else reads the file', async () => {
  const ours = access();
  await ours.publish(8443, 'CA');
  const { token } = (await endpoint()).leader!;
  expect(ours.authenticate(token)).toEqual({ name: 'pod:nics/controller-1', role: 'write' });
  expect(ours.authenticate(`${token}x`)).toBeUndefined();
  expect(ours.authenticate('')).toBeUndefined();
  expect(access().authenticate(token)).toBeUndefined();
  expect((await stat(join(dir, 'controller.json'))).mode & 0o777).toBe(0o600);
  await ours.withdraw();
  await expect(endpoint()).rejects.toThrow('ENOENT');
});

test('the CLI in the pod of the leader asks the leader; in another pod it says where the leader is', async () => {
  const { key, cert } = await selfSigned('10.96.0.7');
  const server = createServer({ key, cert }, (request, response) =>
    response.end(JSON.stringify({ auth: request.headers.authorization })),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await access().publish((server.address() as AddressInfo).port, cert);
  vi.stubEnv('MULTINIC_DIR', dir);
  vi.stubEnv('POD_NAME', 'controller-1');
  const api = await openApi(FLAGS);
  const { token } = (await endpoint()).leader!;
  expect(await api.call('GET', '/status')).toEqual({ auth: `Bearer ${token}` });
  server.close();
  server.closeAllConnections();

  vi.stubEnv('POD_NAME', 'controller-2');
  await expect(openApi(FLAGS)).rejects.toMatchObject({
    code: 'NoController',
    message: expect.stringMatching(/kubectl exec -n nics controller-1 -- multinic$/),
  });
  await access().withdraw();
  await expect(openApi(FLAGS)).rejects.toThrow(/no controller leads on .*see kubectl logs/);
});

test('a token of somebody else is asked of the authenticator, with the address that sent it', async () => {
  const others = vi.fn(async () => undefined);
  const authenticate = access().before(others);
  expect(await authenticate('a token', '10.0.0.1')).toBeUndefined();
  expect(others).toHaveBeenCalledExactlyOnceWith('a token', '10.0.0.1');
});
