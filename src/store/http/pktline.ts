// pkt-lines, the framing of git's protocols: four hex digits of length, which count themselves, then the payload.

/** Ends a section. */
export const FLUSH = Buffer.from('0000');
const HEADER = 4;
const MAX_PAYLOAD = 65_516;

/** One pkt-line. @throws RangeError beyond the 65,516 bytes that a pkt-line may carry */
export function pkt(payload: string | Uint8Array): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload);
  if (bytes.length > MAX_PAYLOAD) throw new RangeError(`a pkt-line of ${bytes.length} bytes`);
  const length = (bytes.length + HEADER).toString(16).padStart(HEADER, '0');
  return Buffer.concat([Buffer.from(length), bytes]);
}

export interface Section {
  /** Payloads up to the flush, without their length. */
  readonly lines: readonly Buffer[];
  /** Offset of the first byte after the flush. */
  readonly end: number;
}

/** Reads one section, up to its flush; undefined when the bytes are not one whole section of pkt-lines. */
export function readSection(bytes: Buffer, start = 0): Section | undefined {
  const lines: Buffer[] = [];
  for (let at = start; ;) {
    const digits = bytes.toString('latin1', at, at + HEADER);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) return undefined;
    const length = Number.parseInt(digits, 16);
    if (length === 0) return { lines, end: at + HEADER };
    // Lengths 1 to 3 are special packets of protocol v2, which the callers of this function never get.
    if (length < HEADER || at + length > bytes.length) return undefined;
    lines.push(bytes.subarray(at + HEADER, at + length));
    at += length;
  }
}

/** Wraps bytes for one band of side-band-64k: 1 is data, 2 is what the client prints after `remote: `. */
export function sideband(band: 1 | 2, bytes: Uint8Array): Buffer {
  const packets: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += MAX_PAYLOAD - 1) {
    const part = bytes.subarray(at, at + MAX_PAYLOAD - 1);
    packets.push(pkt(Buffer.concat([Buffer.of(band), part])));
  }
  return Buffer.concat(packets);
}
