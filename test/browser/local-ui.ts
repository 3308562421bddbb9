// The web UI of a local home in a browser: the home, the proxy, the browser and one page, which end together.

import type { Browser } from 'playwright-core';
import { LocalRun } from '../support/local.ts';
import { startUi, type UiRun } from '../support/ui.ts';
import { launchBrowser, openUi, type OpenPage } from './browser.ts';

export interface LocalUi extends OpenPage, AsyncDisposable {
  readonly local: LocalRun;
  readonly browser: Browser;
  readonly ui: UiRun;
}

/** Starts a home that reports drift, and opens its web UI. */
export async function startLocalUi(): Promise<LocalUi> {
  const stack = new AsyncDisposableStack();
  const local = stack.use(await LocalRun.start({ args: ['--drift', 'report'] }));
  const browser = stack.adopt(await launchBrowser(), (each) => each.close());
  const ui = stack.use(await startUi(local.dir));
  return {
    local,
    browser,
    ui,
    ...(await openUi(browser, ui)),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
