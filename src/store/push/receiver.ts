// Receives pushes through git's receive-pack. Before receive-pack may move a branch, its hooks ask here: the policy
// checks the pushed objects, which are still in quarantine, and the push is recorded.
import { join } from 'node:path';
import PQueue from 'p-queue';
import type { Logger } from 'pino';
import { checkpoint } from '../../api/checkpoint.ts';
import { hasCode, MultinicError } from '../../api/errors.ts';
import { recordPushes } from './audit.ts';
import { gitFailure } from '../git/git.ts';
import { PUSH_HOOKS } from '../git/hook.ts';
import type { Body } from '../http/body.ts';
import type { Principal, Push, PushPolicy, Reader } from '../model/store-port.ts';
import { makeAtomic, readPushHeader, refusalReport } from './ref-commands.ts';
import type { PushHeader } from './ref-commands.ts';
import { Gate } from './gate.ts';
import type { Judge } from './gate.ts';
import { PUSH_LIMIT, startReceivePack } from './process.ts';
import { changeLines, refusalLines } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { openReader } from '../reader.ts';
import type { Store } from '../store.ts';

/** Maximum number of branches in one push: all are judged and recorded while the store's lock is held. */
const MAX_BRANCHES = 500;
const JUDGED_AT_ONCE = 16;

/** The judgement of a push. */
interface Judgement {
  readonly refusals: readonly Refusal[];
  /** Lines for the pusher, from the policy. */
  readonly changes?: readonly string[];
}

export interface PushReceiverOptions {
  readonly store: Store;
  readonly reader: Reader;
  readonly policy: PushPolicy;
  /** Called once for every branch that moved, after it is durable. */
  readonly onPush: (push: Push) => void;
  readonly log: Logger;
}

/** Takes pushes of authenticated principals, each whole. */
export class PushReceiver {
  readonly #options: PushReceiverOptions;

  constructor(options: PushReceiverOptions) {
    this.#options = options;
  }

  /**
   * Lands a push: all its branches, or none.
   * @returns git's report, which tells programs which branches moved, and people why not
   * @throws MultinicError `BadRequest` when the body is no push; `PushUnclear` when it landed but git failed to say so
   */
  async receive(principal: Principal, body: Body): Promise<Buffer> {
    const header = readPushHeader(body.bytes);
    if (header === undefined)
      throw new MultinicError(
        'BadRequest',
        'this is no push that we take (signed ones are not): push with plain git',
      );
    // git sends an empty request to try its credentials before a large push.
    if (header.commands.length === 0) return Buffer.alloc(0);

    const pushes = header.commands.map((command) => ({ principal, ...command }));
    const refusals = body.complete ? await this.#refuseEarly(pushes) : tooLarge(pushes, body.size);
    if (refusals.length > 0) {
      return refusalReport(header, refusals[0]?.error.code ?? '', this.#refuse(principal, refusals));
    }
    return this.#receivePack(principal, header, body.bytes, pushes);
  }

  /**
   * Judges everything that needs no objects. Some checks of receive-pack are the same, but they leave out a branch and
   * let the others pass.
   */
  async #refuseEarly(pushes: readonly Push[]): Promise<Refusal[]> {
    if (pushes.length > MAX_BRANCHES) return tooMany(pushes);
    const refusals = await this.#refuseFenced(pushes);
    if (refusals.length > 0) return refusals;
    const seen = new Set<string>();
    for (const push of pushes) {
      const error = seen.has(push.ref)
        ? new MultinicError('BranchTwice', 'the push names this branch twice: name it once')
        : await this.#judgeRef(push);
      if (error !== undefined) refusals.push({ ref: push.ref, error });
      seen.add(push.ref);
    }
    return refusals;
  }

