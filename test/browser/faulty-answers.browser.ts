// Answers that fail, stop in their midst, or come anew: the screen stays as it was, and so does the focus.

import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { LocalRun, NODES } from '../support/local.ts';
import { startUi, type UiRun } from '../support/ui.ts';
import { expectShown, launchBrowser, openUi } from './browser.ts';
import { FaultyProxy } from './faulty-proxy.ts';

const [NODE] = NODES;

let local: LocalRun;
let browser: Browser;
let ui: UiRun;
let proxy: FaultyProxy;
let page: Page;
let said: readonly string[];
let retry: Locator;

beforeAll(async () => {
  [local, browser] = await Promise.all([LocalRun.start(), launchBrowser()]);
  ui = await startUi(local.dir);
  proxy = await FaultyProxy.before(ui);
  ({ page, said } = await openUi(browser, proxy.throughProxy(ui)));
  await page.evaluate(`location.hash = '#/node/${NODE}'`);
  retry = page.getByRole('button', { name: 'Retry', exact: true });
  await retry.focus();
});
afterEach(() => {
  proxy.refuses = undefined;
  proxy.goOn();
});
afterAll(async () => {
  await browser?.close();
  await proxy?.[Symbol.asyncDispose]();
  await ui?.[Symbol.asyncDispose]();
  await local?.[Symbol.asyncDispose]();
});

async function setMtu(mtu: number): Promise<void> {
  await local.editConfig((spec) => {
    spec.nodeConfigs[0]!.interfaces![0]!.mtu = mtu;
  });
}

const wanted = (mtu: number): Locator => page.locator('.nics td:nth-of-type(2)').getByText(`MTU ${mtu}`);

/** The button still has the focus, and Enter opens its dialog. */
async function expectUsable(): Promise<void> {
  expect(await retry.evaluate((element) => element.matches(':focus'))).toBe(true);
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.locator('.primary').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(await retry.evaluate((element) => element.matches(':focus'))).toBe(true);
}

test('a question that is given up in the midst of its answer leaves the screen as it is', async () => {
  proxy.stop(new RegExp(`^/nodes/${NODE}(/log.*)?$`));
  await setMtu(1400);
  await expect.poll(() => proxy.stopped).toBeGreaterThanOrEqual(2);
  const first = proxy.stopped;
  // The node goes on, so the page gives the questions up and asks again.
  await local.run('pause', NODE);
  await expect.poll(() => proxy.stopped).toBeGreaterThan(first);
  await expectShown(page.getByText('paused', { exact: true }));
  await expectUsable();
  proxy.goOn();
  await expectShown(wanted(1400));
  await expectUsable();
});

test('an answer that fails leaves the newest good one, which is told, and is asked again', async () => {
  proxy.refuses = new RegExp(`^/nodes/${NODE}`);
  await setMtu(1420);
  await expectShown(page.getByText(/^the proxy refuses The screen has the answer of/).first());
  await expectShown(wanted(1400));
  proxy.refuses = undefined;
  await expectUsable();
  await expectShown(wanted(1420), 30_000);
  await expect.poll(() => page.getByText('the proxy refuses').count()).toBe(0);
  await expectUsable();
});

test('a controller that starts anew keeps the screen until its nodes are there', async () => {
  await local.stop();
  await expectShown(page.getByText('connection lost, trying again'));
  proxy.stop(/^\/live/);
  await local.launch();
  await expect.poll(() => proxy.stopped, { timeout: 30_000 }).toBeGreaterThan(0);
  await expectShown(page.getByText('connecting', { exact: true }));
  await expectUsable();
  await expectShown(page.getByText('paused', { exact: true }));
  proxy.goOn();
  await expectShown(page.getByText('live', { exact: true }));
  await expectUsable();
});

test('the page has no error', () => {
  // The browser itself writes a line for each answer that is refused or has no controller behind it.
  expect(said.filter((line) => !/status of 50[23]/.test(line))).toEqual([]);
});
