// The web UI of a real cluster in real Chromium, by `multinic ui` and a kubeconfig; and streams that nobody reads.
import { readFile } from 'node:fs/promises';
import { connect, type TLSSocket } from 'node:tls';
import type { Browser, Page } from 'playwright-core';
import { parse } from 'yaml';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CONTROLLER_LEASE } from '../../src/kube/cluster-names.ts';
import { expectShown, launchBrowser, openUi } from '../browser/browser.ts';
import install from '../browser/install.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Multinic } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { waitFor } from '../nodes/wait.ts';
import {
  BUILD_MS,
  config,
  entry,
  kubeconfigOf,
  nodeOf,
  Person,
  setUp,
  untilConfig,
} from '../support/kube-cluster.ts';
import { startUi, type UiRun } from '../support/ui.ts';

const NAME = 'fleet';
const NODE = 'root-01';
/** Patience with a page whose controller and API server share this machine with other tests. */
const PATIENCE_MS = 60_000;

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
let browser: Browser;

beforeAll(async () => {
  await install();
  ({ cluster, multinic } = await setUp([{ name: 'worker-1' }]));
  kubelet = await RootKubelet.start(cluster, { nodes: 2, nics: 1 });
  const entries = kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs));
  await multinic.applyConfig(config(NAME, entries));
  [browser] = await Promise.all([launchBrowser(), multinic.waitReady(NAME)]);
}, BUILD_MS);

afterAll(async () => {
  await browser?.close();
  await kubelet?.stop();
  await cluster?.stop();
}, 60_000);

async function paused(): Promise<string> {
  const field = 'jsonpath={.metadata.annotations.multinic\\.io/paused}';
  return (await multinic.kubectl('get', 'node', NODE, `--output=${field}`)).trim();
}

/** Opens the UI of a person's kubeconfig at the node. */
async function openNode(ui: UiRun): Promise<{ page: Page; said: readonly string[] }> {
  const opened = await openUi(browser, ui);
  await opened.page.evaluate(`location.hash = '#/node/${NODE}'`);
  await expectShown(opened.page.getByRole('heading', { name: 'NICs' }), PATIENCE_MS);
  return opened;
}

/** The page as it stands in the browser, with all that the browser keeps of it. */
async function keptBy(page: Page, ui: UiRun, said: readonly string[]): Promise<string> {
  const storage = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  const cookies = JSON.stringify(await page.context().cookies());
  return [page.url(), storage, cookies, await page.content(), ui.output(), ...said].join('\n');
}

test('a reader sees everything and cannot act, with forged requests either', async () => {
  const kubeconfig = await kubeconfigOf(multinic, 'reader', 'multinic-agent-history-reader');
  const { users } = parse(await readFile(kubeconfig, 'utf8')) as { users: [{ user: { token: string } }] };
  await using ui = await startUi(['--kubeconfig', kubeconfig]);
  const { page, said } = await openNode(ui);
  const retry = page.getByRole('button', { name: 'Retry', disabled: true });
  await expectShown(retry);
  expect(await retry.getAttribute('title')).toBe('You may only look: a command needs the right to write.');
  expect(await page.locator('main .buttons button:enabled, .timeline button:enabled').count()).toBe(0);

  const refs = await multinic.git('for-each-ref');
  const statuses: Record<string, number> = {};
  for (const command of ['retry', 'release', 'rollback', 'accept', 'pause', 'resume'])
    statuses[command] = await page.evaluate<number>(`
      fetch(new URL('../api/v1/nodes/${NODE}/${command}', document.baseURI), {
        method: 'POST',
        headers: { 'x-multinic-ui': '1', 'content-type': 'application/json' },
        body: '{"yes":true}',
      }).then(({ status }) => status)`);
  const { pause, resume, ...others } = statuses;
  expect(others).toEqual({ retry: 403, release: 403, rollback: 403, accept: 403 });
  // Kubernetes itself refuses the person, and the proxy says so.
  expect([pause, resume]).toEqual([502, 502]);
  expect(await paused()).toBe('');
  expect(await multinic.git('for-each-ref')).toBe(refs);
  expect(await keptBy(page, ui, said)).not.toContain(users[0].user.token);
  await page.context().close();
});

test('a person acts with their own right: commits name the account and the person', async () => {
  const account = `system:serviceaccount:${multinic.namespace}:alice`;
  const kubeconfig = await kubeconfigOf(multinic, 'alice', 'multinic-agent-history-writer');
  await multinic.kubectl('create', 'clusterrole', 'pauser', '--verb=get,patch', '--resource=nodes');
  const bound = `--serviceaccount=${multinic.namespace}:alice`;
  await multinic.kubectl('create', 'clusterrolebinding', 'pauser', '--clusterrole=pauser', bound);
  const before = nodeOf(await multinic.configOf(NAME), NODE)!.desiredCommit;
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    nodeConfigs[0]!.interfaces![0]!.mtu = 1400;
  });
  await untilConfig(multinic, NAME, 'the node has the new MTU', (found) => {
    const { state, desiredCommit } = nodeOf(found, NODE)!;
    return state === 'Configured' && desiredCommit !== before;
  });
  await using ui = await startUi(['--kubeconfig', kubeconfig], {
    GIT_CONFIG_COUNT: '2',
    GIT_CONFIG_KEY_0: 'user.name',
    GIT_CONFIG_VALUE_0: 'Alice',
    GIT_CONFIG_KEY_1: 'user.email',
    GIT_CONFIG_VALUE_1: 'alice@example.org',
  });
  const { page, said } = await openNode(ui);
  const dialog = page.getByRole('dialog');
  await page
    .getByRole('button', { name: /^Roll back to/, disabled: false })
    .first()
    .click();
  await expectShown(dialog.getByText('multinic0 mtu 1400 -> 1500'), PATIENCE_MS);
  await expectShown(dialog.getByText(`The commit names Alice, as ${account}.`), PATIENCE_MS);
  await dialog.locator('.primary').click();
  await expectShown(dialog.getByText('Done.'), PATIENCE_MS);
  await page.keyboard.press('Escape');
  await expectShown(page.getByText('held', { exact: true }), PATIENCE_MS);
  const format = '--format=%an <%ae> %(trailers:key=By,valueonly)';
  expect((await multinic.git('log', '-1', format, `node/${NODE}`)).trim()).toBe(
    `Alice <alice@example.org> ${account}`,
  );

  await page.getByRole('button', { name: 'Pause' }).click();
  await dialog.locator('.primary').click();
  await expectShown(dialog.getByText('Done.'), PATIENCE_MS);
  await page.keyboard.press('Escape');
  expect(await paused()).toBe('true');
  await page.getByRole('button', { name: 'Resume' }).click();
  await dialog.locator('.primary').click();
  await expectShown(dialog.getByText('Done.'), PATIENCE_MS);
  await page.keyboard.press('Escape');
  expect(await paused()).toBe('');
  await multinic.waitReady(NAME);
  expect(said).toEqual([]);
  await page.context().close();
}, 300_000);

