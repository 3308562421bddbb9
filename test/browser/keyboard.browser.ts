// Every command, by the keyboard alone: the button is found, the dialog is read and answered, and the focus is kept.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalRun, NODES } from '../support/local.ts';
import { expectShown } from './browser.ts';
import { startLocalUi, type LocalUi } from './local-ui.ts';

/** More presses of Tab than any screen has places for the focus. */
const MOST_PRESSES = 120;

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
  await page.getByRole('heading', { level: 1 }).waitFor();
}

const hasFocus = (locator: Locator): Promise<boolean> =>
  locator.evaluate((element) => element.matches(':focus'));

/** Presses Tab until the part has the focus, which the person sees by its outline. */
async function tabTo(part: Locator): Promise<void> {
  await part.waitFor();
  for (let presses = 0; presses < MOST_PRESSES; presses += 1) {
    if (await hasFocus(part)) {
      const outline = await part.evaluate((element) => {
        const { outlineStyle, outlineWidth } = element.ownerDocument.defaultView!.getComputedStyle(element);
        return `${outlineStyle} ${outlineWidth}`;
      });
      expect(outline).not.toMatch(/^none| 0px$/);
      return;
    }
    await page.keyboard.press('Tab');
  }
  throw new Error(`no way to ${String(part)} by Tab`);
}

/** Opens the dialog of a button, and gives up by Escape: nothing happens, and the button has the focus again. */
async function open(button: Locator): Promise<Locator> {
  await tabTo(button);
  await page.keyboard.press('Space');
  const dialog = page.getByRole('dialog');
  await dialog.locator('.primary').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(await hasFocus(button)).toBe(true);
  await page.keyboard.press('Enter');
  await dialog.locator('.primary').waitFor();
  // The focus cannot leave a dialog for the page behind it.
  for (let presses = 0; presses < 6; presses += 1) {
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.closest("main")')).toBeNull();
  }
  return dialog;
}

/** Gives the command of a button. @param says what the dialog shows before */
async function give(button: Locator, says: string | RegExp): Promise<void> {
  const dialog = await open(button);
  await expectShown(dialog.getByText(says).first());
  await tabTo(dialog.locator('.primary'));
  await page.keyboard.press('Enter');
  await expectShown(dialog.getByText('Done.'));
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  // Where the command took its button away, the screen itself has the focus.
  await expect.poll(() => page.evaluate('document.activeElement !== document.body')).toBe(true);
}

const button = (name: string | RegExp): Locator => page.getByRole('button', { name, disabled: false });

interface Observed {
  readonly nodes: readonly { readonly node: string; readonly observation?: { readonly result?: string } }[];
}

test('news that takes the focused part away gives the focus to the screen', async () => {
  await local.run('pause', NODES[2]);
  await go('#/fleet?show=paused');
  const link = page.getByRole('link', { name: NODES[2] });
  await link.focus();
  await local.run('resume', NODES[2]);
  await link.waitFor({ state: 'detached' });
  expect(await hasFocus(page.getByRole('main'))).toBe(true);
});

test('observe and retry', async () => {
  await go(`#/node/${NODES[0]}`);
  await give(button('Observe'), 'It looks at the host, and changes nothing.');
  await expect
    .poll(() => local.api<Observed>('/status').then(({ nodes }) => nodes[0]), { timeout: 30_000 })
    .toMatchObject({ node: NODES[0], observation: { result: 'Observed' } });
  await give(button('Retry'), 'gets another run');
  await local.settled();
  await expectShown(page.getByText(/^retry requested by/));
});

test('pause and resume', async () => {
  await give(button('Pause'), 'is paused: commits go on, no run starts');
  await expectShown(page.getByText('paused', { exact: true }));
  await give(button('Resume'), 'is resumed: runs start again');
  await page.getByText('paused', { exact: true }).waitFor({ state: 'detached' });
  await local.settled();
});

test('roll back to here, and release', async () => {
  await local.editConfig((spec) => {
    spec.nodeConfigs[0]!.interfaces![0]!.mtu = 1400;
  });
  await page.getByText('mtu 1500 -> 1400').first().waitFor();
  await give(button(/^Roll back to/).first(), 'multinic0 mtu 1400 -> 1500');
  await expectShown(page.getByText('held', { exact: true }));
  await give(button('Release'), 'multinic0 mtu 1500 -> 1400');
  await page.getByText('held', { exact: true }).waitFor({ state: 'detached' });
  await local.settled();
});

test('accept what is on the host', async () => {
  const file = join(local.hostRoot(NODES[0]), 'etc/netplan/90-multinic0.yaml');
  await writeFile(file, (await readFile(file, 'utf8')).replace('mtu: 1400', 'mtu: 1420'));
  await local.run('observe', NODES[0]);
  await give(button('Accept what is on the host'), 'multinic0 mtu 1400 -> 1420');
  await local.settled();
  expect(await local.node(NODES[0])).toMatchObject({ state: 'Configured', held: true });
});

test('confirm the removals', async () => {
  await local.removeConfig();
  await local.untilStatus('removals wait', ({ stopped }) => stopped.length > 0);
  await go('#/attention');
  await give(button('Confirm the removals'), 'loses all its interfaces');
  await local.untilStatus('they are removed', ({ stopped }) => stopped.length === 0);
  const [confirmed] = await local
    .api<{ entries: { kind: string }[] }>('/history')
    .then(({ entries }) => entries);
  expect(confirmed).toMatchObject({ kind: 'confirm', principal: 'operator' });
});

test('the page has no error', () => expect(said).toEqual([]));
