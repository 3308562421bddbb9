// Commands in the web UI: what they show before they act, whom their commits name, and who may not give them.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalRun, NODES } from '../support/local.ts';
import { startUi } from '../support/ui.ts';
import { expectShown, openUi } from './browser.ts';
import { startLocalUi, type LocalUi } from './local-ui.ts';

/** Text that would be a script, were it markup. */
const SCRIPT = '<img src=x onerror=alert(1)>';

let opened: LocalUi;
let local: LocalRun;
let page: Page;
let said: readonly string[];

beforeAll(async () => {
  opened = await startLocalUi();
  ({ local, page, said } = opened);
});
afterAll(() => opened?.[Symbol.asyncDispose]());

async function go(hash: string): Promise<void> {
  await page.evaluate(`location.hash = '${hash}'`);
}

test('a rollback shows what it will change, and then is a commit with the person and the account', async () => {
  await local.editConfig((spec) => {
    spec.nodeConfigs[0]!.interfaces![0]!.mtu = 1400;
  });
  await local.settled();
  await go(`#/node/${NODES[0]}`);
  const list = page.getByRole('list').filter({ hasText: 'mtu 1500 -> 1400' });
  await expectShown(list);
  await page
    .getByRole('button', { name: /^Roll back to/, disabled: false })
    .first()
    .click();
  const dialog = page.getByRole('dialog');
  await expectShown(dialog.getByText('multinic0 mtu 1400 -> 1500'));
  await expectShown(dialog.getByText(/The commit names .*, as operator/));
  const before = (await local.node(NODES[0])).desiredCommit;
  await dialog.getByRole('button', { name: /^Roll back to/ }).click();
  await expectShown(dialog.getByText('Done.'));
  await dialog.getByRole('button', { name: 'Close' }).click();
  await expectShown(page.getByText('held', { exact: true }));
  expect((await local.node(NODES[0])).desiredCommit).not.toBe(before);
  const [entry] = (await local.api<{ kind: string; principal?: string }[]>(`/nodes/${NODES[0]}/log`)).filter(
    ({ kind }) => kind === 'rollback',
  );
  expect(entry).toMatchObject({ kind: 'rollback', principal: 'operator' });
});

test('a cancelled command changes nothing', async () => {
  await page.getByRole('button', { name: 'Release' }).click();
  const dialog = page.getByRole('dialog');
  await expectShown(dialog.getByText('multinic0 mtu 1500 -> 1400'));
  await expectShown(dialog.getByRole('cell', { name: /mtu: 1400/ }));
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  expect((await local.node(NODES[0])).held).toBe(true);
});

