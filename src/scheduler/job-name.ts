// Names of Jobs: multinic-agent-<node id>-<yyyymmddhhmmss>, UTC. Operators type these names, so the form is frozen.
import { createHash } from 'node:crypto';

const PREFIX = 'multinic-agent-';
/** Longest Job name: Kubernetes puts it on the Job's pods as a label, whose value has at most 63 characters. */
const MAX_LENGTH = 63;
const STAMP_LENGTH = 14;
const MAX_ID = MAX_LENGTH - PREFIX.length - 1 - STAMP_LENGTH;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @param stampSeconds seconds since 1970; two Jobs of one node never share it */
export function jobName(nodeId: string, stampSeconds: number): string {
  return `${PREFIX}${jobNodeId(nodeId)}-${formatStamp(stampSeconds)}`;
}

/** Seconds since 1970 of a Job's name; undefined when the name has another form. */
export function jobStamp(name: string): number | undefined {
  const digits = /^multinic-agent-.+-(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(name);
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
  if (plain === lower && plain.length <= MAX_ID) return plain;
  const digest = createHash('sha256').update(lower).digest('hex').slice(0, 8);
  return `${plain.slice(0, MAX_ID - digest.length - 1)}-${digest}`;
}

function formatStamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replaceAll(/\D/g, '').slice(0, STAMP_LENGTH);
}
