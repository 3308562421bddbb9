// `npm run ui:demo`: the web UI of a home with thirty nodes in every state. `--screenshots FOLDER` makes pictures of
// each screen instead, in both languages and both themes; `--pictures` makes those of README and docs.
import { execa } from 'execa';
import type { Page } from 'playwright-core';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { launchBrowser, openUi } from '../test/browser/browser.ts';
import {
  changeDemoConfig,
  DEMO_ARGS,
  demoNode,
  driftDemoHosts,
  FATES,
  makeDemoHome,
} from '../test/support/demo-home.ts';
import { startUi } from '../test/support/ui.ts';

interface Shot {
  readonly name: string;
  readonly hash: string;
  readonly width: number;
  /** An element to click before the picture. */
  readonly click?: string;
}

const DRIFTED = `#/node/${demoNode(FATES.drifted[0])}`;
/** A link to a change, in the history screen. */
const CHANGE = '.timeline a';
const ROLLBACK = '.timeline button:enabled';
const SHOTS: readonly Shot[] = [
  { name: 'attention', hash: '#/attention', width: 1280 },
  { name: 'fleet', hash: '#/fleet', width: 1280 },
  { name: 'node', hash: DRIFTED, width: 1280 },
  { name: 'change', hash: '#/history', width: 1280, click: CHANGE },
  { name: 'history', hash: '#/history', width: 1280 },
  { name: 'rollback', hash: `#/node/${demoNode(1)}`, width: 1280, click: ROLLBACK },
  { name: 'attention-narrow', hash: '#/attention', width: 360 },
  { name: 'fleet-narrow', hash: '#/fleet', width: 360 },
  { name: 'node-narrow', hash: DRIFTED, width: 360 },
  { name: 'change-narrow', hash: '#/history', width: 360, click: CHANGE },
  { name: 'history-narrow', hash: '#/history', width: 360 },
  { name: 'rollback-narrow', hash: `#/node/${demoNode(1)}`, width: 360, click: ROLLBACK },
];

const PICTURES = [
  ['attention', 'light'],
  ['node', 'light'],
  ['rollback', 'light'],
  ['fleet', 'dark'],
] as const;

// The author of commands in pictures.
const PERSON = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'user.name', GIT_CONFIG_VALUE_0: 'Alice' };
const PROGRAM = 'dist/multinic.js';
const [option, folder] = process.argv.slice(2);

await execa('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
const dir = await mkdtemp(join(tmpdir(), 'multinic-ui-demo-'));
await makeDemoHome(dir);
const ended = new AbortController();
const controller = execa(process.execPath, [PROGRAM, 'local', dir, '--port', '0', ...DEMO_ARGS], {
  stdio: 'ignore',
  reject: false,
  cancelSignal: ended.signal,
});
try {
  console.log('thirty nodes are configured, changed, and disturbed: this takes a minute');
  await stage();
  if (option === '--screenshots') await screenshots(folder ?? 'screenshots');
  else if (option === '--pictures') await pictures('docs/pictures');
  else await execa(process.execPath, [PROGRAM, 'ui', '-C', dir], { stdio: 'inherit', reject: false });
} finally {
  ended.abort();
  await controller;
  await rm(dir, { recursive: true, force: true });
}

/** Brings the nodes into their states. */
async function stage(): Promise<void> {
  await settled();
  await changeDemoConfig(dir, 1450, 16);
  await pause(2_000);
  await settled();
  await multinic('rollback', demoNode(FATES.held[0]), '--yes');
  await driftDemoHosts(dir);
  await multinic('observe', ...FATES.drifted.map(demoNode));
  await pause(8_000);
}

/** Waits until no node waits for a run. */
async function settled(): Promise<void> {
  for (let tries = 0; tries < 90; tries += 1) {
    await pause(1_000);
    const { stdout } = await multinic('status', '-o', 'json');
    const { nodes = [] } = JSON.parse(stdout || '{}') as { nodes?: { state: string; reason?: string }[] };
    const moving = nodes.filter(
      ({ state, reason }) => state === 'InProgress' || reason === 'Queued' || reason === 'Waiting',
    );
    if (nodes.length > 0 && moving.length === 0) return;
  }
}

function multinic(...args: string[]): Promise<{ stdout: string }> {
  return execa(process.execPath, [PROGRAM, ...args, '-C', dir], { reject: false });
}

async function screenshots(to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  const browser = await launchBrowser();
  try {
    for (const locale of ['en', 'ko'])
      for (const colorScheme of ['light', 'dark'] as const) {
        await using ui = await startUi(dir);
        const { page } = await openUi(browser, ui, { locale, colorScheme });
        for (const shot of SHOTS) {
          await page.setViewportSize({ width: shot.width, height: 860 });
          await show(page, shot);
          await page.screenshot({
            path: join(to, `${shot.name}-${locale}-${colorScheme}.png`),
            fullPage: true,
          });
          if (await page.getByRole('dialog').isVisible()) await page.keyboard.press('Escape');
        }
        await page.context().close();
      }
  } finally {
    await browser.close();
  }
}

async function show(page: Page, { hash, click }: Shot): Promise<void> {
  await page.evaluate(`location.hash = '${hash}'`);
  await pause(700);
  if (click !== undefined) await page.locator(click).first().click();
  await pause(700);
}

/** Pictures small enough for a repository. */
async function pictures(to: string): Promise<void> {
  Object.assign(process.env, PERSON);
  await mkdir(to, { recursive: true });
  const browser = await launchBrowser();
  try {
    for (const [name, colorScheme] of PICTURES) {
      await using ui = await startUi(dir);
      const { page } = await openUi(browser, ui, { colorScheme, viewport: { width: 1080, height: 640 } });
      await page.getByText('live', { exact: true }).waitFor();
      await show(
        page,
        SHOTS.find((shot) => shot.name === name)!,
      );
      await page.screenshot({ path: join(to, `${name}.png`) });
      await page.context().close();
    }
  } finally {
    await browser.close();
  }
}