test('a dialog stays when its command takes the button away', async () => {
  await page.getByRole('button', { name: 'Release' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Release' }).click();
  await page.getByText('held', { exact: true }).waitFor({ state: 'detached' });
  await expectShown(dialog.getByText('Done.'));
  await dialog.getByRole('button', { name: 'Close' }).click();
  expect(await page.getByRole('button', { name: 'Release' }).count()).toBe(0);
  await local.settled();
});

test('the keyboard alone opens a node and pauses it', async () => {
  await go('#/fleet');
  await page.getByRole('searchbox').focus();
  await page.keyboard.type(NODES[1]);
  await expectShown(page.getByText('1 of 3 nodes'));
  const link = page.getByRole('link', { name: NODES[1] });
  for (let presses = 0; presses < 30; presses += 1) {
    if (await link.evaluate((each) => each.matches(':focus'))) break;
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await expectShown(page.getByRole('heading', { level: 1, name: NODES[1] }));
  const pause = page.getByRole('button', { name: 'Pause' });
  await pause.waitFor();
  for (let presses = 0; presses < 30; presses += 1) {
    if (await pause.evaluate((each) => each.matches(':focus'))) break;
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await expectShown(dialog.getByText('is paused: commits go on, no run starts'));
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await local.until('the node is paused', async () => (await local.node(NODES[1])).paused === true);
  await page.keyboard.press('Escape');
  await expectShown(page.getByText('paused', { exact: true }));
});

test('a drift is accepted as the person saw it, after its difference was shown', async () => {
  const file = join(local.hostRoot(NODES[0]), 'etc/netplan/90-multinic0.yaml');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('mtu: 1400', `mtu: 1420 # ${SCRIPT}`));
  await local.run('observe', NODES[0]);
  await go(`#/node/${NODES[0]}`);
  await page.getByRole('button', { name: 'Accept what is on the host' }).click();
  const dialog = page.getByRole('dialog');
  await expectShown(dialog.getByText('multinic0 mtu 1400 -> 1420'));
  await expectShown(dialog.getByText(`mtu: 1420 # ${SCRIPT}`));
  expect(await dialog.getByText('node.yaml').count()).toBe(0);
  const accepted = page.waitForRequest((request) => request.url().endsWith('/accept'));
  await dialog.getByRole('button', { name: 'Accept what is on the host' }).click();
  expect((await accepted).postDataJSON()).toMatchObject({ drift: expect.stringMatching(/^[0-9a-f]{40}$/) });
  await expectShown(dialog.getByText('Done.'));
  await dialog.getByRole('button', { name: 'Close' }).click();
  await page.getByText('etc/netplan/90-multinic0.yaml', { exact: true }).last().click();
  await expectShown(page.locator('pre').filter({ hasText: SCRIPT }));
  expect(await page.locator('img').count()).toBe(0);
});

test('a rollback that takes all interfaces away asks once more', async () => {
  await go(`#/node/${NODES[2]}`);
  await page
    .getByRole('button', { name: /^Roll back to/ })
    .last()
    .click();
  const dialog = page.getByRole('dialog');
  await expectShown(dialog.getByText(/all its interfaces/));
  const before = (await local.node(NODES[2])).desiredCommit;
  await dialog.getByRole('button', { name: /^Roll back to/ }).click();
  await expectShown(dialog.getByText('The node would lose all its interfaces.'));
  expect((await local.node(NODES[2])).desiredCommit).toBe(before);
  await dialog.getByRole('button', { name: 'Take all interfaces away' }).click();
  await expectShown(dialog.getByText('Done.'));
  await dialog.getByRole('button', { name: 'Close' }).click();
  await expectShown(page.getByText('No NIC is wanted on this node.'));
});

test('text of strangers is shown as text', async () => {
  const copy = await local.clone();
  await copy.git('switch', `node/${NODES[2]}`);
  await copy.git('-c', `user.name=${SCRIPT}`, 'commit', '--allow-empty', '-m', `subject ${SCRIPT}`);
  await copy.git('push', 'origin', 'HEAD');
  await go(`#/node/${NODES[2]}`);
  await expectShown(page.getByText(`subject ${SCRIPT}`));
  expect(await page.locator('img').count()).toBe(0);
  await local.editConfig((spec) => {
    spec.nodeConfigs[1]!.interfaces![0]!.address = SCRIPT;
    spec.nodeConfigs.push({ attachedNodeId: SCRIPT, attachedNodeName: SCRIPT, interfaces: [] });
  });
  await go('#/attention');
  await expectShown(page.getByText(`nodeConfigs[1].interfaces[0].address: is "${SCRIPT}"`));
  expect(await page.locator('img').count()).toBe(0);
  await go('#/fleet');
  await expectShown(page.getByRole('row', { name: `nodeConfigs[3].attachedNodeId: is "${SCRIPT}"` }));
  expect(await page.locator('img').count()).toBe(0);
  await go('#/history');
  await page
    .getByText(/pushes/)
    .first()
    .waitFor();
  expect(await page.locator('img').count()).toBe(0);
  expect(said.filter((line) => /alert|Content Security/.test(line))).toEqual([]);
});

test('a reader sees the commands disabled, with the reason', async () => {
  await using readerUi = await startUi(local.dir);
  const reader = await openUi(opened.browser, readerUi);
  // A home has no token that only reads, so the answer about the principal is another one here.
  await reader.page.route('**/api/v1/live*', async (route) => {
    const line = JSON.stringify({
      frame: 'hello',
      epoch: 'another',
      version: '0',
      principal: { name: 'reader', role: 'read' },
      canPause: true,
      fresh: true,
    });
    const nodes = (await local.status())!.nodes.map((value) => ({
      kind: 'node',
      key: value.node,
      value: { ...value, activity: 'rests' },
    }));
    const items = { frame: 'items', items: nodes, gone: [], place: 1, more: false, total: 3 };
    await route.fulfill({ body: `${line}\n${JSON.stringify(items)}\n` });
  });
  await reader.page.reload();
  await reader.page.evaluate(`location.hash = '#/node/${NODES[0]}'`);
  const retry = reader.page.getByRole('button', { name: 'Retry', disabled: true });
  await expectShown(retry);
  const reason = 'You may only look: a command needs the right to write.';
  expect(await retry.getAttribute('title')).toBe(reason);
  await expectShown(reader.page.getByText(reason));
});
