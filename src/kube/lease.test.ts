import type { V1Lease } from '@kubernetes/client-node';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { apiServer, FakeClient } from '../../test/support/kube.ts';
import { LEASE_DEFAULTS } from '../api/defaults.ts';
import { LeaderElection, type LeaseTiming } from './lease.ts';

const log = pino({ level: 'silent' });
const timing = { leaseDurationMs: 3_000, renewDeadlineMs: 1_500, retryPeriodMs: 100 };

/** One Lease with compare-and-swap; `down` refuses everything, `slowMs` keeps the answer to a write back. */
async function leases() {
  const state = { lease: undefined as V1Lease | undefined, version: 0, down: false, slowMs: 0 };
  const server = await apiServer((request, response) => {
    let text = '';
    request.on('data', (part: Buffer) => (text += part.toString()));
    request.on('end', () => {
      if (state.down) return response.writeHead(503).end('{}');
      if (request.method === 'GET') {
        return response
          .writeHead(state.lease === undefined ? 404 : 200)
          .end(JSON.stringify(state.lease ?? {}));
      }
      const body = JSON.parse(text) as V1Lease;
      const stale = body.metadata?.resourceVersion !== state.lease?.metadata?.resourceVersion;
      if (stale) return response.writeHead(409).end('{}');
      state.version += 1;
      state.lease = { ...body, metadata: { ...body.metadata, resourceVersion: String(state.version) } };
      const answer = JSON.stringify(state.lease);
      return setTimeout(() => response.end(answer), state.slowMs);
    });
  });
  const elect = (identity: string) =>
    new LeaderElection({ client: server.client, namespace: 'ns', name: 'lease', identity, log, ...timing });
  return { state, elect, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const until = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });

test('one replica leads at a time, and a replica that stops hands over at once', async () => {
  await using api = await leases();
  const events: string[] = [];
  const stops = [new AbortController(), new AbortController()];
  const lead = (name: string) => async (over: AbortSignal) => {
    events.push(`${name} leads`);
    await until(over);
    events.push(`${name} ends`);
  };
  const first = api.elect('one').run(lead('one'), stops[0]!.signal);
  await vi.waitFor(() => expect(events).toEqual(['one leads']));
  const second = api.elect('two').run(lead('two'), stops[1]!.signal);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(events).toEqual(['one leads']);
  stops[0]!.abort();
  await first;
  // The leader has released the Lease, so the next replica need not wait for its expiry.
  expect(api.state.lease?.spec?.holderIdentity).not.toBe('one');
  await vi.waitFor(() => expect(events).toEqual(['one leads', 'one ends', 'two leads']), 10_000);
  expect(api.state.lease?.spec).toMatchObject({ holderIdentity: 'two', leaseTransitions: 1 });
  stops[1]!.abort();
  await second;
  expect(api.state.lease?.spec?.holderIdentity).toBe('');
});

test('a renewal that nobody waits for any more does not keep the lease from being given back', async () => {
  await using api = await leases();
  const stop = new AbortController();
  let version = 0;
  const run = api.elect('one').run(async (over) => {
    version = api.state.version;
    api.state.slowMs = 400;
    await until(over);
  }, stop.signal);
  await vi.waitFor(() => {
    expect(version).toBeGreaterThan(0);
    expect(api.state.version).toBeGreaterThan(version);
  });
  stop.abort();
  await run;
  expect(api.state.lease?.spec?.holderIdentity).toBe('');
});

test('a leader that cannot renew gives up before another may take over', async () => {
  await using api = await leases();
  let endedAt = 0;
  const run = api.elect('one').run(async (over) => {
    api.state.down = true;
    await until(over);
    endedAt = performance.now();
  }, new AbortController().signal);
  const before = performance.now();
  await expect(run).rejects.toMatchObject({ code: 'LeaseLost' });
  expect(endedAt - before).toBeLessThan(timing.leaseDurationMs);
});

test("another's lease is over when this process has seen it unchanged for its duration, whatever clocks say", async () => {
  await using api = await leases();
  api.state.lease = {
    metadata: { resourceVersion: '0' },
    // A clock that is a year ahead.
    spec: {
      holderIdentity: 'dead',
      leaseDurationSeconds: 1,
      renewTime: '2099-01-01T00:00:00.000000Z' as never,
    },
  };
  const stop = new AbortController();
  const began = performance.now();
  await api.elect('two').run(async () => stop.abort(), stop.signal);
  expect(performance.now() - began).toBeGreaterThan(900);
});

