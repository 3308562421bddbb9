// The list of ref updates that opens a push, and git's answer to one: what both sides of receive-pack say.
import { parseOid } from '../../api/oid.ts';
import { FLUSH, pkt, readSection, sideband } from '../http/pktline.ts';
import type { Oid } from '../model/store-port.ts';

export interface PushCommand {
  readonly ref: string;
  /** All zeros: creates the ref. */
  readonly old: Oid;
  /** All zeros: deletes the ref. */
  readonly new: Oid;
}

export interface PushHeader {
  readonly commands: readonly PushCommand[];
  readonly capabilities: ReadonlySet<string>;
  /** Offset of what follows the list: push options, the pack. */
  readonly end: number;
}

const COMMAND = /^([0-9a-f]{40}) ([0-9a-f]{40}) ([^\0\n]+)\n?$/;
const SHALLOW = /^shallow [0-9a-f]{40}\n?$/;

/**
 * Reads the command list at the head of a push. git sends an empty list to try its credentials.
 * @returns undefined when the body begins with no such list: torn, signed (`push-cert`), or of an unknown kind
 */
export function readPushHeader(body: Buffer): PushHeader | undefined {
  const section = readSection(body);
  if (section === undefined) return undefined;
  const commands: PushCommand[] = [];
  let capabilities: ReadonlySet<string> = new Set();
  for (const line of section.lines) {
    const text = line.toString();
    if (SHALLOW.test(text)) continue;
    const [command = '', list] = text.split('\0', 2);
    if (commands.length === 0 && list !== undefined)
      capabilities = new Set(list.trim().split(' ').filter(Boolean));
    const [, before, after, ref] = COMMAND.exec(command) ?? [];
    const [old, next] = [parseOid(before), parseOid(after)];
    if (old === undefined || next === undefined || ref === undefined) return undefined;
    commands.push({ ref, old, new: next });
  }
  return { commands, capabilities, end: section.end };
}

/**
 * The same push with the `atomic` capability, whatever its client asked for: a push of several branches that
 * loses a race on one of them must not move the others.
 */
export function makeAtomic(body: Buffer, header: PushHeader): Buffer {
  if (header.capabilities.has('atomic')) return body;
  const section = readSection(body);
  const lines = section?.lines ?? [];
  const listed = lines.findIndex((line) => line.includes(0));
  // If the push lists no capability, its first command gets a list with `atomic` alone.
  const first = listed >= 0 ? listed : lines.findIndex((line) => !SHALLOW.test(line.toString()));
  const packets = lines.map((line, index) => {
    if (index !== first) return pkt(line);
    return pkt(`${line.toString().replace(/\n$/, '')}${listed >= 0 ? '' : '\0'} atomic`);
  });
  return Buffer.concat([...packets, FLUSH, body.subarray(header.end)]);
}

/** receive-pack's answer to a push that is refused before receive-pack has started: nothing was unpacked. */
export function refusalReport(header: PushHeader, reason: string, message: readonly string[]): Buffer {
  const report: Buffer[] = [];
  if (header.capabilities.has('report-status') || header.capabilities.has('report-status-v2')) {
    report.push(pkt('unpack ok\n'));
    for (const { ref } of header.commands) report.push(pkt(`ng ${ref} ${reason}\n`));
    report.push(FLUSH);
  }
  const status = Buffer.concat(report);
  if (!header.capabilities.has('side-band-64k')) return status;
  const text = Buffer.from(message.map((line) => `${line}\n`).join(''));
  return Buffer.concat([sideband(2, text), sideband(1, status), FLUSH]);
}
