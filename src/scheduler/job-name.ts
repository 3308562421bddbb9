// Names and stamps of Jobs: multinic-agent-<node id>-<yyyymmddhhmmss>, UTC, and multinic-observe-… of observations.
// Operators type these names, so the form is frozen.
import { createHash } from 'node:crypto';

const PREFIX = 'multinic-agent-';
const OBSERVE_PREFIX = 'multinic-observe-';
/** Longest Job name: Kubernetes puts it on the Job's pods as a label, whose value has at most 63 characters. */
const MAX_LENGTH = 63;
const STAMP_LENGTH = 14;
const MAX_ID = MAX_LENGTH - PREFIX.length - 1 - STAMP_LENGTH;
const MAX_OBSERVED_ID = MAX_LENGTH - OBSERVE_PREFIX.length - 1 - STAMP_LENGTH;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @param stampSeconds seconds since 1970; two Jobs of one node never share it */
export function jobName(nodeId: string, stampSeconds: number): string {
  return `${PREFIX}${jobNodeId(nodeId)}-${formatStamp(stampSeconds)}`;
}

/**
 * The name of an observation's Job. A UUID has one character more than such a name can hold, so it is cut and gets a few
 * digits of its hash.
 */
export function observationName(nodeId: string, stampSeconds: number): string {
  return `${OBSERVE_PREFIX}${cut(jobNodeId(nodeId), nodeId, MAX_OBSERVED_ID)}-${formatStamp(stampSeconds)}`;
}

/**
 * Stamp of a node's next Job: when the run became due, and later than every recorded run. The history alone gives it, so
 * each pass gives the same Job the same name. All times are seconds since 1970.
 */
export function nextStamp(times: {
  /** Time of the tip, of the end of a pause, and of the requests. */
  readonly becameDue: readonly number[];
  readonly recorded: readonly number[];
}): number {
  return Math.max(...times.becameDue, ...times.recorded.map((stamp) => stamp + 1));
}

/** Seconds since 1970 of a Job's name; undefined when the name has another form. */
export function jobStamp(name: string): number | undefined {
  const digits = /^multinic-(?:agent|observe)-.+-(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(name);
  if (digits === null) return undefined;
  const [year, month, day, hour, minute, second] = digits.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  return Number.isNaN(ms) ? undefined : ms / 1000;
}

/**
 * The node ID as a part of a Kubernetes name: lower case, a UUID without its dashes. An ID that has to be changed or
 * cut otherwise gets a few digits of its hash, so that it stays unique.
 */
export function jobNodeId(nodeId: string): string {
  const lower = nodeId.toLowerCase();
  if (UUID.test(lower)) return lower.replaceAll('-', '');
  const plain = lower.replaceAll(/[^a-z0-9-]/g, '-');
  return plain === lower ? cut(plain, lower, MAX_ID) : withDigest(plain, lower, MAX_ID);
}

function cut(part: string, id: string, length: number): string {
  return part.length <= length ? part : withDigest(part, id.toLowerCase(), length);
}

function withDigest(part: string, id: string, length: number): string {
  const digest = createHash('sha256').update(id).digest('hex').slice(0, 8);
  return `${part.slice(0, length - digest.length - 1)}-${digest}`;
}

function formatStamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replaceAll(/\D/g, '').slice(0, STAMP_LENGTH);
}