test('what the leader throws is thrown, and the lease is given back', async () => {
  await using api = await leases();
  const run = api.elect('one').run(async () => {
    throw new Error('a defect');
  }, new AbortController().signal);
  await expect(run).rejects.toThrow('a defect');
  expect(api.state.lease?.spec?.holderIdentity).toBe('');
});

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/ns/leases';
const LEASE = `${LEASES}/lease`;

/** An API server with one Lease. `refusal` is the status of the answer to each write. */
function memory(lease?: V1Lease) {
  const state = { lease, version: 0, refusal: undefined as number | undefined };
  const times: number[] = [];
  const lines: string[] = [];
  const put = (body: unknown): unknown => {
    if (state.refusal !== undefined) return state.refusal;
    state.version += 1;
    const { metadata, ...rest } = body as V1Lease;
    state.lease = { ...rest, metadata: { ...metadata, resourceVersion: String(state.version) } };
    return state.lease;
  };
  const api = new FakeClient()
    .on(`GET ${LEASE}`, () => {
      times.push(performance.now());
      return state.lease ?? 404;
    })
    .on(`POST ${LEASES}`, put)
    .on(`PUT ${LEASE}`, put);
  const lead = (options: LeaseTiming = {}) => {
    const stop = new AbortController();
    const told = { leads: false };
    const election = new LeaderElection({
      client: api.client,
      namespace: 'ns',
      name: 'lease',
      identity: 'one',
      log: pino({ level: 'warn' }, { write: (line) => void lines.push(line) }),
      ...options,
    });
    const ended = election
      .run(async (over) => {
        told.leads = true;
        await until(over);
        told.leads = false;
      }, stop.signal)
      .catch((error: unknown) => error);
    return { told, stop, ended };
  };
  const asked = (): string[] => api.asked.map(({ method }) => method);
  return { state, api, asked, times, lines, lead };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const held = (spec: object): V1Lease => ({ metadata: { resourceVersion: 'a' }, spec });

/**
 * Leads, changes the API server and stops leading.
 * @returns the requests at the end
 */
async function giveBack(change: (state: ReturnType<typeof memory>['state']) => void) {
  const all = memory();
  const { stop, ended } = all.lead();
  await pass(0);
  const before = all.asked().length;
  change(all.state);
  stop.abort();
  await ended;
  return { asked: all.asked().slice(before), lines: all.lines, spec: all.state.lease?.spec };
}

/** Elections against an API server in memory, by a clock that only the test moves. */
describe('by the clock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    vi.spyOn(Math, 'random').mockReturnValue(0);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  test('a Lease that nobody has is made by one write, and renewed after the period of the defaults', async () => {
    const { state, asked, lead } = memory();
    const { told, stop, ended } = lead();
    await pass(0);
    expect(told.leads).toBe(true);
    const { duration, retryPeriod } = LEASE_DEFAULTS;
    expect(state.lease?.spec).toMatchObject({
      holderIdentity: 'one',
      leaseDurationSeconds: duration,
      leaseTransitions: 0,
    });
    await pass(retryPeriod * 1000 - 1);
    expect(asked()).toEqual(['GET', 'POST']);
    await pass(1);
    expect(asked()).toEqual(['GET', 'POST', 'GET', 'PUT']);
    expect(state.lease?.spec?.leaseTransitions).toBe(0);
    stop.abort();
    await ended;
  });

  test('a leader that cannot renew leads until its deadline, and no longer', async () => {
    const { state, lead, lines } = memory();
    const { told, ended } = lead();
    await pass(0);
    state.refusal = 503;
    await pass(LEASE_DEFAULTS.renewDeadline * 1000 - 1);
    expect(told.leads).toBe(true);
    expect(lines).toHaveLength(LEASE_DEFAULTS.renewDeadline / LEASE_DEFAULTS.retryPeriod - 1);
    await pass(1);
    expect(told.leads).toBe(false);
    expect(await ended).toMatchObject({ code: 'LeaseLost' });
  });

  test('a leader whose Lease another has taken ends at its next renewal', async () => {
    const { state, lead } = memory();
    const { told, ended } = lead({ retryPeriodMs: 100 });
    await pass(0);
    state.lease = held({ holderIdentity: 'two', leaseDurationSeconds: 15 });
    await pass(99);
    expect(told.leads).toBe(true);
    await pass(1);
    expect(told.leads).toBe(false);
    expect(await ended).toMatchObject({ code: 'LeaseLost' });
    // The new leader's Lease stays.
    expect(state.lease.spec?.holderIdentity).toBe('two');
  });

  test.each([
    ['of the Lease', { holderIdentity: 'two', leaseDurationSeconds: 50 }, {}],
    ['of this replica, where the Lease has none', { holderIdentity: 'two' }, { leaseDurationMs: 50_000 }],
  ])('another’s Lease is taken after the duration %s, and no earlier', async (_, spec, timing) => {
    const { state, lead } = memory(held(spec));
    const { told, stop, ended } = lead({ ...timing, retryPeriodMs: 50 });
    await pass(49_999);
    expect(told.leads).toBe(false);
    await pass(1);
    expect(told.leads).toBe(true);
    expect(state.lease?.spec).toMatchObject({ holderIdentity: 'one', leaseTransitions: 1 });
    stop.abort();
    await ended;
  });

  test('a replica that waits asks once a period, and up to a fifth later', async () => {
    const { times, lead } = memory(held({ holderIdentity: 'two', leaseDurationSeconds: 50 }));
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const { stop, ended } = lead({ retryPeriodMs: 100 });
    await pass(250);
    expect(times.map((time) => time - times[0]!)).toEqual([0, 110, 220]);
    stop.abort();
    await ended;
  });

  test('a duration counts in whole seconds, rounded up', async () => {
    const { state, lead } = memory();
    const { stop, ended } = lead({ leaseDurationMs: 2_001 });
    await pass(0);
    expect(state.lease?.spec?.leaseDurationSeconds).toBe(3);
    stop.abort();
    await ended;
  });

  test('no call outlasts two periods, or five seconds when the Lease is given back', async () => {
    const timeout = vi.spyOn(AbortSignal, 'timeout');
    const { lead } = memory();
    const { stop, ended } = lead({ retryPeriodMs: 100 });
    await pass(0);
    expect(timeout.mock.calls).toEqual([[200]]);
    stop.abort();
    await ended;
    expect(timeout.mock.calls).toEqual([[200], [5_000]]);
  });

  test.each([
    [409, 0],
    [503, 1],
  ])('a write that ends with %d has %d lines in the log, and is tried again', async (status, count) => {
    const { state, lead, lines } = memory();
    state.refusal = status;
    const { told, stop, ended } = lead({ retryPeriodMs: 100 });
    await pass(0);
    expect([told.leads, lines.length]).toEqual([false, count]);
    state.refusal = undefined;
    await pass(100);
    expect([told.leads, lines.length]).toEqual([true, count]);
    stop.abort();
    await ended;
  });

  describe('a Lease that is given back', () => {
    test('has no holder, and is over in a second', async () => {
      const { asked, lines, spec } = await giveBack(() => undefined);
      expect([asked, lines]).toEqual([['GET', 'PUT'], []]);
      expect(spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
    });

    test('is tried three times where others write the Lease meanwhile', async () => {
      const { asked, lines } = await giveBack((state) => (state.refusal = 409));
      expect(asked).toEqual(['GET', 'PUT', 'GET', 'PUT', 'GET', 'PUT']);
      expect(lines).toEqual([expect.stringContaining('other writers change the Lease at each try')]);
    });

    test('is tried once where the write fails otherwise', async () => {
      const { asked, lines } = await giveBack((state) => (state.refusal = 503));
      expect(asked).toEqual(['GET', 'PUT']);
      expect(lines).toHaveLength(1);
    });

    test('stays as it is where another one has it', async () => {
      const { asked, lines, spec } = await giveBack((state) => {
        state.lease = held({ holderIdentity: 'two' });
      });
      expect([asked, lines, spec]).toEqual([['GET'], [], { holderIdentity: 'two' }]);
    });
  });
});
