// Attacks of strangers on a person's browser: text that would be a script, a page of another port, a token to find.

import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalRun, NODES } from '../support/local.ts';
import { startUi, type UiRun } from '../support/ui.ts';
import { expectShown, launchBrowser, openUi, type OpenPage } from './browser.ts';

/** Text that would be a script, were it markup. */
const SCRIPT = '<img src=x onerror=alert(1)><script>alert(2)</script>';
/** Text that is not what it seems, were it markup, and that a port may have. */
const PORT = 'port &lt;b&gt; "x" \'y\'';
/** git takes brackets out of the names of authors. */
const AUTHOR = '&lt;b&gt; "x" of strangers';

let local: LocalRun;
let browser: Browser;
let ui: UiRun;
let opened: OpenPage;

beforeAll(async () => {
  [local, browser] = await Promise.all([LocalRun.start({ args: ['--drift', 'report'] }), launchBrowser()]);
  ui = await startUi(local.dir);
  opened = await openUi(browser, ui);
});
afterAll(async () => {
  await browser.close();
  await ui[Symbol.asyncDispose]();
  await local[Symbol.asyncDispose]();
});

/** Opens a screen, and waits until the text stands there, if one is given. */
async function expectText(hash: string, text: string): Promise<void> {
  const { page, said } = opened;
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  if (text !== '') await page.getByText(text).first().waitFor();
  expect(await page.locator('img, main script').count()).toBe(0);
  // The browser itself writes a line for each refusal of the controller.
  expect(said.filter((line) => !/responded with a status of 4\d\d/.test(line))).toEqual([]);
}

describe('text is shown as text', () => {
  test('of addresses, names and IDs of nodes', async () => {
    await local.editConfig((spec) => {
      spec.nodeConfigs[1]!.interfaces![0]!.address = SCRIPT;
      spec.nodeConfigs.push({ attachedNodeId: SCRIPT, attachedNodeName: SCRIPT, interfaces: [] });
    });
    await expectText('#/attention', `nodeConfigs[1].interfaces[0].address: is "${SCRIPT}"`);
    await expectText('#/fleet', `nodeConfigs[3].attachedNodeId: is "${SCRIPT}"`);
  });

  test('of names of ports and of labels', async () => {
    await local.editConfig((spec, config) => {
      Object.assign(config.metadata, { labels: { [SCRIPT]: SCRIPT } });
      config.metadata.annotations = { note: SCRIPT };
      // A port alone makes no commit.
      Object.assign(spec.nodeConfigs[0]!.interfaces![0]!, { portId: PORT, mtu: 1480 });
      spec.nodeConfigs[2]!.interfaces![0]!.portId = SCRIPT;
    });
    await expectText('#/attention', `nodeConfigs[2].interfaces[0].portId: is "${SCRIPT}"`);
    await expectText(`#/node/${NODES[0]}?compare=points`, PORT);
    await expectText('#/fleet', SCRIPT);
    await expectText('#/history', '');
    await local.editConfig((spec) => {
      spec.nodeConfigs[2]!.interfaces![0]!.portId = 'port';
    });
  });

  test('of messages, authors and files of commits', async () => {
    const copy = await local.clone();
    await copy.switch(NODES[0]);
    const file = join(copy.dir, 'etc/netplan/90-multinic0.yaml');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/mtu: \d+/, 'mtu: 1410').replace(PORT, `${PORT} again`));
    await copy.git('commit', '-qam', `subject ${SCRIPT}`, `--author=${AUTHOR} <stranger@example.org>`);
    await copy.push(NODES[0]);
    await local.settled();
    await expectText(`#/node/${NODES[0]}?compare=points`, `subject ${SCRIPT}`);
    await expectText(`#/node/${NODES[0]}?compare=points`, `${PORT} again`);
    await expectText(`#/node/${NODES[0]}`, AUTHOR);
    await expectText(`#/history?node=${NODES[0]}`, `subject ${SCRIPT}`);
    await expectText('#/history', '');
  });

  test('of names of files on a host and in the home', async () => {
    const name = `99-${SCRIPT.slice(0, SCRIPT.indexOf('<', 1))}.yaml`;
    const mac = (await local.config()).spec.nodeConfigs[0]!.interfaces![0]!.macAddress;
    const foreign = join(local.hostRoot(NODES[0]), 'etc/netplan', name);
    await writeFile(
      foreign,
      `network:\n  version: 2\n  ethernets:\n    other:\n      match: { macaddress: "${mac}" }\n      addresses: [10.0.0.1/24]\n`,
      { mode: 0o600 },
    );
    await local.editConfig((spec) => {
      spec.nodeConfigs[0]!.interfaces![0]!.mtu = 1470;
    });
    await expectText('#/attention', name);
    await rm(foreign);
    const broken = join(local.dir, 'crs', name);
    await writeFile(broken, `${SCRIPT}: [`);
    await expectText('#/attention', `crs/${name}`);
    await rm(broken);
  });

  test('of the person who gives a command', async () => {
    await using strange = await startUi(local.dir, {
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'user.name',
      GIT_CONFIG_VALUE_0: SCRIPT,
    });
    const { page, said } = await openUi(browser, strange);
    await page.evaluate(`location.hash = '#/node/${NODES[2]}'`);
    await page.getByText('operator', { exact: true }).click();
    await expectShown(page.locator('.panel').getByText(SCRIPT));
    await page.getByRole('button', { name: 'Pause' }).click();
    const dialog = page.getByRole('dialog');
    await expectShown(dialog.getByText(`The commit names ${SCRIPT}, as operator.`));
    await dialog.getByRole('button', { name: 'Pause' }).click();
    await expectShown(dialog.getByText('Done.'));
    await page.keyboard.press('Escape');
    await expectShown(page.getByText(`pause requested by ${SCRIPT}`));
    expect(await page.locator('img, main script').count()).toBe(0);
    expect(said).toEqual([]);
    await page.context().close();
  });

  test('of the address of the page', async () => {
    await expectText(`#/node/${encodeURIComponent(SCRIPT)}`, SCRIPT);
    await expectText(`#/change/${encodeURIComponent(SCRIPT)}`, SCRIPT.slice(0, 10));
    await expectText(`#/fleet?q=${encodeURIComponent(SCRIPT)}`, '');
    expect(await opened.page.getByRole('searchbox').inputValue()).toBe(SCRIPT);
  });
});

