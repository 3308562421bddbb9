// Formats of the store's commits, and the names of its refs.

import { oid } from '../support/oid.ts';
import type { Observation } from '../../src/api/observation.ts';
import type { Outcome } from '../../src/api/outcome.ts';
import { KINDS, TRAILER } from '../../src/history/commit-format.ts';
import { recordDrift, recordObserved } from '../../src/history/drift-record.ts';
import { recordOutcome, recordRequest, type OutcomeRecord } from '../../src/history/outcome-branch.ts';
import { MAIN, MIRRORED, outcomeRef } from '../../src/history/refs.ts';
import { renderTree } from '../../src/network/tree.ts';
import { recordPushes } from '../../src/store/push/audit.ts';
import { AUDIT_REF } from '../../src/store/model/store-refs.ts';
import { Batch } from '../../src/store/model/batch.ts';
import { WRITER_REF } from '../../src/store/model/store-refs.ts';
import { CONTROLLER } from '../../src/store/model/committer.ts';
import type { Commit, Reader } from '../../src/store/model/store-port.ts';
import type { Store } from '../../src/store/store.ts';

import { identity } from '../support/agent.ts';
import { inSources } from './sources.ts';
import { nodeRef } from '../../src/network/node-ref.ts';

const OID = oid('c'.repeat(40));

export function refs(): string[] {
  const known = [
    MAIN,
    MIRRORED,
    nodeRef('NODE'),
    nodeRef('NODE.lock'),
    outcomeRef('NODE'),
    AUDIT_REF,
    WRITER_REF,
  ];
  return [...known, ...inSources(/'(refs\/(?:meta|audit|multinic)\/[^']+)'/g)];
}

/** Signatures of commits: the controller's address tells its commits from commits of people. */
export function signatures(): string[] {
  return [`${CONTROLLER.name} <${CONTROLLER.email}>`];
}

export function trailers(): string[] {
  return [...new Set([...Object.values(TRAILER), ...KINDS.map((kind) => `${TRAILER.change}: ${kind}`)])];
}

/** Trailers of outcomes, requests, and records of pushes. */
export async function recordedTrailers(): Promise<string[]> {
  const batch = new Batch();
  const end = { node: 'worker-1', job: 'JOB', stamp: 1, commit: OID, attempt: 1 };
  await recordOutcome(READER, batch, OID, { ...end, outcome: OUTCOME });
  recordRequest(batch, OID, {
    node: 'worker-1',
    request: 'retry',
    by: { name: 'Alice', email: '' },
    principal: 'alice',
    job: 'JOB',
    stamp: 1,
  });
  const finding = { observation: OBSERVATION, stamp: 1, tip: OID, onHost: { oid: OID } as OutcomeRecord };
  const drift = { ...finding, first: true, bootBefore: 'BOOT' };
  await recordDrift(READER, batch, drift, new Map());
  await recordObserved(READER, batch, finding);
  const push = { principal: { name: 'alice', role: 'write' }, ref: 'REF', old: OID, new: OID };
  await recordPushes({ transact: recorder(batch) } as unknown as Store, [push as never]);
  return batch.commits.flatMap(({ subject, trailers: list }) => [
    ...list.map(([key]) => key),
    `subject ${subject.replaceAll(/c{10,}/g, 'COMMIT')}`,
  ]);
}

function recorder(into: Batch): (make: (reader: Reader) => Promise<Batch>) => Promise<string[]> {
  return async (make) => {
    into.commits.push(...(await make(READER)).commits);
    return [OID];
  };
}

const OBSERVATION: Observation = {
  version: 1,
  mode: 'observe',
  node: 'worker-1',
  job: 'JOB',
  commit: OID,
  result: 'Drifted',
  step: 'report',
  machineId: 'MACHINE',
  bootId: 'BOOT',
  startedAt: '2026-01-01T00:00:00Z',
  durationMs: 1250,
  differences: [{ kind: 'LinkDown', mac: '02:00:00:00:01:01' }],
  digest: 'd'.repeat(64),
};

const READER = {
  ref: async () => OID,
  files: async () => renderTree(identity('netplan'), []),
  commit: async () => SPEC,
} as unknown as Reader;

const SPEC: Commit = {
  oid: OID,
  tree: OID,
  parents: [],
  author: { ...CONTROLLER, time: 1 },
  committer: { ...CONTROLLER, time: 1 },
  subject: 'worker-1: add multinic0',
  body: '',
  trailers: [
    [TRAILER.change, 'spec'],
    [TRAILER.mainCommit, OID],
  ],
} as unknown as Commit;

const OUTCOME: Outcome = {
  version: 1,
  node: 'worker-1',
  job: 'JOB',
  commit: OID,
  result: 'Diverged',
  reason: 'RecordDiffers',
  step: 'plan',
  machineId: 'MACHINE',
  bootId: 'BOOT',
  startedAt: '2025-01-21T10:32:00Z',
  durationMs: 1250,
  written: [],
  removed: [],
  missing: ['02:00:00:00:01:01'],
  leftOut: ['02:00:00:00:01:02'],
  found: [{ mac: '02:00:00:00:01:01', name: 'multinic0' }],
  record: null,
  warnings: ['NetworkdHoldsOldFile'],
};
