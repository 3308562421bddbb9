// The versioned config store: a bare git repository with one fenced writer. A write is durable when it returns.

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import PQueue from 'p-queue';
import type { Logger } from 'pino';
import { checkpoint } from '../api/checkpoint.ts';
import { MultinicError } from '../api/errors.ts';
import { Batch } from './model/batch.ts';
import { FolderSync } from './git/durability.ts';
import { git } from './git/git.ts';
import { CONTROLLER } from './model/committer.ts';
import { importCommits, importStream, isMark } from './git/fast-import.ts';
import { LOCK_FILE } from './git/store-lock.ts';
import { expectRef } from './model/ref-names.ts';
import { MAIN_REF, WRITER_REF } from './model/store-refs.ts';
import { namedMarks, predictId } from './git/predicted-id.ts';
import { openReader } from './reader.ts';
import { clearAndTakeOver, clearLeftovers } from './git/recovery.ts';
import { KnownRefs } from './known-refs.ts';
import { ensureRepository, expectRoom, orFullDisk } from './git/repository.ts';
import { moveRefs, takeOver } from './git/transaction.ts';
import type { ResolvedMove } from './git/transaction.ts';
import type { NewCommit, Oid, Reader } from './model/store-port.ts';
import { Fence } from './fence.ts';

export interface StoreOptions {
  /** Milliseconds since 1970. */
  readonly clock?: () => number;
  readonly log?: Logger;
  /** Another writer took over: this process must exit. */
  readonly onFenced?: () => void;
  /** Seconds to wait for the git processes of the previous writer. */
  readonly waitSeconds?: number;
}

/**
 * Seconds to wait for the lock within a write: few, because a push may hold the lock while it waits for this very write
 * (its audit).
 */
const RECOVERY_WAIT_SECONDS = 2;

/** IDs of a batch's commits, in order, and the refs that another process had moved. */
export interface Written {
  readonly oids: Oid[];
  readonly rejected: readonly string[];
}

export class Store {
  readonly dir: string;
  /** Reads the store as it is now, with the controller's commits and pushed commits. */
  readonly reader: Reader;
  /** The refs as this process knows them, without asking git. */
  readonly refs: KnownRefs;
  readonly #clock: () => number;
  readonly #log: Logger | undefined;
  readonly #fence: Fence;
  readonly #folders: FolderSync;
  readonly #queue = new PQueue({ concurrency: 1 });
  /** A child failed and may have left locks or temporary files. */
  #leftovers = false;
  #commitsWritten = 0;
  /** True if there may be commits that no ref names: from writes that lost a race, or from the previous process. */
  #unreferenced = true;