/** A page of another port of this host, which a browser calls same-site. */
async function pageOfAnotherPort(): Promise<Page> {
  const page = await opened.page.context().newPage();
  await page.route('http://127.0.0.1:9/**', (route) =>
    route.fulfill({ body: '<h1>elsewhere</h1>', contentType: 'text/html' }),
  );
  await page.goto('http://127.0.0.1:9/');
  return page;
}

test('a page of another port cannot use the proxy of the browser that is signed in', async () => {
  const page = await pageOfAnotherPort();
  const asked: string[] = [];
  const statuses: number[] = [];
  page.on('request', (request) => asked.push(`${request.method()} ${request.url()}`));
  page.on('response', (response) => statuses.push(response.status()));
  const url = new URL(`../api/v1/nodes/${NODES[1]}/pause`, ui.page).href;
  // The browser sends the cookie along, and the page may send no header of its own.
  for (const method of ['POST', 'GET'])
    await page.evaluate(
      `fetch('${url}', { method: '${method}', mode: 'no-cors', credentials: 'include' }).catch(() => undefined)`,
    );
  expect(asked).toEqual([`POST ${url}`, `GET ${url}`]);
  expect(statuses.filter((status) => status !== 403)).toEqual([]);
  const answered = page.waitForResponse(url);
  await page.setContent(`<form method="post" action="${url}"><button>go</button></form>`);
  await page.getByRole('button').click();
  expect((await answered).status()).toBe(403);
  expect((await local.node(NODES[1])).paused).not.toBe(true);
  await page.close();
});

/** Everything that the browser keeps: addresses of its history, storage, cookies. */
async function keptBy(page: Page): Promise<string> {
  const history = await (await page.context().newCDPSession(page)).send('Page.getNavigationHistory');
  const addresses = history.entries.map(({ url }) => url);
  const storage = await page.evaluate(() => [{ ...localStorage }, { ...sessionStorage }]);
  return JSON.stringify([addresses, storage, await page.context().cookies()]);
}

test('a typed token is in memory alone, and is asked for again', async () => {
  const token = await local.token();
  const context = await browser.newContext({ locale: 'en' });
  const page = await context.newPage();
  const asked: string[] = [];
  const said: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('console', (message) => said.push(message.text()));
  await page.goto(`${local.url}/ui/`);
  await page.getByLabel('Token').fill('wrong');
  await page.keyboard.press('Enter');
  await expectShown(page.getByText('The controller does not know this token.'));
  await page.getByLabel('Token').fill(token);
  await page.route('**/api/v1/version', (route) => route.abort());
  await page.keyboard.press('Enter');
  await expectShown(page.getByText('The controller does not answer now.'));
  await page.unroute('**/api/v1/version');
  await page.keyboard.press('Enter');
  await expectShown(page.getByText('live', { exact: true }));
  await page.getByRole('link', { name: 'Fleet' }).click();
  await page.getByRole('link', { name: NODES[0] }).click();
  await page.getByRole('heading', { name: 'NICs' }).waitFor();
  expect(asked.length).toBeGreaterThan(5);
  for (const text of [...asked, ...said, await keptBy(page), await page.content(), local.output])
    expect(text).not.toContain(token);
  await page.reload();
  await expectShown(page.getByLabel('Token'));
  await context.close();
});

test('the secret of the link is neither in the history of the browser nor in what it keeps', async () => {
  const kept = await keptBy(opened.page);
  expect(kept).toContain(ui.page);
  expect(kept).not.toContain(ui.link.hash.slice('#key='.length));
  expect(kept).not.toContain(await local.token());
});
