// Writes the records of observations on an outcome branch: the drift of a host, and the end of a drift.

import { describeDifference } from '../api/difference-words.ts';
import type { HostTree, Observation } from '../api/observation.ts';
import { managedFiles, treeId } from '../network/tree.ts';
import type { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Oid, Reader } from '../store/model/store-port.ts';
import { subject } from './commit-format.ts';
import { line, systemAt, type OutcomeRecord } from './outcome-branch.ts';
import { KEY } from './outcome-record.ts';
import { outcomeRef } from './refs.ts';

/** An observation that is about to be recorded. */
export interface Finding {
  readonly observation: Observation;
  readonly stamp: number;
  /** Tip of the outcome branch. */
  readonly tip: Oid;
  /** The run that put the host in its state. */
  readonly onHost: OutcomeRecord;
}

export interface DriftFinding extends Finding {
  /** Files that the agent sent; absent: the store does not have them. */
  readonly host?: HostTree;
  readonly bootBefore?: string;
  /** The first observation of the node found the drift. */
  readonly first: boolean;
}

/**
 * The managed files of a drifted host; if the agent sent none, the applied files.
 * @returns undefined: the sent files are not those that the agent reported
 */
export async function filesOfHost(
  reader: Reader,
  { host, onHost }: Pick<DriftFinding, 'host' | 'onHost'>,
): Promise<ReadonlyMap<string, string> | undefined> {
  if (host === undefined) return reader.files(onHost.oid);
  const files = new Map(managedFiles(await reader.files(host.commit)));
  for (const [path, content] of Object.entries(host.files)) {
    if (content === null) files.delete(path);
    else files.set(path, content);
  }
  return treeId(files) === host.tree ? files : undefined;
}

/** Adds the commit of a drift. The commit's tree has the host's files. */
export async function recordDrift(
  reader: Reader,
  batch: Batch,
  finding: DriftFinding,
  files: ReadonlyMap<string, string>,
): Promise<void> {
  const { observation, bootBefore, first } = finding;
  const { differences, omitted = 0, digest } = observation;
  const count = differences.length + omitted;
  const lines = differences.map(describeDifference);
  const mark = batch.commit({
    parents: [finding.tip, observation.commit],
    replace: true,
    files,
    author: CONTROLLER,
    subject: subject(
      observation.node,
      `Drifted from ${observation.commit.slice(0, 10)} (${count === 1 ? '1 difference' : `${count} differences`})`,
    ),
    body: [...lines, ...(omitted === 0 ? [] : [`and ${omitted} more`])].join('\n'),
    trailers: [
      ...(await commonTrailers(reader, finding, 'Drifted')),
      ...line(KEY.bootBefore, bootBefore),
      ...line(KEY.digest, digest),
      ...(first ? [[KEY.first, 'true'] as const] : []),
      ...(observation.warnings ?? []).map((code) => [KEY.warning, code] as const),
      ...differences.map((each) => [KEY.difference, JSON.stringify(each)] as const),
    ],
  });
  batch.move(outcomeRef(observation.node), mark, finding.tip);
}

/** Adds the commit that says that the drift of a host is gone. */
export async function recordObserved(reader: Reader, batch: Batch, finding: Finding): Promise<void> {
  const { observation, onHost, tip } = finding;
  const mark = batch.commit({
    parents: [tip, observation.commit],
    replace: true,
    files: await reader.files(onHost.oid),
    author: CONTROLLER,
    subject: subject(observation.node, `Observed ${observation.commit.slice(0, 10)}: the drift is gone`),
    trailers: await commonTrailers(reader, finding, 'Observed'),
  });
  batch.move(outcomeRef(observation.node), mark, tip);
}

async function commonTrailers(
  reader: Reader,
  { observation, stamp }: Finding,
  result: 'Drifted' | 'Observed',
): Promise<(readonly [string, string])[]> {
  return [
    [KEY.result, result],
    [KEY.job, observation.job],
    [KEY.stamp, String(stamp)],
    ...line(KEY.machine, observation.machineId || undefined),
    ...line(KEY.system, await systemAt(reader, observation.commit)),
    ...line(KEY.boot, observation.bootId || undefined),
  ];
}