  private constructor(dir: string, options: StoreOptions) {
    this.dir = dir;
    this.reader = openReader(dir);
    this.refs = new KnownRefs(this.reader);
    this.#clock = options.clock ?? Date.now;
    this.#log = options.log;
    this.#fence = new Fence(dir, () => {
      this.#log?.fatal('another controller took over the store');
      options.onFenced?.();
    });
    this.#folders = new FolderSync(dir);
  }

  /**
   * Opens the store for writing, creates the store if it does not exist, and clears what killed processes left. Takes
   * over from the previous writer, whose next write fails as `Fenced`.
   *
   * @throws MultinicError `Locked` when git processes of the previous writer do not end within `waitSeconds`
   */
  static async open(path: string, options: StoreOptions = {}): Promise<Store> {
    const dir = resolve(path);
    await ensureRepository(dir);
    const store = new Store(dir, options);
    try {
      await store.#takeOver(options.waitSeconds ?? 30);
      await store.#birth();
      return store;
    } catch (error) {
      await store.reader.close();
      throw await orFullDisk(dir, error);
    }
  }

  /** The lock file, which every git that writes holds shared (flock). */
  get lockFile(): string {
    return join(this.dir, LOCK_FILE);
  }

  /** Number of commits written since the store was opened. Maintenance counts them. */
  get commitsWritten(): number {
    return this.#commitsWritten;
  }

  /** Whether there may be objects that no ref reaches. */
  get hasUnreferenced(): boolean {
    return this.#unreferenced;
  }

  /** Runs `prune`, which deletes all objects that no ref reaches. No write runs meanwhile. */
  pruning(prune: () => Promise<void>): Promise<void> {
    return this.inTurn(async () => {
      await prune();
      this.#unreferenced = false;
    });
  }

  /**
   * Writes commits and moves refs: all or nothing against competing writers, durable when it returns. A crash may
   * leave any part of the refs moved, each at a whole commit: read the tips then and decide anew, never replay.
   *
   * @returns ids of the batch's commits, in order
   * @throws MultinicError `LostRace` (a ref was not at `from`), `Fenced` (another writer took over; exit),
   *   `DiskFull`, `Locked`, `InvalidBatch`, or as git failed; nothing was moved then
   */
  write(batch: Batch): Promise<Oid[]> {
    return this.inTurn(() => this.#write(batch));
  }

  /**
   * Like `write`, but each ref moves on its own: a ref that another process moved meanwhile stays, and all others move.
   * Commits that only such a ref would name stay without a ref, until maintenance deletes them.
   */
  writeEach(batch: Batch): Promise<Written> {
    return this.inTurn(() => this.#writeEach(batch));
  }

  /** Decides and writes in one turn: no other write of this process comes between the reads of `decide` and its batch. */
  transact(decide: (reader: Reader) => Promise<Batch>): Promise<Oid[]> {
    return this.inTurn(async () => this.#write(await decide(this.reader)));
  }

  /** Runs an action while no write of this process runs. */
  inTurn<T>(task: () => Promise<T>): Promise<T> {
    return this.#queue.add(task);
  }

  /**
   * Checks the fence before an action that writes nothing: this process may have been suspended, and replaced
   * meanwhile.
   *
   * @throws MultinicError `Fenced`
   */
  async expectFence(): Promise<void> {
    await this.#fence.expect();
  }

  /** Makes refs durable that another git process moved (a push). */
  async syncRefs(refs: readonly string[]): Promise<void> {
    await this.#folders.objects();
    await this.#folders.refs(refs);
    for (const ref of refs) {
      const to = await this.reader.ref(ref);
      if (to === undefined) this.refs.forget();
      else this.refs.moved(ref, to);
    }
  }

  /** Clears the leftovers of a git child that failed outside of `write`, between two writes. */
  clearLeftovers(): Promise<void> {
    this.#leftovers = true;
    return this.inTurn(() => this.#recover());
  }

  /** Reads every object and checks every ref. @throws MultinicError `Corrupt` with what git found. */
  async fsck(): Promise<void> {
    try {
      await git(this.dir, ['fsck', '--full', '--no-dangling', '--no-progress'], { timeoutMs: 3_600_000 });
    } catch (error) {
      throw new MultinicError('Corrupt', `the store at ${this.dir} is damaged; restore it from a backup`, {
        cause: error,
        data: error instanceof MultinicError ? error.data : {},
      });
    }
  }

  /** Waits for the write under way and ends the reader. The store's files need no closing. */
  async close(): Promise<void> {
    await this.#queue.onIdle();
    await this.reader.close();
  }

  async #write(batch: Batch): Promise<Oid[]> {
    const { oids } = await this.#writeMoves(batch, async (moves) => {
      await this.#move(moves);
      return [];
    });
    return oids;
  }

  #writeEach(batch: Batch): Promise<Written> {
    return this.#writeMoves(batch, async (moves) => {
      const rejected: string[] = [];
      for (let rest = moves; rest.length > 0;) {
        try {
          await this.#move(rest);
          break;
        } catch (error) {
          const more = (await this.#fence.isTakenOver()) ? [] : await this.#rejectedRefs(rest);
          if (more.length === 0) throw error;
          rejected.push(...more);
          rest = rest.filter(({ ref }) => !rejected.includes(ref));
        }
      }
      return rejected;
    });
  }

  /** @param move moves the refs, and returns those that it left unmoved */
  async #writeMoves(
    batch: Batch,
    move: (moves: readonly ResolvedMove[]) => Promise<string[]>,
  ): Promise<Written> {
    this.#fence.expectNotLost();
    if (batch.empty && batch.commits.length === 0) return { oids: [], rejected: [] };
    checkMoves(batch);
    await this.#recover();
    await this.#refuseRejected(batch);
    const times = await this.#times(batch.commits);
    const named = await this.#predictNamed(batch.commits, times);
    const stream = importStream(batch.commits, times, named);
    // Loose objects round up to blocks, so the objects need up to twice the room of the input.
    await expectRoom(this.dir, 2 * stream.length);
    try {
      checkpoint('store.import');
      const oids =
        batch.commits.length === 0 ? [] : await importCommits(this.dir, stream, batch.commits.length);
      expectPredicted(named, oids);
      checkpoint('store.imported');
      // Sync the objects before any ref names them: a ref must never be more durable than its objects.
      await this.#folders.objects();
      checkpoint('store.transaction');
      const rejected = await move(resolveMoves(batch, oids));
      checkpoint('store.moved');
      await this.#folders.refs(batch.moves.map(({ ref }) => ref));
      checkpoint('store.durable');
      this.#commitsWritten += oids.length;
      if (rejected.length > 0) this.#markUnreferenced();
      return { oids, rejected };
    } catch (error) {
      this.#markUnreferenced();
      throw await this.#failed(error, batch);
    }
  }

  /** Refuses a batch whose refs have moved already, before objects are written that nobody would ever read. */
  async #refuseRejected(batch: Batch): Promise<void> {
    const rejected = await this.#rejectedRefs(batch.moves);
    if (rejected.length === 0) return;
    this.refs.forget();
    throw (await this.#fence.isTakenOver()) ? this.#fence.lose() : lostRace(rejected);
  }

  /** Notes that commits may exist that no ref names: maintenance has to prune them, and the known refs are in doubt. */
  #markUnreferenced(): void {
    this.#unreferenced = true;
    this.refs.forget();
  }

  async #move(moves: readonly ResolvedMove[]): Promise<void> {
    if (moves.length === 0) return;
    await moveRefs(this.dir, this.#fence.writer, moves);
    for (const { ref, to } of moves) this.refs.moved(ref, to);
  }

  /** Commit times never go back, whatever the clock does: max(now, newest parent's, the commit's own bound). */
  async #times(commits: readonly NewCommit[]): Promise<number[]> {
    const now = Math.floor(this.#clock() / 1000);
    const known = commits.flatMap(({ parents }) =>
      parents.filter((parent): parent is Oid => !isMark(parent)),
    );
    const parents = await this.reader.commits([...new Set(known)]);
    const timeOf = new Map(parents.map(({ oid, committer }) => [oid, committer.time]));
    const times: number[] = [];
    for (const commit of commits) {
      const before = commit.parents.map((parent) =>
        isMark(parent) ? times[parent.mark - 1] : timeOf.get(parent),
      );
      const bound = commit.notBefore ?? 0;
      const earliest = Math.max(now, typeof bound === 'number' ? bound : (times[bound.mark - 1] ?? 0));
      times.push(before.reduce<number>((newest, time) => Math.max(newest, time ?? 0), earliest));
    }
    return times;
  }

  /** Ids of those commits of the batch that other commits of the batch name, at their index. */
  async #predictNamed(commits: readonly NewCommit[], times: readonly number[]): Promise<Oid[]> {
    const ids: Oid[] = [];
    for (const { mark } of namedMarks(commits)) {
      const commit = commits[mark - 1];
      if (commit !== undefined) ids[mark - 1] = await predictId(this.reader, commit, times[mark - 1] ?? 0);
    }
    return ids;
  }

  /** Finds out why a write failed by reading the refs, because git's messages vary. */
  async #failed(cause: unknown, batch: Batch): Promise<unknown> {
    const code = cause instanceof MultinicError ? cause.code : undefined;
    if (await this.#fence.isTakenOver()) return this.#fence.lose(cause);
    const rejected = await this.#rejectedRefs(batch.moves);
    // A git that ends by itself removes its locks, except when the import failed.
    this.#leftovers = rejected.length === 0 || code !== 'GitFailed';
    if (rejected.length > 0) return lostRace(rejected, cause);
    await this.#recover();
    return orFullDisk(this.dir, cause);
  }

  async #rejectedRefs(moves: readonly Pick<ResolvedMove, 'ref' | 'from'>[]): Promise<string[]> {
    const now = await Promise.all(moves.map(({ ref }) => this.reader.ref(ref)));
    return moves.filter(({ from }, index) => (now[index] ?? null) !== from).map(({ ref }) => ref);
  }

  async #recover(): Promise<void> {
    if (!this.#leftovers) return;
    try {
      await clearLeftovers(this.dir, RECOVERY_WAIT_SECONDS);
      this.#leftovers = false;
    } catch (error) {
      // Another process is writing, and the leftovers may be its files. The next write tries again; a stale lock makes
      // that write fail as Locked.
      this.#log?.warn({ err: error }, 'leftovers of a failed write stay for now');
    }
  }

  async #takeOver(waitSeconds: number): Promise<void> {
    const before = await this.reader.ref(WRITER_REF);
    const commit: NewCommit = {
      parents: before === undefined ? [] : [before],
      files: new Map(),
      author: CONTROLLER,
      subject: `${hostname()}: process ${process.pid} writes from here on`,
      trailers: [['Writer', randomUUID()]],
    };
    const [writer] = await importCommits(this.dir, importStream([commit], await this.#times([commit])), 1);
    this.#fence.take(writer!);
    await this.#folders.objects();
    checkpoint('store.takeover');
    await clearAndTakeOver(this.dir, takeOver(this.#fence.writer, before), waitSeconds);
    await this.#folders.refs([WRITER_REF]);
    this.#log?.info({ dir: this.dir, writer }, 'the store is open');
  }

  /** `main` is born empty, so that HEAD always names a commit. */
  async #birth(): Promise<void> {
    if ((await this.reader.ref(MAIN_REF)) !== undefined) return;
    const batch = new Batch();
    const root = batch.commit({
      parents: [],
      files: new Map(),
      author: CONTROLLER,
      subject: 'The store begins',
      trailers: [],
    });
    batch.move(MAIN_REF, root, null);
    await this.write(batch);
  }
}

/** Expects that git gave the predicted ids: a commit must not name another commit than the one of its batch. */
function expectPredicted(predicted: readonly Oid[], oids: readonly Oid[]): void {
  const wrong = predicted.findIndex((oid, index) => oid !== undefined && oid !== oids[index]);
  if (wrong === -1) return;
  throw new MultinicError(
    'InvalidBatch',
    `commit ${oids[wrong]} was expected to be ${predicted[wrong]}; this is a defect, please report it`,
  );
}

function lostRace(refs: readonly string[], cause?: unknown): MultinicError {
  return new MultinicError(
    'LostRace',
    `${refs.slice(0, 10).join(', ')} moved meanwhile; read the refs and decide anew`,
    { cause, data: { refs } },
  );
}

function resolveMoves(batch: Batch, oids: readonly Oid[]): ResolvedMove[] {
  return batch.moves.map(({ ref, to, from }) => ({
    ref,
    to: isMark(to) ? oids[to.mark - 1]! : to,
    from,
  }));
}

function checkMoves(batch: Batch): void {
  const seen = new Set<string>([WRITER_REF]);
  for (const { ref, to, from } of batch.moves) {
    expectRef(ref);
    const known = !isMark(to) || (to.mark >= 1 && to.mark <= batch.commits.length);
    if (!known || seen.has(ref)) {
      throw new MultinicError(
        'InvalidBatch',
        `${ref} cannot move from ${from ?? 'nothing'} to ${isMark(to) ? `mark ${to.mark}` : to}: move a ref once, to a known commit`,
        { data: { ref } },
      );
    }
    seen.add(ref);
  }
}
