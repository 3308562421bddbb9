// A person who chooses at random what to do next in the web UI. The same seed makes the same choices where the fleet does
// the same. Structure finds the parts of the page, not words: the person may change the language.

import type { Locator, Page, Response } from 'playwright-core';

interface Options {
  /** Numbers from 0 to 1. */
  readonly random: () => number;
  readonly nodes: readonly string[];
  /** Nodes to whom more happens than to others. */
  readonly favourites: readonly string[];
  /** Nodes without a commit: their screen has no commands. */
  readonly without: readonly string[];
}

/** A command that was not a dry run. */
interface Command {
  readonly path: string;
  readonly status: number;
  readonly code: string | undefined;
  readonly commits: readonly string[];
}

/** Patience for an answer, on a machine that other work shares. */
const PATIENCE_MS = 30_000;
/** A button may go away while the person moves to it. */
const CLICK_MS = 3_000;
/** Codes of commands that came too late, or that make no sense for a node in its present state. */
const REFUSED = [
  'NothingToRollBack',
  'NotHeld',
  'NothingToRetry',
  'NothingToAccept',
  'NothingToConfirm',
  'DriftOutdated',
  'TakesAllInterfaces',
  'UpToDate',
];

export class RandomPerson {
  /** Commits that commands told of. */
  readonly commits: string[] = [];
  /** Errors of the pages and lines of their consoles. */
  readonly said: string[] = [];
  /** Answers that no person should get from what the page offers. */
  readonly unexpected: string[] = [];
  readonly #page: Page;
  readonly #options: Options;
  readonly #commands: Command[] = [];
  readonly #done = new Map<string, number>();
  #reading: Promise<void>[] = [];

  constructor(page: Page, options: Options) {
    this.#page = page;
    this.#options = options;
    this.hear(page);
  }

