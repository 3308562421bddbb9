// A person who does things at random in the browser, while a fleet of recorded nodes rolls out. MATRIX=1 has a hundred
// actions, 200 nodes and other actions each time; SEED repeats them.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  changeDemoConfig,
  DEMO_ARGS,
  demoNode,
  driftDemoHosts,
  FATES,
  makeDemoHome,
} from '../support/demo-home.ts';
import { LocalRun } from '../support/local.ts';
import { randomOf } from '../support/random.ts';
import { startUi, type UiRun } from '../support/ui.ts';
import { launchBrowser, openUi } from './browser.ts';
import { RandomPerson } from './random-person.ts';
import { expectScreensEqualApi } from './screens-and-api.ts';

const MATRIX = process.env['MATRIX'] === '1';
const COUNT = MATRIX ? 200 : 40;
const ACTIONS = MATRIX ? 100 : 40;
const MINUTES = 60_000;
const SEED = Number(process.env['SEED'] ?? (MATRIX ? Date.now() % 1_000_000 : 916_703));
/** The person of git's configuration; the account of the home is `operator`. */
const ALICE = { name: 'Alice Kim', email: 'alice@example.org' };
const PERSON = {
  GIT_CONFIG_COUNT: '2',
  GIT_CONFIG_KEY_0: 'user.name',
  GIT_CONFIG_VALUE_0: ALICE.name,
  GIT_CONFIG_KEY_1: 'user.email',
  GIT_CONFIG_VALUE_1: ALICE.email,
};
/** Actions before which the CR changes on every node, and those before which hosts are edited by hand. */
const ROLLOUTS = new Map([
  [0.3 * ACTIONS, 1450],
  [0.6 * ACTIONS, 1400],
]);
const HANDS = new Map([
  [0.2 * ACTIONS, 1350],
  [0.5 * ACTIONS, 1340],
  [0.8 * ACTIONS, 1330],
]);
/** The action before which a colleague pushes to a node. */
const PUSH = 0.4 * ACTIONS;
const FILE = 'etc/netplan/90-multinic0.yaml';
/**
 * Lines that Chromium itself writes: a command that the controller refuses, and interfaces of this machine that come and
 * go, as those of the live tests do.
 */
const OF_CHROMIUM = /responded with a status of|net::ERR_NETWORK_CHANGED/;

let local: LocalRun;
let browser: Browser;
let ui: UiRun;

beforeAll(async () => {
  const made = await mkdtemp(join(tmpdir(), 'multinic-fleet-'));
  await makeDemoHome(made, COUNT);
  local = await LocalRun.prepare(made);
  await rm(made, { recursive: true });
  [browser] = await Promise.all([launchBrowser(), local.launch({ args: DEMO_ARGS })]);
  ui = await startUi(local.dir, PERSON);
});
afterAll(async () => {
  await browser?.close();
  await ui?.[Symbol.asyncDispose]();
  await local?.[Symbol.asyncDispose]();
});

/** Author, address and account of each commit that names Alice, by commit. */
async function commitsOfAlice(): Promise<Map<string, string>> {
  const format = '%H %an <%ae> as %(trailers:key=By,valueonly,separator=%x2C)';
  const text = await local.git('log', '--all', `--author=${ALICE.name}`, `--format=${format}`);
  return new Map(text.split('\n').map((line) => [line.slice(0, 40), line.slice(41)] as const));
}

test(
  `${ACTIONS} random actions while ${COUNT} nodes roll out`,
  { timeout: COUNT * 15_000 + 6 * MINUTES },
  async () => {
    console.log(`SEED=${SEED}`);
    const random = randomOf(SEED);
    await local.untilStatus('the first nodes have work', ({ nodes }) => nodes.length > COUNT);
    const { page, said } = await openUi(browser, ui);
    await page.getByText('live', { exact: true }).waitFor();
    expect((await local.status())!.nodes.some(({ state }) => state !== 'Configured')).toBe(true);
    // Three more windows, which nobody touches: the fleet, a node, and the history.
    const fleet = await page.context().newPage();
    await fleet.setViewportSize({ width: 1280, height: COUNT * 40 + 600 });
    await fleet.goto(`${ui.page}#/fleet`);
    const node = await page.context().newPage();
    await node.goto(`${ui.page}#/node/${demoNode(25)}`);
    const history = await page.context().newPage();
    await history.goto(`${ui.page}#/history`);

    const nodes = Array.from({ length: COUNT }, (_, index) => demoNode(index + 1));
    const person = new RandomPerson(page, {
      random,
      nodes,
      favourites: [25, 26, 29].map(demoNode),
      without: FATES.invalid.map(demoNode),
    });
    for (const other of [fleet, node, history]) person.hear(other);
    const copy = await local.clone();
    for (let action = 0; action < ACTIONS; action += 1) {
      const mtu = ROLLOUTS.get(action);
      if (mtu !== undefined) await changeDemoConfig(local.dir, mtu, COUNT);
      const byHand = HANDS.get(action);
      if (byHand !== undefined) {
        await driftDemoHosts(local.dir, [25, 26, 27], byHand);
        await local.cli('observe', ...[25, 26, 27].map(demoNode));
      }
      if (action === PUSH)
        await copy
          .edit(demoNode(3), FILE, (text) => text.replace(/mtu: \d+/, 'mtu: 1300'))
          .catch((error: unknown) => console.log(`a colleague cannot push: ${String(error)}`));
      await person.act();
    }
    await person.end();

    const report = await local.settled(COUNT * 10_000 + 3 * MINUTES);
    console.log(`${person.summary}; the fleet: ${JSON.stringify(countsOf(report.nodes))}`);
    await expectScreensEqualApi(local, { page, fleet, node, history, nodes: [25, 29, 1, 4].map(demoNode) });

    // Whoever commits by the browser is named, and each commit that names the person was told to the browser.
    const commits = await commitsOfAlice();
    const wrong = [...commits.values()].filter((who) => who !== `${ALICE.name} <${ALICE.email}> as operator`);
    expect(wrong).toEqual([]);
    expect([...commits.keys()].toSorted()).toEqual([...new Set(person.commits)].toSorted());
    expect(person.commits.length).toBeGreaterThan(5);
    expect([...said, ...person.said].filter((line) => !OF_CHROMIUM.test(line))).toEqual([]);
    expect(person.unexpected).toEqual([]);
  },
);

function countsOf(nodes: readonly { readonly state: string }[]): Record<string, number> {
  const groups = Map.groupBy(nodes, ({ state }) => state);
  return Object.fromEntries([...groups].map(([state, { length }]) => [state, length]));
}
