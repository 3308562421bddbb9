// The web UI in Chromium over 5,000 nodes: its first view, what it transfers, and its longest tasks. The nodes are on a real
// store behind the real server, and their runs are a clock's.

import type { Browser, CDPSession, Page } from 'playwright-core';
import { setTimeout as pause } from 'node:timers/promises';
import { chromiumPath, launchBrowser } from '../test/browser/browser.ts';
import { waitFor } from '../test/nodes/wait.ts';
import { TOKENS } from '../test/support/http.ts';
import { MINUTE, ObservedFleet } from '../test/support/observed-fleet.ts';
import { measured, median, percentile, type Bench } from './report.ts';

const NODES = 5_000;
const ROUNDS = 5;
/** Longest task that a person does not feel. */
const TASK_MS = 100;
/** Time after which nothing that a step began is under way. */
const QUIET_MS = 500;

export const benches: Bench[] = [{ name: 'ui: the screens of 5,000 nodes in Chromium', run: benchUi }];

async function benchUi(): Promise<void> {
  if (chromiumPath() === undefined) {
    console.log('  left out: there is no chromium on the PATH');
    return;
  }
  await using configured = await ObservedFleet.configured(NODES);
  await using fleet = await ObservedFleet.open(configured, { observes: false });
  const server = await fleet.serve();
  const browser = await launchBrowser();
  try {
    const views: FirstView[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const context = await browser.newContext({ locale: 'en', viewport: { width: 1280, height: 800 } });
      views.push(await firstView(browser, await context.newPage(), `${server.url}/ui/`));
      if (round < ROUNDS - 1) await context.close();
    }
    reportViews(views);
    await reportSteps(browser, browser.contexts()[0]!.pages()[0]!, fleet);
  } finally {
    await browser.close();
    await server.close();
  }
}

interface FirstView {
  /** From the sign-in until rows are drawn. */
  readonly rowsMs: number;
  /** From the sign-in until all nodes are counted. */
  readonly allMs: number;
  readonly task: Task;
  /** Compressed bytes of the page and its files, and of the stream until all nodes are there. */
  readonly pageBytes: number;
  readonly streamBytes: number;
}

/** Runs in the page: notes the times since the sign-in at which rows and all nodes are drawn. */
const WATCH = `
  globalThis.seen = { began: 0, rows: 0, all: 0 };
  addEventListener('submit', () => { seen.began = performance.now(); }, true);
  const look = () => {
    if (seen.rows === 0 && document.querySelector('table.fleet tbody th') !== null) seen.rows = performance.now();
    if (document.querySelector('main .count')?.textContent === '${NODES.toLocaleString('en')} nodes')
      seen.all = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
`;

async function firstView(browser: Browser, page: Page, url: string): Promise<FirstView> {
  const bytes = await countBytes(page);
  await page.addInitScript(WATCH);
  const task = await longestTask(browser, async () => {
    await page.goto(`${url}#/fleet`);
    await page.getByLabel('Token').fill(TOKENS.write);
    await page.keyboard.press('Enter');
    await waitFor('all nodes on the screen', () => page.evaluate<boolean>('globalThis.seen.all > 0'), {
      timeoutMs: 120_000,
    });
  });
  const seen = await page.evaluate<{ began: number; rows: number; all: number }>('globalThis.seen');
  return {
    rowsMs: seen.rows - seen.began,
    allMs: seen.all - seen.began,
    task,
    pageBytes: bytes.of('/ui/'),
    streamBytes: bytes.of('/api/v1/live'),
  };
}

async function countBytes(page: Page): Promise<{ of: (part: string) => number }> {
  const session: CDPSession = await page.context().newCDPSession(page);
  const urls = new Map<string, string>();
  const received = new Map<string, number>();
  session.on('Network.requestWillBeSent', ({ requestId, request }) => urls.set(requestId, request.url));
  session.on('Network.dataReceived', ({ requestId, encodedDataLength }) => {
    const url = urls.get(requestId) ?? '';
    received.set(url, (received.get(url) ?? 0) + encodedDataLength);
  });
  await session.send('Network.enable');
  return {
    of: (part) => [...received].reduce((sum, [url, length]) => (url.includes(part) ? sum + length : sum), 0),
  };
}