  /** Takes part of what a window asks and says. */
  hear(page: Page): void {
    page.on('response', (response) => void this.#reading.push(this.#read(response)));
    if (page === this.#page) return;
    page.on('console', (message) => this.said.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => this.said.push(String(error)));
  }

  get summary(): string {
    const accepted = this.#commands.filter(({ status }) => status < 300);
    const kinds = Map.groupBy(accepted, ({ path }) => path.split('/').at(-1)!);
    const commands = [...kinds].map(([kind, { length }]) => `${length} ${kind}`).toSorted();
    const actions = [...this.#done].map(([name, count]) => `${count} ${name}`).toSorted();
    return `${actions.join(', ')}; of ${this.#commands.length} commands were accepted ${commands.join(', ')}`;
  }

  /** Does one thing that is possible now. */
  async act(): Promise<void> {
    const [name, action] = this.#pick(ACTIONS);
    await action.call(this);
    this.#done.set(name, (this.#done.get(name) ?? 0) + 1);
    await this.#whole();
  }

  /** Closes what is open, and reads the answers that are under way. */
  async end(): Promise<void> {
    await this.#page.setViewportSize({ width: 1280, height: 800 });
    await this.#whole();
    await Promise.all(this.#reading);
  }

  /** The page still has its navigation and one screen, and no dialog stands before it. */
  async #whole(): Promise<void> {
    await this.#page.locator('header nav a[aria-current], main .crumbs').first().waitFor();
    await this.#page.locator('main h1').waitFor({ timeout: PATIENCE_MS });
    await this.#page.locator('dialog').waitFor({ state: 'detached' });
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#options.random() * from.length)]!;
  }

  async #go(hash: string): Promise<void> {
    await this.#page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
    await this.#page.locator('main h1').waitFor();
  }

  /** Clicks one of these, if there is any. @returns false: there was none, or it went away */
  async #clickOne(choice: Locator): Promise<boolean> {
    const count = await choice.count();
    if (count === 0) return false;
    const at = Math.floor(this.#options.random() * count);
    return choice
      .nth(at)
      .click({ timeout: CLICK_MS })
      .then(
        () => true,
        () => false,
      );
  }

  async openTab(): Promise<void> {
    await this.#clickOne(this.#page.locator('header nav a'));
  }

  /** @returns whether the node has commits */
  async openNode(): Promise<boolean> {
    const { nodes, favourites, without } = this.#options;
    const node = this.#pick(this.#options.random() < 0.5 ? favourites : nodes);
    await this.#go(`#/node/${node}`);
    const has = !without.includes(node);
    const shown = has ? '#timeline-title' : 'main .card';
    await this.#page.locator(shown).waitFor({ timeout: PATIENCE_MS });
    return has;
  }

  async searchFleet(): Promise<void> {
    await this.#go('#/fleet');
    const words = ['edge', '192.168.100', 'drifted', 'multinic', '', this.#pick(this.#options.nodes)];
    await this.#page.getByRole('searchbox').fill(this.#pick(words));
  }

  async sortAndFilterFleet(): Promise<void> {
    await this.#go('#/fleet');
    await this.#clickOne(this.#page.locator('.filters button'));
    await this.#clickOne(this.#page.locator('table.fleet thead button'));
    await this.#clickOne(this.#page.locator('table.fleet tbody a'));
  }

  async commandNode(): Promise<void> {
    if (!(await this.openNode())) return;
    // The buttons follow the answers of the API.
    await this.#page.locator('main .buttons').waitFor({ timeout: PATIENCE_MS });
    await this.#command(this.#page.locator('main .buttons button:enabled'));
  }

  async rollBack(): Promise<void> {
    if (!(await this.openNode())) return;
    await this.#command(this.#page.locator('.timeline button:enabled'));
  }

  async commandAttention(): Promise<void> {
    await this.#go('#/attention');
    await this.#command(this.#page.locator('main .buttons button:enabled, main .head button:enabled'));
  }

  async openChange(): Promise<void> {
    await this.#go('#/history');
    await this.#page.locator('.timeline a[href^="#/change/"]').first().waitFor({ timeout: PATIENCE_MS });
    if (!(await this.#clickOne(this.#page.locator('.timeline a[href^="#/change/"]')))) return;
    await this.#page.locator('main .buttons').waitFor({ timeout: PATIENCE_MS });
    await this.#clickOne(this.#page.locator('main details summary'));
    if (this.#options.random() < 0.3) await this.#command(this.#page.locator('main .buttons button:enabled'));
  }

  async compare(): Promise<void> {
    await this.openNode();
    for (let side = 0; side < 2; side += 1) await this.#clickOne(this.#page.locator('.timeline .points a'));
    await this.#clickOne(this.#page.locator('.file summary'));
  }

  async searchHistory(): Promise<void> {
    await this.#go('#/history');
    const author = this.#page.locator('form input[type=text]').first();
    await author.fill(this.#pick(['Alice', 'operator', '']));
    await author.blur();
    const node = this.#page.locator('form input[list]');
    await node.fill(this.#pick(['', this.#pick(this.#options.nodes)]));
    await node.blur();
  }

  async reload(): Promise<void> {
    await Promise.all(this.#reading);
    await this.#page.reload();
  }

  async goBack(): Promise<void> {
    // The first entry is the page itself: before it there is none.
    if (await this.#page.evaluate('history.length > 3')) await this.#page.goBack({ waitUntil: 'commit' });
  }

  async resize(): Promise<void> {
    await this.#page.setViewportSize({ width: this.#pick([360, 800, 1280]), height: this.#pick([600, 900]) });
  }

  async prefer(): Promise<void> {
    await this.#page.locator('.settings summary').click();
    await this.#clickOne(this.#page.locator('.settings .choice button'));
    await this.#page.locator('.settings summary').click();
  }

  /** Gives the command of a button, or thinks better of it. */
  async #command(buttons: Locator): Promise<void> {
    if (!(await this.#clickOne(buttons))) return;
    const dialog = this.#page.locator('dialog');
    const primary = dialog.locator('.primary');
    await primary.or(dialog.locator('.trouble')).first().waitFor({ timeout: PATIENCE_MS });
    const possible = (await primary.count()) === 1 && (await primary.isEnabled());
    if (possible && this.#options.random() < 0.8) {
      await primary.click();
      await primary.waitFor({ state: 'detached', timeout: PATIENCE_MS });
      const danger = dialog.locator('.danger');
      if ((await danger.count()) === 1 && this.#options.random() < 0.5) {
        await danger.click();
        await danger.waitFor({ state: 'detached', timeout: PATIENCE_MS });
      }
    }
    if (this.#options.random() < 0.5) await this.#page.keyboard.press('Escape');
    else await dialog.locator('.buttons button').first().click();
    await dialog.waitFor({ state: 'detached' });
  }

  async #read(response: Response): Promise<void> {
    const request = response.request();
    const { pathname } = new URL(response.url());
    const path = pathname.replace(/^.*\/api\/v1/, '');
    const status = response.status();
    if (request.method() !== 'POST' || !pathname.includes('/api/v1')) {
      if (status >= 400) this.unexpected.push(`${request.method()} ${path}: ${status}`);
      return;
    }
    const { dryRun = false } = request.postDataJSON() as { dryRun?: boolean };
    const answer = (await response.json().catch(() => ({}))) as Answer;
    if (status >= 400 && !REFUSED.includes(answer.code ?? ''))
      this.unexpected.push(`POST ${path}: ${status} ${answer.code} ${answer.message}`);
    if (dryRun) return;
    const commits = [answer.commit, ...(answer.moved ?? []).map(({ commit }) => commit)].flatMap(
      (commit) => commit ?? [],
    );
    this.#commands.push({ path, status, code: answer.code, commits });
    this.commits.push(...commits);
  }
}

interface Answer {
  readonly code?: string;
  readonly message?: string;
  readonly commit?: string;
  readonly moved?: readonly { readonly commit?: string }[];
}

const { prototype } = RandomPerson;
/** Actions by name; those that stand twice come twice as often. */
const ACTIONS: readonly (readonly [string, (this: RandomPerson) => Promise<unknown>])[] = [
  ['tabs', prototype.openTab],
  ['nodes', prototype.openNode],
  ['searches', prototype.searchFleet],
  ['sorts', prototype.sortAndFilterFleet],
  ['commands of nodes', prototype.commandNode],
  ['commands of nodes', prototype.commandNode],
  ['commands of nodes', prototype.commandNode],
  ['commands of nodes', prototype.commandNode],
  ['rollbacks', prototype.rollBack],
  ['rollbacks', prototype.rollBack],
  ['commands of Attention', prototype.commandAttention],
  ['changes', prototype.openChange],
  ['comparisons', prototype.compare],
  ['searches of the history', prototype.searchHistory],
  ['reloads', prototype.reload],
  ['steps back', prototype.goBack],
  ['sizes', prototype.resize],
  ['preferences', prototype.prefer],
];
