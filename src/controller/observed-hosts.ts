// Remembers the time and the boot of each host's newest observation: `observed.json` beside the store. If the file is
// lost, each host is observed again within one interval.

import * as z from 'zod';
import type { Logger } from 'pino';
import { LOOK_RESULTS, type Seen } from '../scheduler/observe-due.ts';

/** The store of the text, which may lose it. */
export interface SmallFile {
  read(): Promise<string | undefined>;
  write(text: string): Promise<void>;
}

const SAVED_EVERY_MS = 30_000;

/** The file keeps an older spelling of the machine ID. */
const ids = {
  bootID: z.string(),
  machineID: z.string(),
  systemUUID: z.string(),
  print: z.string().optional(),
};
const SeenHost = z
  .object({
    ...ids,
    at: z.number(),
    result: z.enum(LOOK_RESULTS),
    reason: z.string(),
    bootBefore: z.string(),
    run: z.string(),
    asked: z.number(),
    retryAt: z.number(),
    failures: z.number(),
    begun: z.object({ ...ids, at: z.number().optional(), job: z.string().optional() }),
    baseline: z.literal(true),
  })
  .partial();
const File = z.object({ version: z.literal(1), hosts: z.record(z.string(), SeenHost) });

export class ObservedHosts {
  readonly #file: SmallFile;
  readonly #log: Logger;
  #hosts = new Map<string, Seen>();
  #loaded = false;
  #lost = false;
  #changed = false;
  #savedAt = -Infinity;

  constructor(file: SmallFile, log: Logger) {
    this.#file = file;
    this.#log = log;
  }

  /** Reads the file once. */
  async load(): Promise<void> {
    if (this.#loaded) return;
    const hosts = parse(await this.#file.read());
    // A command may have noted a request before the first pass; the request wins over the file.
    this.#hosts = new Map([...(hosts ?? []), ...this.#hosts]);
    this.#lost = hosts === undefined;
    // Writes the file even without a change, because a missing file counts as lost at the next start.
    this.#changed ||= this.#lost;
    this.#loaded = true;
  }

  /** Whether the file was missing at the start, so that the observations of earlier processes are unknown. */
  get lost(): boolean {
    return this.#lost;
  }

  of(node: string): Seen | undefined {
    return this.#hosts.get(node);
  }

  set(node: string, seen: Seen): void {
    this.#hosts.set(node, seen);
    this.#changed = true;
  }

  /** Forgets hosts of nodes without a branch. */
  keep(nodes: { has(node: string): boolean }): void {
    for (const node of this.#hosts.keys()) {
      if (nodes.has(node)) continue;
      this.#hosts.delete(node);
      this.#changed = true;
    }
  }

  /** Notes a person's request, which must survive this process. */
  async ask(nodes: readonly string[], now: number): Promise<void> {
    await this.load();
    for (const node of nodes) {
      // A request must be later than the observation that it repeats, even within one millisecond.
      const { retryAt: _, ...seen } = this.of(node) ?? {};
      this.set(node, { ...seen, asked: Math.max(now, (seen.at ?? 0) + 1) });
    }
    await this.save();
  }

  /** Writes the file from time to time. @param now milliseconds of a clock that never goes back */
  async saveIfDue(now = performance.now()): Promise<void> {
    if (now - this.#savedAt < SAVED_EVERY_MS) return;
    await this.save(now);
  }

  /** Writes the changes. A failure is only logged, because the file may be lost. */
  async save(now = performance.now()): Promise<void> {
    if (!this.#changed || !this.#loaded) return;
    this.#changed = false;
    this.#savedAt = now;
    const text = JSON.stringify({ version: 1, hosts: fileHosts(this.#hosts) });
    await this.#file.write(`${text}\n`).catch((error: unknown) => {
      this.#changed = true;
      this.#log.warn(
        { err: error },
        'observed.json cannot be written: after a restart each host is looked at again',
      );
    });
  }
}

/** @returns undefined: there is no file, or none that can be read */
function parse(text: string | undefined): Map<string, Seen> | undefined {
  try {
    const { hosts } = File.parse(JSON.parse(text ?? ''));
    return new Map(Object.entries(hosts).map(([node, host]) => [node, ofFile(host) as Seen]));
  } catch {
    return undefined;
  }
}

function ofFile({ begun, ...host }: z.infer<typeof SeenHost>): object {
  return { ...renamed(host), ...(begun !== undefined && { begun: renamed(begun) }) };
}

function renamed<T extends { readonly machineID?: string | undefined }>({
  machineID: machineId,
  ...rest
}: T): object {
  return { ...rest, ...(machineId !== undefined && { machineId }) };
}

function fileHosts(hosts: ReadonlyMap<string, Seen>): Record<string, object> {
  return Object.fromEntries(
    [...hosts].map(([node, { begun, ...host }]) => [
      node,
      { ...toFile(host), ...(begun !== undefined && { begun: toFile(begun) }) },
    ]),
  );
}

function toFile<T extends { readonly machineId?: string | undefined }>({
  machineId: machineID,
  ...rest
}: T): object {
  return { ...rest, ...(machineID !== undefined && { machineID }) };
}
