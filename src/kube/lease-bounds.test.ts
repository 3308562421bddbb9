// The election against an API server in memory, at each bound: one below and one above.
import type { V1Lease } from '@kubernetes/client-node';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LEASE_DEFAULTS } from '../api/defaults.ts';
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
  /** Methods of all requests. */
  readonly requests: string[] = [];
  /** Time-out of the newest request. */
  timeoutMs: number | undefined;
  /** Answers the next requests of a method with these statuses; 0: the connection fails. */
  readonly refuse = new Map<string, number[]>();
  #version = 0;

  hold(spec: V1Lease['spec']): void {
    this.#version += 1;
    this.lease = { metadata: { resourceVersion: String(this.#version) }, ...(spec && { spec }) };
  }

  request = async (
    method: string,
    _: string,
    { body, timeoutMs }: { body?: V1Lease; timeoutMs?: number } = {},
  ): Promise<unknown> => {
    this.requests.push(method);
    this.timeoutMs = timeoutMs;
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
interface Timing {
  readonly leaseDurationMs?: number;
  readonly renewDeadlineMs?: number;
  readonly retryPeriodMs?: number;
}

const TIMING: Timing = {
  leaseDurationMs: DURATION_MS,
  renewDeadlineMs: DEADLINE_MS,
  retryPeriodMs: RETRY_MS,
};

const elect = (timing = TIMING): LeaderElection =>
  new LeaderElection({
    client: api as unknown as KubeClient,
    namespace: 'ns',
    name: 'lease',
    identity: 'me',
    log,
    ...timing,
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

beforeEach(async () => {
  vi.useFakeTimers();
  // Starts the clock late, so that the time at which a replica first sees the Lease is not zero.
  await vi.advanceTimersByTimeAsync(7_000);
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

  test('without a duration: after the own one, to the millisecond', async () => {
    api.hold({ holderIdentity: 'other' });
    const me = start(elect({ ...TIMING, leaseDurationMs: 7 * RETRY_MS + 1 }));
    await vi.advanceTimersByTimeAsync(7 * RETRY_MS);
    expect(me.leads).toBe(false);
    await vi.advanceTimersByTimeAsync(RETRY_MS);
    expect(me.leads).toBe(true);
    // The Lease has whole seconds, and at least as many as the replica itself counts on.
    expect(api.writes[0]!.spec).toMatchObject({ leaseDurationSeconds: 15 });
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
  });

  test('replicas try at different times: up to a fifth later', async () => {
    vi.mocked(Math.random).mockReturnValue(0.5);
    api.hold({ holderIdentity: 'other', leaseDurationSeconds: 60 });
    const me = start();
    await vi.advanceTimersByTimeAsync(RETRY_MS * 1.1 - 1);
    expect(api.requests).toEqual(['GET']);
    await vi.advanceTimersByTimeAsync(1);
    expect(api.requests).toEqual(['GET', 'GET']);
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
  });

  test('a call that hangs ends after two periods', async () => {
    const timeouts = vi.spyOn(AbortSignal, 'timeout');
    const me = start();
    await settle();
    expect(timeouts.mock.calls).toEqual([[2 * RETRY_MS]]);
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
  });

  test('a conflict is no warning, and any other failure is one', async () => {
    const warn = vi.spyOn(log, 'warn');
    api.refuse.set('POST', [409, 503]);
    const me = start();
    await settle();
    expect(warn).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(RETRY_MS);
    expect(warn).toHaveBeenCalledOnce();
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
    expect(warn).toHaveBeenCalledOnce();
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

  test('the times are the defaults, if nobody says otherwise', async () => {
    const { duration, renewDeadline, retryPeriod } = LEASE_DEFAULTS;
    const me = start(elect({}));
    await settle();
    expect(api.writes[0]!.spec).toMatchObject({ leaseDurationSeconds: duration });
    await vi.advanceTimersByTimeAsync(retryPeriod * 1000 - 1);
    expect(api.writes).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(api.writes).toHaveLength(2);
    api.refuse.set(
      'PUT',
      Array.from({ length: 100 }, () => 503),
    );
    await vi.advanceTimersByTimeAsync(renewDeadline * 1000 - 1);
    expect(me.over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(me.over).toBe(true);
    await me.ended;
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

  test('takes one look and one write, of five seconds each', async () => {
    const me = start();
    await settle();
    api.requests.length = 0;
    const timeouts = vi.spyOn(AbortSignal, 'timeout');
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
    expect(api.requests).toEqual(['GET', 'PUT']);
    expect([timeouts.mock.calls, api.timeoutMs]).toEqual([[[5_000]], 5_000]);
  });

  test('leaves the Lease of another alone, and that is no warning', async () => {
    const warn = vi.spyOn(log, 'warn');
    const me = start();
    await settle();
    api.hold({ holderIdentity: 'other', leaseDurationSeconds: 15 });
    me.stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await me.ended;
    expect([api.lease?.spec?.holderIdentity, warn.mock.calls]).toEqual(['other', []]);
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