/** The longest task of a page. Its time on the clock is longer where other programs want the processors. */
interface Task {
  readonly cpuMs: number;
  readonly clockMs: number;
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly args: { readonly name?: string };
  /** Microseconds on the clock, and of the thread on a processor. */
  readonly dur?: number;
  readonly tdur?: number;
}

/** Does something, and finds the longest task of the page's main thread meanwhile by Chromium's own trace. */
async function longestTask(browser: Browser, act: () => Promise<unknown>): Promise<Task> {
  await browser.startTracing(undefined, { categories: ['disabled-by-default-devtools.timeline'] });
  await act();
  await pause(QUIET_MS);
  const trace = (await browser.stopTracing()).toString();
  const { traceEvents } = JSON.parse(trace) as { traceEvents: TraceEvent[] };
  const main = traceEvents
    .filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
    .map(({ pid, tid }) => `${pid} ${tid}`);
  const tasks = traceEvents
    .filter(({ name, pid, tid }) => name === 'RunTask' && main.includes(`${pid} ${tid}`))
    .map(({ dur = 0, tdur = 0 }) => ({ cpuMs: tdur / 1_000, clockMs: dur / 1_000 }));
  if (tasks.length === 0) throw new Error('the trace has no task of the page');
  return tasks.reduce((most, task) => (task.cpuMs > most.cpuMs ? task : most));
}

function reportViews(views: readonly FirstView[]): void {
  const of = (pick: (view: FirstView) => number): number[] => views.map(pick);
  measured('sign-in until the first rows', median(of(({ rowsMs }) => rowsMs)), 'ms');
  measured(
    'sign-in until all 5,000 nodes, snapshot to screen',
    median(of(({ allMs }) => allMs)),
    'ms',
    3_000,
  );
  measured(
    `the same, slowest of ${ROUNDS}`,
    percentile(
      of(({ allMs }) => allMs),
      100,
    ),
    'ms',
  );
  measured('received: the page and its files', median(of(({ pageBytes }) => pageBytes)), 'bytes', 120 * 1024);
  measured('received: the snapshot of 5,000 nodes', median(of(({ streamBytes }) => streamBytes)), 'bytes');
  measured('longest task of a first view, CPU', median(of(({ task }) => task.cpuMs)), 'ms', TASK_MS);
  measured('the same task on the clock', median(of(({ task }) => task.clockMs)), 'ms');
}

async function reportSteps(browser: Browser, page: Page, fleet: ObservedFleet): Promise<void> {
  const step = async (what: string, act: () => Promise<unknown>): Promise<void> => {
    const { cpuMs, clockMs } = await longestTask(browser, act);
    measured(`longest task, CPU: ${what}`, cpuMs, 'ms', TASK_MS);
    console.log(`    ${clockMs.toFixed(0)} ms on the clock`);
  };
  const search = page.getByRole('searchbox');
  await step('a search, key by key', () => search.pressSequentially('node-4999', { delay: 50 }));
  await step('the search ends', () => search.fill(''));
  await step('a sort by each column', async () => {
    for (const column of await page.locator('table.fleet thead button').all()) await column.click();
  });
  await step('a way to the last row', async () => {
    for (let screen = 0; screen < 40; screen += 1) {
      await page.mouse.wheel(0, 5_000);
      await pause(30);
    }
    await page.getByRole('link', { name: `node-${NODES - 1}`, exact: true }).waitFor();
  });
  await step('each screen', async () => {
    for (const screen of ['attention', 'history', 'node/node-7', 'fleet']) {
      await page.evaluate(`location.hash = '#/${screen}'`);
      await pause(QUIET_MS);
    }
  });
  await step('a change of all nodes', async () => {
    fleet.edit(
      fleet.inventory.map(({ name }) => name),
      1400,
    );
    await fleet.run(MINUTE / 30);
    await page.locator('table.fleet .state-InProgress, table.fleet .state-Pending').first().waitFor();
  });
}
