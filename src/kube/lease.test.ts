import type { V1Lease } from '@kubernetes/client-node';
import pino from 'pino';
import { expect, test, vi } from 'vitest';
import { apiServer } from '../../test/support/kube.ts';
import { LeaderElection } from './lease.ts';

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
  // The leader releases the Lease, so that no replica has to wait until it expires.
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
