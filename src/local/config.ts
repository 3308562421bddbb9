import { createHash, randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { formatProblem, MultinicError, type Problem } from '../api/errors.ts';
import type {
  ConfigGenerations,
  ConfigList,
  ConfigObject,
  ConfigSource,
  KnownConfig,
} from '../mirror/home-port.ts';
import { specOf } from '../mirror/main-branch.ts';
import type { ConfigRef } from '../network/node.ts';
import type { Person } from '../store/model/store-port.ts';
import { parseConfigFile, type ConfigFile, type WrittenConfig } from './config-file.ts';
import { isErrno, readRegular } from './file.ts';

export interface FolderList extends ConfigList {
  /** Inputs that could not be read, in words for people. */
  readonly problems: readonly Problem[];
}

interface ParsedFile {
  /** Hash of the text. */
  readonly digest: string;
  readonly file: ConfigFile;
}

/** Author of spec commits from a folder: a file does not say who wrote it. */
const WRITER: Person = { name: 'local', email: 'local@multinic.io' };

/**
 * Milliseconds that a CR must be missing before it counts as removed: an editor that saves removes the old file before
 * it writes the new one.
 */
export const REMOVED_AFTER_MS = 1000;
/** Size limit of a file. An API server accepts CRs of 1.5 MB. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * `DIR/crs/*.yaml`, `.yml` and `.json` as a source of CRs. UID and generation, which an API server would keep, come
 * from main; the generation is one higher than main's if the spec differs.
 */
export class ConfigFolder implements ConfigSource, ConfigGenerations {
  readonly #dir: string;
  /** Parsed files. Parsing a thousand nodes takes longer than the rest of a pass that changes nothing. */
  #parsed = new Map<string, ParsedFile>();
  /** UIDs of CRs that main does not have yet. */
  readonly #uids = new Map<string, string>();
  /** Time at which each CR of main was first missed, by `#now`. */
  readonly #missed = new Map<string, number>();
  #undecided = false;
  readonly #now: () => number;

  /** @param now milliseconds that never go back */
  constructor(dir: string, now: () => number = () => performance.now()) {
    this.#dir = dir;
    this.#now = now;
  }

  /** Whether the newest list left a CR in doubt. A list after `REMOVED_AFTER_MS` decides. */
  get undecided(): boolean {
    return this.#undecided;
  }

  async list(known: ReadonlyMap<string, KnownConfig>): Promise<FolderList> {
    const at = this.#now();
    this.#undecided = false;
    const files = await this.#files();
    if ('problem' in files) {
      const reason = formatProblem(files.problem);
      return { configs: [], problems: [files.problem], doubt: () => reason };
    }
    const problems = [...files.values()].flatMap((file) => file.problems);
    const found = configsOf(files);
    const configs: ConfigObject[] = [];
    const ambiguous = new Map<string, string>();
    for (const [key, [first, ...others]] of found) {
      this.#missed.delete(key);
      if (others.length === 0) configs.push(this.#complete(first!.config, known.get(key)));
      else {
        const paths = [first!.path, ...others.map(({ path }) => path)];
        const problem = duplicate(key, paths);
        problems.push(problem);
        ambiguous.set(key, formatProblem(problem));
      }
    }
    const unread = problems.find(({ code }) => code !== 'DuplicateConfig');
    return {
      configs,
      problems,
      // An unreadable file may contain any CR that is not found elsewhere.
      doubt: (ref) =>
        ambiguous.get(keyOf(ref)) ?? (unread && formatProblem(unread)) ?? this.#missing(keyOf(ref), at),
    };
  }

  async generations(known: ReadonlyMap<string, KnownConfig>): Promise<ReadonlyMap<string, number>> {
    const files = await this.#files();
    if ('problem' in files) throw new MultinicError('Busy', formatProblem(files.problem));
    return new Map(
      [...configsOf(files)].flatMap(([key, [first, ...others]]) =>
        others.length > 0 ? [] : [[key, this.#complete(first!.config, known.get(key)).generation]],
      ),
    );
  }

  /** The doubt about a CR that a complete list lacks; undefined if it was removed. @param at time of the list */
  #missing(key: string, at: number): string | undefined {
    const since = this.#missed.get(key) ?? at;
    this.#missed.set(key, since);
    if (at - since >= REMOVED_AFTER_MS) return undefined;
    this.#undecided = true;
    return `it is in no file of ${basename(this.#dir)}/; if that stays so for a second, it is removed`;
  }

  /** Parsed files by name, `crs/production.yaml`. */
  async #files(): Promise<Map<string, ConfigFile> | { readonly problem: Problem }> {
    let names: string[];
    try {
      names = (await readdir(this.#dir)).filter(isConfigFile).sort();
    } catch (error) {
      const message = `cannot be listed (${String(error)}); make the folder again`;
      return { problem: { path: basename(this.#dir), code: 'Unreadable', message } };
    }
    const parsed = new Map<string, ParsedFile>();
    for (const name of names) {
      const path = `${basename(this.#dir)}/${name}`;
      const entry = await this.#read(join(this.#dir, name), path);
      if (entry !== undefined) parsed.set(path, entry);
    }
    this.#parsed = parsed;
    return new Map([...parsed].map(([path, { file }]) => [path, file]));
  }

  async #read(absolute: string, path: string): Promise<ParsedFile | undefined> {
    let text: string;
    try {
      text = await readRegular(absolute, MAX_BYTES, 'follow');
    } catch (error) {
      // The file was deleted after the folder was listed, so it counts as absent.
      if (isErrno(error, 'ENOENT')) return undefined;
      const message = `cannot be read (${String(error)}); mend or delete it`;
      return { digest: '', file: { configs: [], problems: [{ path, code: 'Unreadable', message }] } };
    }
    const digest = createHash('sha256').update(text).digest('hex');
    const before = this.#parsed.get(path);
    return before?.digest === digest ? before : { digest, file: parseConfigFile(path, text) };
  }

  #complete({ ref, annotations, spec }: WrittenConfig, known: KnownConfig | undefined): ConfigObject {
    const uid = known?.uid ?? this.#newUid(ref);
    if (known !== undefined) this.#uids.delete(keyOf(ref));
    const generation = known === undefined ? 1 : known.generation + (sameSpec(specOf(known), spec) ? 0 : 1);
    return { ref, uid, generation, annotations, spec, writer: WRITER };
  }

  #newUid(ref: ConfigRef): string {
    const key = keyOf(ref);
    const uid = this.#uids.get(key) ?? randomUUID();
    this.#uids.set(key, uid);
    return uid;
  }
}

/**
 * Whether a file of crs/ is read. Editors keep files of their own there: `.x.yaml.swp`, `.#x.yaml`, `#x.yaml#`,
 * `x.yaml~`.
 */
export function isConfigFile(name: string): boolean {
  return /^[^.#].*\.(ya?ml|json)$/.test(name);
}

/** The CRs of all files by `group/namespace/name`, each with its file. */
function configsOf(
  files: ReadonlyMap<string, ConfigFile>,
): Map<string, { readonly path: string; readonly config: WrittenConfig }[]> {
  const found = [...files].flatMap(([path, { configs }]) => configs.map((config) => ({ path, config })));
  return Map.groupBy(found, ({ config }) => keyOf(config.ref));
}

function keyOf({ group, namespace, name }: ConfigRef): string {
  return `${group}/${namespace}/${name}`;
}

function duplicate(key: string, paths: readonly string[]): Problem {
  const where = [...new Set(paths)].join(' and ');
  const message = `${key} is there ${paths.length} times and none of them counts; keep one`;
  return { path: where, code: 'DuplicateConfig', message };
}

/**
 * Compares two specs without the order of entries, because main keeps one file a node and returns entries in its own
 * order.
 */
function sameSpec(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(unordered(a), unordered(b));
}

function unordered(spec: unknown): unknown {
  const plain = spec === undefined ? undefined : (JSON.parse(JSON.stringify(spec)) as unknown);
  if (typeof plain !== 'object' || plain === null || !('nodeConfigs' in plain)) return plain;
  const { nodeConfigs } = plain;
  if (!Array.isArray(nodeConfigs)) return plain;
  return { ...plain, nodeConfigs: nodeConfigs.map(canonical).sort() };
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${pairs.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join()}}`;
}
