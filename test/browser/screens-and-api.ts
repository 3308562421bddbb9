// The screens of the web UI beside the answers of the API, read from the page as a person would.

import { isDeepStrictEqual } from 'node:util';
import type { Page } from 'playwright-core';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import { activityOf } from '../../src/controller/condition.ts';
import type { LogEntry } from '../../src/ui/live/answers.ts';
import type { LocalRun } from '../support/local.ts';

interface Windows {
  /** A window to open screens in. */
  readonly page: Page;
  /** A window that has had the fleet since it was opened, tall enough for all rows. */
  readonly fleet: Page;
  /** A window that has had a node since it was opened. */
  readonly node: Page;
  /** A window that has had the history since it was opened. */
  readonly history: Page;
  /** Nodes to look at one by one. */
  readonly nodes: readonly string[];
}

const WITHIN_MS = 60_000;

/** The page takes what is new from the stream, a moment after the API has it. */
async function expectEqual<T>(screen: () => Promise<T>, api: () => Promise<T>): Promise<void> {
  for (const end = Date.now() + WITHIN_MS; ; await pause(250)) {
    const [shown, told] = [await screen(), await api()];
    if (isDeepStrictEqual(shown, told)) return;
    if (Date.now() > end) return expect(shown).toStrictEqual(told);
  }
}

export async function expectScreensEqualApi(
  local: LocalRun,
  { page, fleet, node, history, nodes }: Windows,
): Promise<void> {
  await expectEqual(
    () => fleetOn(fleet),
    () => fleetOf(local),
  );
  await expectEqual(
    () => nodeOn(node),
    () => nodeOf(local, nodes[0]!),
  );
  for (const name of nodes) {
    await go(page, `#/node/${name}`);
    await expectEqual(
      () => nodeOn(page),
      () => nodeOf(local, name),
    );
  }
  await go(page, '#/attention');
  await expectEqual(
    () => attentionOn(page),
    () => attentionOf(local),
  );
  await expectEqual(
    () => commitsOn(history),
    () => historyOf(local),
  );
  const { main } = (await local.status())!;
  await go(page, `#/change/${main}`);
  await expectEqual(
    () => changeOn(page),
    () => changeOf(local, main),
  );
}

async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
  await page.locator('main h1').waitFor();
}

const FLAGS = ['held', 'paused', 'drifted'] as const;

/** Cells of the fleet's rows by the name of the node. */
async function fleetOn(page: Page): Promise<Record<string, string>> {
  const rows = await page.locator('table.fleet tbody tr:not(.gap)').evaluateAll((all) =>
    all.map((row) => {
      const text = (column: string): string => row.querySelector(`.col-${column}`)?.textContent?.trim() ?? '';
      const classes = (selector: string): string[] =>
        [...row.querySelectorAll(selector)].flatMap((each) => each.className.split(' ').slice(1));
      const names = [...classes('.state'), ...classes('.flag')].map((name) => name.replace(/^\w+-/, ''));
      return [text('node'), ...names, text('reason'), text('desired'), text('applied')];
    }),
  );
  return Object.fromEntries(rows.map(([name = '', ...cells]) => [name, cells.join(' | ')]));
}

async function fleetOf(local: LocalRun): Promise<Record<string, string>> {
  const { nodes } = (await local.status())!;
  return Object.fromEntries(
    nodes.map((node) => {
      const flags = FLAGS.filter((flag) => node[flag] === true);
      const why = `${node.reason ?? ''} ${node.message ?? ''}`.trim();
      const commits = [node.desiredCommit, node.appliedCommit].map((commit) => commit?.slice(0, 8) ?? '–');
      const name = node.node ?? (node.attachedNodeName || node.attachedNodeId);
      return [name, [node.state, ...flags, why, ...commits].join(' | ')];
    }),
  );
}

interface NodeSides {
  readonly state: string | undefined;
  readonly flags: readonly string[];
  readonly desired: readonly string[];
  readonly host: readonly string[];
  readonly commits: readonly string[];
  readonly files: Readonly<Record<string, string>>;
}

