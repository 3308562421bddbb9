import { watch as watchFiles } from 'chokidar';
import { relative, sep } from 'node:path';
import { isConfigFile } from './config.ts';

export interface Watch {
  close(): Promise<void>;
}

/** Quiet time after which an edit counts as over, and longest wait for a file that is written all the time. */
const QUIET_MS = 100;
const PATIENCE_MS = 500;

/**
 * Calls `changed` after an edit of the CRs, the inventory or a node's machine, without saying which. The controller
 * reads everything again, so a lost event does no harm.
 * @param failed gets the error of a watch that does not work (too many files for inotify, for example)
 */
export async function watchHome(
  dir: string,
  changed: () => void,
  failed: (error: unknown) => void,
): Promise<Watch> {
  const burst = new Burst(changed);
  const watcher = watchFiles(dir, {
    ignoreInitial: true,
    // Each watched file costs an inotify watch, so the store and the jobs are left out: they have too many files.
    ignored: (path) => !isWatched(relative(dir, path)),
  });
  watcher.on('all', () => burst.event());
  watcher.on('error', failed);
  await new Promise<void>((resolve) => watcher.once('ready', resolve));
  return {
    close: async () => {
      burst.stop();
      await watcher.close();
    },
  };
}

/** @param path relative to the home; folders that lead to watched files are watched too */
export function isWatched(path: string): boolean {
  const parts = path === '' ? [] : path.split(sep);
  const [top, second, third, fourth] = parts;
  if (top === undefined) return true;
  if (top === 'inventory.yaml') return parts.length === 1;
  if (top === 'crs') return second === undefined || (parts.length === 2 && isConfigFile(second));
  if (top !== 'nodes' || parts.length > 4) return false;
  return (third === undefined || third === 'root') && (fourth === undefined || fourth === 'host.yaml');
}

/** Merges many events into one call. */
class Burst {
  readonly #call: () => void;
  #timer: NodeJS.Timeout | undefined;
  #began = 0;

  constructor(call: () => void) {
    this.#call = call;
  }

  event(): void {
    const now = performance.now();
    if (this.#timer === undefined) this.#began = now;
    clearTimeout(this.#timer);
    const wait = Math.max(0, Math.min(QUIET_MS, this.#began + PATIENCE_MS - now));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#call();
    }, wait);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
