// The election against an API server in memory, at each bound: one below and one above.
import type { V1Lease } from '@kubernetes/client-node';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { KubeClient } from './client.ts';
import { KubeError } from './client.ts';
import { LeaderElection } from './lease.ts';

const log = pino({ level: 'silent' });
const DURATION_MS = 15_000;
const DEADLINE_MS = 10_000;
const RETRY_MS = 2_000;

/** One Lease with compare-and-swap. */
class Api {
  lease: V1Lease | undefined;
  readonly writes: V1Lease[] = [];
  /** Answers the next requests of a method with these statuses; 0: the connection fails. */
  readonly refuse = new Map<string, number[]>();
  #version = 0;

  hold(spec: V1Lease['spec']): void {
    this.#version += 1;
    this.lease = { metadata: { resourceVersion: String(this.#version) }, ...(spec && { spec }) };
  }

  request = async (method: string, _: string, { body }: { body?: V1Lease } = {}): Promise<unknown> => {
    const status = this.refuse.get(method)?.shift();
    if (status !== undefined) throw new KubeError(status, `Http${status}`, 'refused');
    if (method === 'GET') {
      if (this.lease === undefined) throw new KubeError(404, 'NotFound', 'no such Lease');
      return structuredClone(this.lease);
    }
    if (body?.metadata?.resourceVersion !== this.lease?.metadata?.resourceVersion)
      throw new KubeError(409, 'Conflict', 'it was written meanwhile');
    this.hold(body?.spec);
    this.writes.push(structuredClone(this.lease!));
    return structuredClone(this.lease);
  };
}

let api: Api;
const elect = (): LeaderElection =>
  new LeaderElection({
    client: api as unknown as KubeClient,
    namespace: 'ns',
    name: 'lease',
    identity: 'me',
    log,
    leaseDurationMs: DURATION_MS,
    renewDeadlineMs: DEADLINE_MS,
    retryPeriodMs: RETRY_MS,
  });
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

interface Replica {
  leads: boolean;
  over: boolean;
  readonly stop: AbortController;
  readonly ended: Promise<unknown>;
}

function start(election = elect()): Replica {
  const stop = new AbortController();
  const replica = { leads: false, over: false, stop, ended: Promise.resolve<unknown>(undefined) };
  replica.ended = election
    .run(async (signal) => {
      replica.leads = true;
      await aborted(signal);
      replica.over = true;
    }, stop.signal)
    .catch((error: unknown) => error);
  return replica;
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0);
  api = new Api();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const settle = async (): Promise<void> => void (await vi.advanceTimersByTimeAsync(0));

describe('taking the Lease', () => {
  test('of nobody: it is made, with no transition', async () => {
    const me = start();
    await settle();
    expect(me.leads).toBe(true);
    expect(api.writes[0]!.spec).toMatchObject({
      holderIdentity: 'me',
      leaseTransitions: 0,
      leaseDurationSeconds: 15,
    });
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
  });

  test('of another: not one moment before its duration is over, as this process has seen it', async () => {
    api.hold({ holderIdentity: 'other', leaseDurationSeconds: 20, leaseTransitions: 4 });
    const me = start();
    await vi.advanceTimersByTimeAsync(19_999);
    expect(me.leads).toBe(false);
    expect(api.writes).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(me.leads).toBe(true);
    expect(api.writes[0]!.spec).toMatchObject({ holderIdentity: 'me', leaseTransitions: 5 });
    expect(api.writes[0]!.spec!.acquireTime).toBeDefined();
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
  });

  test('of another that renews: never', async () => {
    api.hold({ holderIdentity: 'other', leaseDurationSeconds: 15 });
    const me = start();
    for (let round = 0; round < 10; round += 1) {
      await vi.advanceTimersByTimeAsync(14_000);
      api.hold({ holderIdentity: 'other', leaseDurationSeconds: 15 });
    }
    expect(me.leads).toBe(false);
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    expect(await me.ended).toBeUndefined();
    expect(api.lease?.spec?.holderIdentity).toBe('other');
  });

  test('without a duration: after the own one', async () => {
    api.hold({ holderIdentity: 'other' });
    const me = start();
    await vi.advanceTimersByTimeAsync(DURATION_MS - 1_000);
    expect(me.leads).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000 + RETRY_MS);
    expect(me.leads).toBe(true);
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
  });

  test.each([
    ['given back', ''],
    ['without a holder', undefined],
  ])('%s: at once, which is a transition', async (_, holder) => {
    api.hold({ ...(holder !== undefined && { holderIdentity: holder }), leaseDurationSeconds: 15 });
    const me = start();
    await settle();
    expect(me.leads).toBe(true);
    expect(api.writes[0]!.spec).toMatchObject({ holderIdentity: 'me', leaseTransitions: 1 });
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
  });

  test('that another writes at the same moment: tried again after the pause', async () => {
    api.refuse.set('POST', [409]);
    const me = start();
    await vi.advanceTimersByTimeAsync(RETRY_MS - 1);
    expect(me.leads).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(me.leads).toBe(true);
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
  });

  test('when the own process is asked to end before: nothing begins, and what was taken is given back', async () => {
    const me = start();
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    expect(await me.ended).toBeUndefined();
    expect(me.leads).toBe(false);
    expect(api.lease?.spec?.holderIdentity ?? '').toBe('');
  });
});

describe('holding the Lease', () => {
  test('a renewal keeps the time of the taking, and is no transition', async () => {
    api.hold({ holderIdentity: '', leaseTransitions: 2 });
    const me = start();
    await vi.advanceTimersByTimeAsync(3 * RETRY_MS);
    expect(api.writes).toHaveLength(4);
    const [taken, ...renewed] = api.writes.map(({ spec }) => spec!);
    for (const spec of renewed) {
      expect([spec.leaseTransitions, spec.acquireTime]).toEqual([3, taken!.acquireTime]);
      expect(spec.renewTime).not.toEqual(taken!.renewTime);
    }
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
  });

  test('failed renewals: it leads until the deadline and not one try longer', async () => {
    const me = start();
    await settle();
    api.refuse.set(
      'PUT',
      Array.from({ length: 100 }, () => 503),
    );
    await vi.advanceTimersByTimeAsync(DEADLINE_MS - 1);
    expect(me.over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(me.over).toBe(true);
    expect(await me.ended).toMatchObject({ code: 'LeaseLost' });
  });

  test('one renewal in between starts the deadline anew', async () => {
    const me = start();
    await settle();
    api.refuse.set('PUT', [503, 503, 503, 503]);
    await vi.advanceTimersByTimeAsync(5 * RETRY_MS);
    api.refuse.set(
      'PUT',
      Array.from({ length: 100 }, () => 503),
    );
    await vi.advanceTimersByTimeAsync(DEADLINE_MS - 1);
    expect(me.over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(me.over).toBe(true);
    await me.ended;
  });

  test('another holder: it ends at the next try, and gives nothing back', async () => {
    const election = elect();
    const me = start(election);
    await settle();
    expect(election.leader).toBe('me');
    api.hold({ holderIdentity: 'other', leaseDurationSeconds: 15 });
    await vi.advanceTimersByTimeAsync(RETRY_MS);
    expect(me.over).toBe(true);
    expect(election.leader).toBe('other');
    expect(await me.ended).toMatchObject({ code: 'LeaseLost' });
    expect(api.lease?.spec?.holderIdentity).toBe('other');
  });
});

const giveBack = async (conflicts: number): Promise<string | undefined> => {
  const me = start();
  await settle();
  api.refuse.set(
    'PUT',
    Array.from({ length: conflicts }, () => 409),
  );
  me.stop.abort();
  await vi.advanceTimersByTimeAsync(1);
  expect(await me.ended).toBeUndefined();
  return api.lease?.spec?.holderIdentity;
};

describe('giving the Lease back', () => {
  test('nobody holds it then, for a second', async () => {
    expect(await giveBack(0)).toBe('');
    expect(api.lease?.spec).toMatchObject({ leaseDurationSeconds: 1, leaseTransitions: 0 });
  });

  test('is tried three times against other writers, and no fourth time', async () => {
    expect(await giveBack(2)).toBe('');
    api = new Api();
    expect(await giveBack(3)).toBe('me');
    expect(api.refuse.get('PUT')).toEqual([]);
  });

  test('an API server that is away: the Lease expires by itself, and no error covers the end', async () => {
    const me = start();
    await settle();
    api.refuse.set('GET', [503]);
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    expect(await me.ended).toBeUndefined();
    expect(api.lease?.spec?.holderIdentity).toBe('me');
  });
});
