// The web UI of a real cluster in real Chromium, by `multinic ui` and a kubeconfig.
import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { parse } from 'yaml';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectShown, launchBrowser, openUi } from '../browser/browser.ts';
import install from '../browser/install.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Multinic } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { BUILD_MS, config, entry, kubeconfigOf, setUp } from '../support/kube-cluster.ts';
import { startUi, type UiRun } from '../support/ui.ts';

const NAME = 'fleet';
const NODE = 'root-01';

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
  const { page, said } = await openUi(browser, ui);
  await page.evaluate(`location.hash = '#/node/${NODE}'`);
  await expectShown(page.getByRole('heading', { name: 'NICs' }));
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
