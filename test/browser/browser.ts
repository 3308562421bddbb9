// A browser with the web UI of a home, and what it says of itself.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core';
import { expect } from 'vitest';
import type { UiRun } from '../support/ui.ts';

/** Chromium's own sandbox wants rights that a container lacks; it runs nothing here but our own pages. */
const ARGS = ['--no-sandbox', '--disable-dev-shm-usage'];

/** undefined: this machine has none. */
export function chromiumPath(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':');
  return folders.map((folder) => join(folder, 'chromium')).find((path) => existsSync(path));
}

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath()!, args: ARGS });
}

/** Waits until exactly one such thing is to be seen. */
export async function expectShown(locator: Locator, timeoutMs = 15_000): Promise<void> {
  await locator.waitFor({ timeout: timeoutMs });
  expect(await locator.count()).toBe(1);
}

export interface OpenPage {
  readonly page: Page;
  /** Errors of the page and lines of its console. */
  readonly said: readonly string[];
}

/** Opens the link in a new profile. @param script runs in the page before its own scripts */
export async function openUi(
  browser: Browser,
  ui: UiRun,
  options: BrowserContextOptions = {},
  script = '',
): Promise<OpenPage> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    locale: 'en',
    ...options,
  });
  const page = await context.newPage();
  await page.addInitScript(script);
  const said: string[] = [];
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => said.push(String(error)));
  // A text that became a script.
  page.on('dialog', (dialog) => {
    said.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(ui.link.href);
  return { page, said };
}
