// `multinic ui`: opens the web UI of a controller in a browser on this machine.

import type { Command } from 'commander';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Api } from './api-client.ts';
import { whoAmI } from './change.ts';
import { port } from './option-values.ts';
import { paint, print } from './output.ts';
import {
  clusterClient,
  describeCluster,
  openApi,
  targetOf,
  withConnection,
  type ConnectionFlags,
  type Target,
} from './target.ts';

interface Flags extends ConnectionFlags {
  readonly port: number;
  readonly open: boolean;
}

/**
 * Pauses or resumes a node with the person's own right to annotate Nodes, because a cluster's controller has no such
 * right.
 * @returns undefined: the controller carries the command out
 */
async function pauseByPerson({ client }: Api, path: string, body: string): Promise<object | undefined> {
  const [, name = '', what] = /^\/api\/v1\/nodes\/([^/]+)\/(pause|resume)$/.exec(path) ?? [];
  if (client === undefined || what === undefined) return undefined;
  const asked = readPause(name, body);
  // A body that is no request goes to the controller, which refuses it.
  if (asked === undefined) return undefined;
  const { node, dryRun } = asked;
  if (dryRun) {
    const change =
      what === 'pause' ? 'is paused: commits go on, no run starts' : 'is resumed: runs start again';
    return { dryRun: true, nodes: [{ node, change }], moved: [], skipped: [] };
  }
  const { setPausedByPerson } = await import('../kube/pause.ts');
  await setPausedByPerson(client, { node, paused: what === 'pause' });
  return { node };
}

function readPause(
  name: string,
  body: string,
): { readonly node: string; readonly dryRun: boolean } | undefined {
  try {
    const { dryRun } = JSON.parse(body) as { readonly dryRun?: unknown };
    return { node: decodeURIComponent(name), dryRun: dryRun === true };
  } catch {
    return undefined;
  }
}

/** A token for a cluster's store is valid for ten minutes. */
const RENEW_AFTER_MS = 5 * 60_000;

export function addUiCommand(program: Command): void {
  withConnection(program.command('ui').description('the web UI, in a browser on this machine'))
    .option('--port <port>', 'on 127.0.0.1; 0: any', port, 0)
    .option('--no-open', 'only print the link, and start no browser')
    .addHelpText(
      'after',
      `
The browser gets no token: a proxy on 127.0.0.1 has it, and answers the one browser that opened
the link.

Examples:
  multinic ui -C DIR
  multinic ui --cluster`,
    )
    .action(async (flags: Flags) => {
      const { UiProxy } = await import('./ui-proxy.ts');
      const target = targetOf(flags);
      const named = target.kind === 'cluster' ? { ...flags, cluster: true as const } : flags;
      await using proxy = await UiProxy.start({
        open: () => openApi(named),
        renewAfterMs: target.kind === 'cluster' ? RENEW_AFTER_MS : Infinity,
        where: await whereOf(target, flags),
        author: (api) => whoAmI(flags, api),
        port: flags.port,
        byPerson: pauseByPerson,
      });
      const { link } = proxy;
      print(`${paint.bold('multinic')} ui: ${link}`);
      print('the link works once, in one browser; Ctrl-C ends it');
      await using _ = await (flags.open && hasDisplay() ? openBrowser(link) : undefined);
      const abort = new AbortController();
      const signals = ['SIGINT', 'SIGTERM'].map((name) => once(process, name, { signal: abort.signal }));
      await Promise.race(signals);
      abort.abort();
      await Promise.allSettled(signals);
    });
}

async function whereOf(target: Target, flags: Flags): Promise<string> {
  if (target.kind === 'home') return target.dir;
  if (target.kind === 'server') return target.url;
  return describeCluster(await clusterClient(flags), flags);
}

function hasDisplay(): boolean {
  return process.platform === 'darwin' || Boolean(process.env['DISPLAY'] ?? process.env['WAYLAND_DISPLAY']);
}

/**
 * Starts the person's browser. The secret stands in a file that only this person can read, because everyone on the
 * machine can read a command line.
 */
async function openBrowser(link: string): Promise<AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-ui-'));
  const file = join(folder, 'open.html');
  const page = `<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=${link}"><a href="${link}">multinic ui</a>\n`;
  await writeFile(file, page, { mode: 0o600 });
  const { execa } = await import('execa');
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open';
  await execa(program, [pathToFileURL(file).href], { stdio: 'ignore', reject: false, timeout: 10_000 });
  return { [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