const hex = (value: number): string => value.toString(16).padStart(2, '0');

/** A CR of 300 nodes that no machine answers to. */
function crowd(part: number, round: number) {
  const entries = Array.from({ length: 300 }, (_, index) =>
    entry(`i-${round}-${part}-${index}`, `crowd-${round}-${part}-${index}`, [
      `02:00:01:${hex(part)}:${hex(index >> 8)}:${hex(index & 255)}`,
    ]),
  );
  return config(`crowd-${part}`, entries);
}

const PARTS = 8;

async function applyCrowd(round: number): Promise<void> {
  for (let part = 0; part < PARTS; part += 1) await multinic.applyConfig(crowd(part, round));
}

interface LeaseFacts {
  readonly holder: string;
  readonly transitions: number;
  readonly ageMs: number;
}

async function lease(): Promise<LeaseFacts> {
  const { spec } = await multinic.json<{
    spec: { holderIdentity: string; leaseTransitions: number; renewTime: string };
  }>('get', 'lease', CONTROLLER_LEASE);
  return {
    holder: spec.holderIdentity,
    transitions: spec.leaseTransitions,
    ageMs: Date.now() - Date.parse(spec.renewTime),
  };
}

test('64 streams that never read leave the controller its memory and its Lease', async () => {
  await using reader = await Person.create(multinic, 'silent', 'read');
  const { name, address } = await multinic.leader();
  const peak = async (): Promise<number> => {
    const status = await multinic.kubectl('exec', name, '--', 'cat', '/proc/1/status');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  };
  const knows = (round: number) => async (): Promise<boolean> => {
    const { nodes } = await reader.status();
    return (
      nodes.filter(({ attachedNodeId }) => attachedNodeId.startsWith(`i-${round}-`)).length === PARTS * 300
    );
  };
  await applyCrowd(0);
  await waitFor('the controller knows the crowd', knows(0), { timeoutMs: 120_000, everyMs: 1_000 });
  const restarts = (): Promise<string> =>
    multinic.kubectl('get', 'pod', name, '--output=jsonpath={.status.containerStatuses[0].restartCount}');
  const [before, held, begun] = [await peak(), await lease(), await restarts()];

  const host = `multinic-agent-store.${multinic.namespace}.svc`;
  const ca = await readFile(`${reader.dir}/ca.crt`);
  const sockets: TLSSocket[] = [];
  const open = (): void => {
    const socket = connect({ host: address, port: 8443, servername: host, ca });
    socket.on('error', () => undefined);
    const gzip = sockets.length % 2 === 0 ? 'identity' : 'gzip';
    socket.write(
      `GET /api/v1/live HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${reader.token}\r\nAccept-Encoding: ${gzip}\r\n\r\n`,
    );
    socket.pause();
    sockets.push(socket);
  };
  // More than there are places: a question below may take one for a moment.
  for (let index = 0; index < 72; index += 1) open();
  const full = async (): Promise<boolean> => {
    // A place that is free takes this stream, which is then one of those that never read.
    const status = await statusOfLive(reader, address, host, ca);
    return status === 503;
  };
  await waitFor('all places are taken', full, { timeoutMs: 60_000, everyMs: 500 });
  try {
    for (let round = 1; round <= 2; round += 1) {
      await applyCrowd(round);
      await waitFor(`the controller knows crowd ${round}`, knows(round), {
        timeoutMs: 120_000,
        everyMs: 1_000,
      });
      const { holder, transitions, ageMs } = await lease();
      expect({ holder, transitions }).toEqual({ holder: held.holder, transitions: held.transitions });
      // Renewed each two seconds; another replica takes it after fifteen.
      expect(ageMs).toBeLessThan(10_000);
    }
    const after = await peak();
    console.log(`the controller had ${Math.round(before)} MiB at first, and ${Math.round(after)} MiB`);
    expect(after - before).toBeLessThan(96);
    expect(await restarts()).toBe(begun);
    await multinic.waitReady(NAME);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}, 600_000);

/** Asks for a stream on a connection of its own, and leaves at the first line of the answer. */
function statusOfLive(reader: Person, address: string, host: string, ca: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: 8443, servername: host, ca });
    socket.on('error', reject);
    socket.once('data', (chunk: Buffer) => {
      resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString('latin1'))?.[1]));
      socket.destroy();
    });
    socket.write(
      `GET /api/v1/live HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${reader.token}\r\n\r\n`,
    );
  });
}
