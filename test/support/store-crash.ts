// Kills a writer, or its git, at an instant that the test names, and checks the store afterwards.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'vitest';
import { Store } from '../../src/store/store.ts';
import { valuesOf, writeValue } from './store-values.ts';

interface WriterLine {
  readonly event: 'open' | 'acknowledged' | 'failed' | 'fenced';
  readonly value: number;
  readonly code: string;
  readonly values: readonly number[];
}

/** A writer process and what it said. */
export interface Writer {
  readonly process: ChildProcess;
  readonly lines: WriterLine[];
  /** Resolves with the first line that `wanted` accepts. */
  line(wanted: (line: WriterLine) => boolean): Promise<WriterLine>;
  /** How it ended. */
  readonly end: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const running = new Set<ChildProcess>();

export async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-store-'));
  try {
    await test(folder);
  } finally {
    // Kills writers that a failed test may have left.
    for (const child of running)
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    running.clear();
    await rm(folder, { recursive: true, force: true });
  }
}

export function startWriter(
  dir: string,
  batches: number,
  env: Record<string, string> = {},
  prefix: string[] = [],
): Writer {
  const script = join(import.meta.dirname, 'store-writer.ts');
  const [file = '', ...args] = [...prefix, process.execPath, script, dir, String(batches)];
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(child);
  const lines: WriterLine[] = [];
  const waiting: { wanted: (line: WriterLine) => boolean; resolve: (line: WriterLine) => void }[] = [];
  createInterface(child.stdout).on('line', (text) => {
    const line = JSON.parse(text) as WriterLine;
    lines.push(line);
    for (const { wanted, resolve } of waiting) if (wanted(line)) resolve(line);
  });
  const end = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }));
  return {
    process: child,
    lines,
    end,
    line: async (wanted) => {
      const found = lines.find(wanted);
      if (found !== undefined) return found;
      return Promise.race([
        new Promise<WriterLine>((resolve) => waiting.push({ wanted, resolve })),
        end.then((how) => Promise.reject(new Error(`the writer ended first: ${JSON.stringify(how)}`))),
      ]);
    },
  };
}

/** The last acknowledged value; 0: none. */
export function acknowledged(writer: Writer): number {
  return Math.max(
    0,
    ...writer.lines.filter(({ event }) => event === 'acknowledged').map(({ value }) => value),
  );
}

/**
 * Checks the store after any kill: the store opens, fsck is clean, no stale lock and no temporary file is left, each
 * ref is wholly at the value that was acknowledged last or at the next, and a further write works.
 *
 * @returns the value of each ref as the kill left it
 */
export async function expectRecovered(dir: string, last: number): Promise<number[]> {
  const store = await Store.open(dir);
  try {
    expect(await leftovers(dir)).toEqual([]);
    await store.fsck();
    const values = await valuesOf(store.reader);
    for (const value of values) expect([last, last + 1]).toContain(value);
    const next = Math.max(...values) + 1;
    await writeValue(store, next);
    expect(new Set(await valuesOf(store.reader))).toEqual(new Set([next]));
    return values;
  } finally {
    await store.close();
  }
}

/** Files that exist only while git works. */
export async function leftovers(dir: string): Promise<string[]> {
  const paths = await readdir(dir, { recursive: true });
  return paths.filter((path) => {
    const name = basename(path);
    if (path === 'multinic.lock') return false;
    return /\.lock$|^\.?tmp[_-]|^fast_import_crash|^multinic-spool|^incoming-/.test(name);
  });
}

/**
 * A `git` for the PATH that dies by SIGKILL at the nth system call of a kind, once, in the subcommand named.
 * strace kills it at the entry of the call.
 */
export async function deadlyGit(
  folder: string,
  kill: { command: string; syscall: string; nth: number },
): Promise<{ env: Record<string, string>; arm: () => Promise<void>; killed: () => boolean }> {
  const bin = join(folder, 'bin');
  const armed = join(folder, 'armed');
  const done = join(folder, 'killed');
  await mkdir(bin);
  const path = process.env['PATH'] ?? '';
  const inject = `-e trace=${kill.syscall} -e inject=${kill.syscall}:signal=KILL:when=${kill.nth}`;
  await writeFile(
    join(bin, 'git'),
    `#!/bin/sh
PATH='${path}'
case "$*" in
*${kill.command}*)
  if [ -e '${armed}' ] && [ ! -e '${done}' ]; then
    touch '${done}'
    exec strace -f -qq -o /dev/null ${inject} git "$@"
  fi ;;
esac
exec git "$@"
`,
  );
  await chmod(join(bin, 'git'), 0o755);
  return {
    env: { PATH: `${bin}:${path}` },
    arm: () => writeFile(armed, ''),
    killed: () => existsSync(done),
  };
}
