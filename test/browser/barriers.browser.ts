// Barriers for people who use no mouse, no eyes, or a small screen, as far as axe finds them.

import { setTimeout as pause } from 'node:timers/promises';
import axe from 'axe-core';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalRun } from '../support/local.ts';
import { startUi } from '../support/ui.ts';
import { launchBrowser, openUi } from './browser.ts';

const SCREENS = ['#/attention', '#/fleet', '#/node/k8s-worker-01', '#/history', '#/change'];
const WIDTHS = [1280, 360];

let local: LocalRun;
let browser: Browser;
/** The newest commit of main. */
let main: string;

beforeAll(async () => {
  [local, browser] = await Promise.all([LocalRun.start(), launchBrowser()]);
  ({ main } = (await local.api('/status')) as { main: string });
});
afterAll(async () => {
  await browser.close();
  await local[Symbol.asyncDispose]();
});

/** What axe finds, a page that is wider than its window, and states that their column cuts. */
async function barriers(page: Page): Promise<string[]> {
  const { violations } = await page.evaluate<AxeResults>('axe.run()');
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
  const wide = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
  if (wide > 0) found.push(`the page is ${wide} px too wide`);
  const cut = await page
    .locator('.col-state .state')
    .evaluateAll((states) =>
      states.flatMap((state) =>
        state.getBoundingClientRect().right > state.closest('td')!.getBoundingClientRect().right
          ? (state.textContent ?? '')
          : [],
      ),
    );
  return [...found, ...cut.map((text) => `cut: ${text}`)];
}

describe.each(['en', 'ko'])('in %s', (locale) => {
  test.each(['light', 'dark'] as const)('nothing is found, %s', async (colorScheme) => {
    await using ui = await startUi(local.dir);
    const { page } = await openUi(browser, ui, { locale, colorScheme, bypassCSP: true });
    await page.getByRole('main').waitFor();
    await page.evaluate(axe.source);
    const found: Record<string, string[]> = {};
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      for (const screen of SCREENS) {
        await page.evaluate(`location.replace('${screen === '#/change' ? `#/change/${main}` : screen}')`);
        await page.getByRole('heading', { level: 1 }).waitFor();
        // The answers of the API fill the screen.
        await pause(400);
        const list = await barriers(page);
        if (list.length > 0) found[`${screen} at ${width} px`] = list;
      }
    }
    expect(found).toEqual({});
    expect(await page.getAttribute('html', 'lang')).toBe(locale);
    await page.context().close();
  });
});
