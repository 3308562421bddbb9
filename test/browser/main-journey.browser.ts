// The web UI as a person uses it.

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalRun, NODES } from '../support/local.ts';
import { startUi, type UiRun } from '../support/ui.ts';
import { expectShown, launchBrowser, openUi, type OpenPage } from './browser.ts';

let local: LocalRun;
let browser: Browser;
let ui: UiRun;
let opened: OpenPage;

beforeAll(async () => {
  [local, browser] = await Promise.all([LocalRun.start(), launchBrowser()]);
  ui = await startUi(local.dir);
  opened = await openUi(browser, ui);
});
afterAll(async () => {
  await browser.close();
  await ui[Symbol.asyncDispose]();
  await local[Symbol.asyncDispose]();
});

test('the secret of the link leaves the address at once', async () => {
  const { page } = opened;
  await expectShown(page.getByText('live', { exact: true }));
  expect(page.url()).toBe(`${ui.page}#/`);
});

test('the fleet has every node with its state, and follows it live', async () => {
  const { page } = opened;
  await page.getByRole('link', { name: 'Fleet' }).click();
  for (const node of NODES)
    await expectShown(page.getByRole('row', { name: new RegExp(`${node} .*Configured`) }));
  await local.run('pause', NODES[1]);
  await expectShown(page.getByRole('row', { name: new RegExp(`${NODES[1]} .*paused`) }));
  await local.run('resume', NODES[1]);
  await page.getByText('paused').first().waitFor({ state: 'detached' });
});

test('an open screen has what others do: requests that no run follows, and pushes', async () => {
  const { page } = opened;
  const copy = await local.clone();
  await local.run('pause', NODES[0]);
  await page.evaluate(`location.hash = '#/node/${NODES[0]}'`);
  await expectShown(page.getByText(/^pause requested by/));
  await local.run('retry', NODES[0]);
  await expectShown(page.getByText(/^retry requested by/));
  await page.getByRole('link', { name: 'History' }).click();
  await page.locator('.timeline li').first().waitFor();
  const file = 'etc/netplan/90-multinic0.yaml';
  await copy.edit(NODES[0], file, (text) => text.replace('mtu: 1500', 'mtu: 1450'));
  await expectShown(page.locator('.timeline .kind').getByText('push', { exact: true }));
  await local.run('release', NODES[0]);
  await local.run('resume', NODES[0]);
  await local.settled();
  await page.getByRole('link', { name: 'Fleet' }).click();
});

test('a search finds a node by an address', async () => {
  const { page } = opened;
  await page.getByRole('searchbox').fill('192.168.100.12');
  await expectShown(page.getByText('1 of 3 nodes'));
  await expectShown(page.getByRole('row', { name: new RegExp(NODES[2]) }));
  expect(page.url()).toContain('q=192.168.100.12');
  await page.getByRole('searchbox').fill('');
});

test('a controller that is gone is told, and found again', async () => {
  const { page } = opened;
  await local.stop();
  await expectShown(page.getByText('connection lost, trying again'));
  await local.launch();
  await expectShown(page.getByText('live', { exact: true }));
});

test('the page has no error, and keeps neither a secret nor a token', async () => {
  const { page, said } = opened;
  const token = await local.token();
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  const cookies = JSON.stringify(await page.context().cookies());
  for (const text of [page.url(), kept, cookies, await page.content(), ...said])
    expect(text).not.toContain(token);
  expect(kept).not.toContain(ui.link.hash.slice('#key='.length));
  // The browser itself writes a line for each answer of the proxy without a controller behind it.
  expect(said.filter((line) => !/status of 50[23]/.test(line))).toEqual([]);
});

test('a link that is followed as soon as it is there is not lost', async () => {
  await using another = await startUi(local.dir);
  const follow = `new MutationObserver((_, observer) => {
    if (document.querySelector('nav') === null) return;
    observer.disconnect();
    location.hash = '#/fleet';
  }).observe(document, { childList: true, subtree: true });`;
  const { page } = await openUi(browser, another, {}, follow);
  await expectShown(page.getByRole('row', { name: new RegExp(NODES[0]) }));
  await page.context().close();
});
