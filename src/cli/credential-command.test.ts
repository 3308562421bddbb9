import { execa } from 'execa';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';

const ENTRY = resolve(import.meta.dirname, 'entry.ts');

/** Runs `git credential fill` with an API server that gives tokens. */
async function fill(url: string): Promise<{ stdout: string; stderr: string; asked: unknown }> {
  let asked: unknown;
  const api = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      asked = { path: request.url, body: JSON.parse(body) as unknown };
      response
        .setHeader('content-type', 'application/json')
        .end(JSON.stringify({ status: { token: 'short-lived' } }));
    });
  });
  api.listen(0, '127.0.0.1');
  await once(api, 'listening');
  const dir = await mkdtemp(join(tmpdir(), 'multinic-credential-'));
  try {
    const server = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    const file = join(dir, 'kubeconfig');
    const cluster = { server, 'insecure-skip-tls-verify': true };
    await writeFile(
      file,
      stringify({
        clusters: [{ name: 'c', cluster }],
        users: [{ name: 'u', user: { token: 'of-an-administrator' } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    const helper = `!'${process.execPath}' '${ENTRY}' credential --kubeconfig '${file}' -n nics`;
    const ended = await execa('git', ['-c', `credential.helper=${helper}`, 'credential', 'fill'], {
      input: `url=${url}\n\n`,
      env: { GIT_TERMINAL_PROMPT: '0', GIT_ASKPASS: '' },
      reject: false,
    });
    return { stdout: ended.stdout, stderr: ended.stderr, asked };
  } finally {
    api.close();
    api.closeAllConnections();
    await rm(dir, { recursive: true });
  }
}

test('gives git a token for the store alone', async () => {
  const { stdout, asked } = await fill('https://localhost:8443/git');
  expect(stdout).toMatch(/^username=multinic\npassword=short-lived$/m);
  expect(asked).toMatchObject({
    path: '/api/v1/namespaces/nics/serviceaccounts/multinic-agent-operator/token',
    body: { spec: { audiences: ['multinic-agent'], expirationSeconds: 600 } },
  });
});

test('gives none without TLS', async () => {
  const { stdout, stderr, asked } = await fill('http://localhost:8443/git');
  expect(stdout).not.toContain('short-lived');
  expect(stderr).toContain('(InsecureUrl)');
  expect(asked).toBeUndefined();
});
