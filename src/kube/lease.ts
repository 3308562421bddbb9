// Leader election by a Lease, as client-go does it. Another holder's Lease has expired if this process has seen it
// unchanged for its duration; two machines' clocks are never compared.

import type { V1Lease } from '@kubernetes/client-node';
import type { Logger } from 'pino';
import { LEASE_DEFAULTS } from '../api/defaults.ts';
import { MultinicError } from '../api/errors.ts';
import { pause } from './backoff.ts';
import { hasStatus, type KubeClient } from './client.ts';

/** Milliseconds. */
export interface LeaseTiming {
  /** Time without renewal after which other replicas may take the Lease over. */
  readonly leaseDurationMs?: number;
  /** Time without a successful renewal after which the leader gives up: well before others may take over. */
  readonly renewDeadlineMs?: number;
  readonly retryPeriodMs?: number;
}

export interface LeaderElectionOptions extends LeaseTiming {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Identity of this replica. */
  readonly identity: string;
  readonly log: Logger;
}

const RELEASE_MS = 5_000;
const RELEASE_TRIES = 3;

interface Seen {
  readonly lease: V1Lease;
  /** Time at which this process first saw the Lease in this state, by a clock that never goes back. */
  readonly at: number;
}

export class LeaderElection {
  readonly #options: Required<LeaderElectionOptions>;
  #seen: Seen | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = {
      leaseDurationMs: LEASE_DEFAULTS.duration * 1000,
      renewDeadlineMs: LEASE_DEFAULTS.renewDeadline * 1000,
      retryPeriodMs: LEASE_DEFAULTS.retryPeriod * 1000,
      ...options,
    };
  }

  /** The leader, as last seen. */
  get leader(): string | undefined {
    return this.#seen?.lease.spec?.holderIdentity || undefined;
  }

  /**
   * Waits for the Lease, then runs `onStarted` until it ends, then releases the Lease. The signal that `onStarted` gets
   * is aborted when the Lease is lost or `stop` is aborted.
   * @throws what `onStarted` threw; MultinicError `LeaseLost`
   */
  async run(onStarted: (signal: AbortSignal) => Promise<void>, stop: AbortSignal): Promise<void> {
    const { identity, log, retryPeriodMs } = this.#options;
    while (!(await this.#tryToHold(stop))) {
      if (stop.aborted) return;
      await pause(retryPeriodMs * (1 + Math.random() * 0.2), stop);
    }
    if (stop.aborted) return this.#release();
    log.info({ identity }, 'leading');
    const lost = new AbortController();
    const ended = new AbortController();
    const renewing = this.#renew(lost, ended.signal);
    try {
      await onStarted(AbortSignal.any([lost.signal, stop]));
    } finally {
      ended.abort();
      await renewing;
      if (!lost.signal.aborted) await this.#release();
    }
    if (lost.signal.aborted) {
      throw new MultinicError('LeaseLost', 'another replica may lead now: this one starts again');
    }
  }

  async #renew(lost: AbortController, ended: AbortSignal): Promise<void> {
    const { retryPeriodMs, renewDeadlineMs, log } = this.#options;
    let renewedAt = performance.now();
    while (!ended.aborted) {
      await pause(retryPeriodMs, ended);
      if (ended.aborted) return;
      if (await this.#tryToHold(ended)) {
        renewedAt = performance.now();
        continue;
      }
      const held = this.leader === this.#options.identity;
      if (held && performance.now() - renewedAt < renewDeadlineMs) continue;
      log.error({ leader: this.leader }, 'the lease is lost');
      lost.abort(new MultinicError('LeaseLost', 'the lease is lost: this replica ends'));
      return;
    }
  }

  /** One try to take or to renew. @returns whether this replica holds it now */
  async #tryToHold(signal: AbortSignal): Promise<boolean> {
    const { log, retryPeriodMs } = this.#options;
    try {
      // A hanging call must not outlast the deadline, so the call has a time-out.
      return await this.#hold(AbortSignal.any([signal, AbortSignal.timeout(retryPeriodMs * 2)]));
    } catch (error) {
      if (signal.aborted || hasStatus(error, 409)) return false;
      log.warn({ err: error }, 'the Lease could not be taken or renewed: trying again');
      return false;
    }
  }

  async #hold(signal: AbortSignal): Promise<boolean> {
    const { client, identity, leaseDurationMs } = this.#options;
    const now = microTime();
    const mine = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      renewTime: now,
    };
    const found = await this.#read(signal);
    if (found === undefined) {
      const body = { ...this.#skeleton(), spec: { ...mine, acquireTime: now, leaseTransitions: 0 } };
      this.#see(await client.request<V1Lease>('POST', this.#path(), { body, signal }));
      return true;
    }
    const { spec } = found.lease;
    const holder = spec?.holderIdentity || undefined;
    const held = holder === identity;
    if (!held && holder !== undefined && performance.now() - found.at < this.#durationOf(found.lease))
      return false;
    const body = {
      ...found.lease,
      spec: {
        ...spec,
        ...mine,
        ...(!held && { acquireTime: now, leaseTransitions: (spec?.leaseTransitions ?? 0) + 1 }),
      },
    };
    // The resourceVersion in the body makes this PUT a compare-and-swap.
    this.#see(await client.request<V1Lease>('PUT', this.#path(this.#options.name), { body, signal }));
    return true;
  }

  async #read(signal: AbortSignal): Promise<Seen | undefined> {
    try {
      const lease = await this.#options.client.request<V1Lease>('GET', this.#path(this.#options.name), {
        signal,
      });
      return this.#see(lease);
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }

  #see(lease: V1Lease): Seen {
    const same = this.#seen?.lease.metadata?.resourceVersion === lease.metadata?.resourceVersion;
    if (!same || this.#seen === undefined) this.#seen = { lease, at: performance.now() };
    return this.#seen;
  }

  /** Releases the Lease, so that the next replica does not wait until it expires. */
  async #release(): Promise<void> {
    const { identity, log } = this.#options;
    try {
      for (let tries = 1; !(await this.#clearHolder()); tries += 1) {
        if (tries === RELEASE_TRIES) throw new Error('other writers change the Lease at each try');
      }
    } catch (error) {
      log.warn({ err: error, identity }, 'the Lease could not be released: it expires by itself');
    }
  }

  /** @returns false: another process has written the Lease in between */
  async #clearHolder(): Promise<boolean> {
    const { client, identity, log, name } = this.#options;
    // Read the Lease again: an abandoned renewal may have arrived all the same.
    const lease = (await this.#read(AbortSignal.timeout(RELEASE_MS)))?.lease;
    if (lease?.spec?.holderIdentity !== identity) return true;
    const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() };
    try {
      const body = { ...lease, spec };
      await client.request('PUT', this.#path(name), { body, timeoutMs: RELEASE_MS });
    } catch (error) {
      if (hasStatus(error, 409)) return false;
      throw error;
    }
    log.info({ identity }, 'Lease released');
    return true;
  }

  #durationOf({ spec }: V1Lease): number {
    return (spec?.leaseDurationSeconds ?? this.#options.leaseDurationMs / 1000) * 1000;
  }

  #skeleton(): object {
    const { namespace, name } = this.#options;
    return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name } };
  }

  #path(name?: string): string {
    const leases = `/apis/coordination.k8s.io/v1/namespaces/${this.#options.namespace}/leases`;
    return name === undefined ? leases : `${leases}/${name}`;
  }
}

/** `2026-01-01T00:00:00.000000Z`, as a Lease wants it. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