  /**
   * Refuses a push if another controller has the store, or if another store is in its place, because this process still
   * reads the old store.
   */
  async #refuseFenced(pushes: readonly Push[]): Promise<Refusal[]> {
    return this.#options.store.expectFence().then(
      () => [],
      (error: unknown) => this.#unexpected(pushes, error),
    );
  }

  async #judgeRef(push: Push): Promise<MultinicError | undefined> {
    const { policy, reader } = this.#options;
    return policy.judgeRef(push, await reader.ref(push.ref));
  }

  async #receivePack(
    principal: Principal,
    header: PushHeader,
    body: Buffer,
    pushes: readonly Push[],
  ): Promise<Buffer> {
    const { store, log } = this.#options;
    const attempt = new AbortController();
    let refused: readonly string[] | undefined;
    const judge =
      (decide: (question: ReadonlyMap<string, string>) => Promise<Judgement>): Judge =>
      async (question) => {
        const { refusals, changes = [] } = await decide(question).catch((error: unknown) => ({
          refusals: this.#unexpected(pushes, error),
          changes: [],
        }));
        if (refusals.length === 0) return { accepted: true, lines: changeLines(changes) };
        refused = this.#refuse(principal, refusals);
        return { accepted: false, lines: refused };
      };

    const git = await startReceivePack(store.dir, join(store.dir, PUSH_HOOKS), makeAtomic(body, header));
    const gates = [
      new Gate(
        git.preReceive,
        judge((question) => this.#admit(pushes, question, attempt.signal)),
      ),
      new Gate(
        git.prepared,
        judge(() => this.#prepare(pushes)),
      ),
    ];
    const ended = await git.ended;
    attempt.abort(new MultinicError('PushEnded', 'git gave the push up while it was judged: push again'));
    for (const gate of gates) gate.close();
    checkpoint('push.ended');

    const landed = await this.#finish(pushes);
    if (ended.code === 0) {
      if (landed > 0 || refused !== undefined) return ended.stdout;
      // git reports a lost race without a remedy, so look for a refusal that has one.
      const refusals = await this.#refuseEarly(pushes);
      if (refusals.length === 0) return ended.stdout;
      return refusalReport(header, refusals[0]?.error.code ?? '', this.#refuse(principal, refusals));
    }
    if (ended.signal !== undefined) await store.clearLeftovers();
    const failure = gitFailure('git receive-pack', ended);
    log.error({ err: failure, principal: principal.name, landed }, 'a push ended with an error');
    if (landed > 0)
      throw new MultinicError(
        'PushUnclear',
        'the branches have moved, but git failed afterwards: run git fetch before you go on',
        {
          cause: failure,
        },
      );
    return refusalReport(header, 'not accepted', refused ?? [`multinic: ${failure.message}; push again`]);
  }

  /** pre-receive: decides whether the push may land, and records it before it lands. */
  async #admit(
    pushes: readonly Push[],
    question: ReadonlyMap<string, string>,
    attempt: AbortSignal,
  ): Promise<Judgement> {
    const judgement = await this.#judge(pushes, question);
    if (judgement.refusals.length > 0) return judgement;
    checkpoint('push.admitted');
    // git has given up meanwhile, so the push cannot land and needs no record.
    attempt.throwIfAborted();
    await recordPushes(this.#options.store, pushes);
    checkpoint('push.recorded');
    return judgement;
  }

  /** Judges several branches at a time, so that git answers their requests together. */
  async #judge(pushes: readonly Push[], question: ReadonlyMap<string, string>): Promise<Judgement> {
    const { store, policy } = this.#options;
    const objects = openReader(store.dir, { objectEnv: Object.fromEntries(question) });
    const queue = new PQueue({ concurrency: JUDGED_AT_ONCE });
    const judge = async (push: Push): Promise<Refusal | readonly string[]> => {
      try {
        return await policy.check(push, objects);
      } catch (error) {
        if (!(error instanceof MultinicError)) throw error;
        return { ref: push.ref, error };
      }
    };
    try {
      const judged = await queue.addAll(pushes.map((push) => () => judge(push)));
      const refusals = judged.filter((each): each is Refusal => 'error' in each);
      return { refusals, changes: judged.flatMap((each) => ('error' in each ? [] : each)) };
    } finally {
      queue.clear();
      await queue.onIdle();
      await objects.close();
    }
  }

  /**
   * reference-transaction: syncs the objects and asks the fence in the last moment before the branches move. A branch
   * must not be on disk before its objects, and a controller that was suspended and replaced must move none.
   */
  async #prepare(pushes: readonly Push[]): Promise<Judgement> {
    await this.#options.store.syncRefs([]);
    checkpoint('push.prepared');
    return { refusals: await this.#refuseFenced(pushes) };
  }

  /** Makes the moved branches durable and reports each to `onPush`. @returns number of branches that moved */
  async #finish(pushes: readonly Push[]): Promise<number> {
    const { store, reader, onPush, log } = this.#options;
    const landed: Push[] = [];
    for (const push of pushes) if ((await reader.ref(push.ref)) === push.new) landed.push(push);
    if (landed.length === 0) return 0;
    await store.syncRefs(landed.map(({ ref }) => ref));
    checkpoint('push.durable');
    for (const push of landed) {
      log.info(
        { principal: push.principal.name, ref: push.ref, old: push.old, new: push.new },
        'push landed',
      );
      onPush(push);
    }
    return landed.length;
  }

  /** Logs a refusal. @returns its lines for the pusher */
  #refuse(principal: Principal, refusals: readonly Refusal[]): string[] {
    const reasons = refusals.map(({ ref, error }) => ({ ref, code: error.code, message: error.message }));
    this.#options.log.warn({ principal: principal.name, refusals: reasons.slice(0, 10) }, 'push refused');
    return refusalLines(refusals);
  }

  #unexpected(pushes: readonly Push[], error: unknown): Refusal[] {
    const known = error instanceof MultinicError;
    if (!known) this.#options.log.error({ err: error }, 'a push could not be judged');
    const refusal = known
      ? forPusher(error)
      : new MultinicError('Internal', "internal error, which the controller's log has: push again");
    return pushes.slice(0, 1).map(({ ref }) => ({ ref, error: refusal }));
  }
}

/** Hides from the pusher which controller has to end. */
function forPusher(error: MultinicError): MultinicError {
  if (!hasCode(error, 'Fenced')) return error;
  return new MultinicError('Fenced', 'another controller has taken over this store: push again');
}

function tooMany(pushes: readonly Push[]): Refusal[] {
  const error = new MultinicError(
    'TooManyBranches',
    `${pushes.length} branches in one push, at most ${MAX_BRANCHES}: push them in groups, or use multinic rollback --change`,
  );
  return pushes.slice(0, 1).map(({ ref }) => ({ ref, error }));
}

function tooLarge(pushes: readonly Push[], size: number): Refusal[] {
  const error = new MultinicError(
    'PushTooLarge',
    `the push has ${(size / 1024 / 1024).toFixed(1)} MiB, at most ${PUSH_LIMIT / 1024 / 1024} are taken: push less, a node's files are small`,
    { data: { size, limit: PUSH_LIMIT } },
  );
  return pushes.slice(0, 1).map(({ ref }) => ({ ref, error }));
}