async function nodeOn(page: Page): Promise<NodeSides> {
  const nics = (column: number): Promise<string[]> =>
    page.locator(`table.nics tbody td:nth-of-type(${column}) .nic-words`).evaluateAll((all) =>
      all.map((each) =>
        [...each.children]
          .slice(0, 3)
          .map(({ textContent }) => textContent)
          .join(' '),
      ),
    );
  const classes = (selector: string): Promise<string[]> =>
    page
      .locator(`main .head ${selector}`)
      .evaluateAll((all) => all.map(({ className }) => className.replace(/^.*-/, '')));
  const files = await page
    .locator('main .file')
    .evaluateAll((all) =>
      all.map((each) => [
        each.querySelector('summary')?.textContent ?? '',
        each.querySelector('pre')?.textContent ?? '',
      ]),
    );
  return {
    state: (await classes('.state'))[0],
    flags: await classes('.flag'),
    desired: (await nics(2)).toSorted(),
    host: (await nics(3)).toSorted(),
    commits: await commitsOn(page),
    files: Object.fromEntries(files) as Record<string, string>,
  };
}

interface Nic {
  readonly name: string;
  readonly address?: string;
  readonly prefix?: number;
  readonly mtu: number;
}

async function nodeOf(local: LocalRun, name: string): Promise<NodeSides> {
  const [view, answer, host, log] = await Promise.all([
    local.node(name),
    local.api<{ network: Nic[]; files: Record<string, string> }>(`/nodes/${name}`),
    local.api<{ network: Nic[] }>(`/nodes/${name}/host`),
    local.api<LogEntry[]>(`/nodes/${name}/log?limit=100`),
  ]);
  const words = (nics: readonly Nic[]): string[] =>
    nics.map((nic) => `${nic.name} ${nic.address}/${nic.prefix} MTU ${nic.mtu}`).toSorted();
  return {
    state: view.state,
    flags: FLAGS.filter((flag) => view[flag] === true),
    desired: words(answer.network),
    host: words(host.network),
    commits: log.map(({ commit }) => commit.slice(0, 8)),
    files: answer.files,
  };
}

function commitsOn(page: Page): Promise<string[]> {
  return page
    .locator('.timeline li .event-line.soft > code')
    .evaluateAll((all) => all.map(({ textContent }) => textContent ?? ''));
}

async function historyOf(local: LocalRun): Promise<string[]> {
  const { entries } = await local.api<{ entries: { commit: string }[] }>('/history?limit=200');
  return entries.map(({ commit }) => commit.slice(0, 8));
}

/** Reasons of the groups that wait for a person, and the number of their nodes. */
async function attentionOn(page: Page): Promise<Record<string, number>> {
  const groups = await page
    .locator('main > section > article.card:has(h2 .code)')
    .evaluateAll((all) =>
      all.map((card) => [
        card.querySelector('h2 .code')?.textContent ?? '',
        Number(card.querySelector('h2 .many')?.textContent?.replaceAll(/\D/g, '')),
      ]),
    );
  const sums: Record<string, number> = {};
  for (const [reason, count] of groups as [string, number][]) sums[reason] = (sums[reason] ?? 0) + count;
  return sums;
}

async function attentionOf(local: LocalRun): Promise<Record<string, number>> {
  const { nodes } = (await local.status())!;
  const waiting = nodes.filter((node) => activityOf(node) === 'stuck');
  const groups = Map.groupBy(waiting, ({ reason, state }) => reason ?? state);
  return Object.fromEntries([...groups].map(([reason, { length }]) => [reason, length]));
}

/** Nodes that are configured and all nodes, of those that follow the change; those that moved on. */
async function changeOn(page: Page): Promise<readonly string[]> {
  const progress = await page
    .locator('main progress')
    .evaluateAll((all) => all.map((each) => `${each.getAttribute('value')} of ${each.getAttribute('max')}`));
  const more = page.locator('main .names button');
  while ((await more.count()) > 0) await more.first().click();
  const names = await page.locator('main .names a').allTextContents();
  return [...progress, ...names.toSorted()];
}

async function changeOf(local: LocalRun, main: string): Promise<readonly string[]> {
  interface Change {
    readonly groups: readonly { readonly nodes: readonly { readonly node: string }[] }[];
    readonly movedOn: readonly string[];
  }
  const [{ nodes }, { groups, movedOn }] = await Promise.all([
    local.status().then((report) => report!),
    local.api<Change>(`/changes/${main}`),
  ]);
  const follow = groups.flatMap((group) => group.nodes.map(({ node }) => node));
  const done = nodes.filter(({ node, state }) => state === 'Configured' && follow.includes(node ?? ''));
  const progress = follow.length === 0 ? [] : [`${done.length} of ${follow.length}`];
  return [...progress, ...[...follow, ...movedOn].toSorted()];
}
