// Request bodies: whole or not at all, decompressed, within a limit.
import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { MultinicError } from '../../api/errors.ts';
import type { ByteAccount } from './byte-budget.ts';

export interface BodyLimits {
  /** Bytes after decompression. */
  readonly limit: number;
  /**
   * Bytes of a too large body that are read and discarded, because a client reads the reason only after it has sent
   * everything. A larger body ends the connection.
   */
  readonly drain?: number;
  /** The account that the kept bytes count for. */
  readonly account?: ByteAccount;
  /** Time after which an incomplete body ends the connection. */
  readonly timeoutMs?: number;
}

export interface Body {
  /** The body, or its first `limit` bytes. */
  readonly bytes: Buffer;
  /** Bytes of the whole body after decompression. */
  readonly size: number;
  readonly complete: boolean;
}

/**
 * Reads a body whole, gunzipped where its header says so.
 * @throws MultinicError `PayloadTooLarge` beyond limit and drain, `Busy` when too many bytes are in memory, `UnsupportedEncoding`, `BadRequest` for broken gzip
 */
export async function readBody(request: IncomingMessage, limits: BodyLimits): Promise<Body> {
  const cut = Math.max(limits.limit, limits.drain ?? 0);
  const tooLarge = (): MultinicError =>
    new MultinicError(
      'PayloadTooLarge',
      `the request's body is larger than ${cut} bytes: send less at once`,
      {
        data: { limit: cut },
      },
    );
  if (Number(request.headers['content-length'] ?? 0) > cut) throw tooLarge();

  const chunks: Buffer[] = [];
  let kept = 0;
  let size = 0;
  const collect = async (source: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of source) {
      size += chunk.length;
      if (size > cut) throw tooLarge();
      const part = chunk.subarray(0, limits.limit - kept);
      limits.account?.take(part.length);
      if (part.length > 0) chunks.push(part);
      kept += part.length;
    }
  };

  const timer =
    limits.timeoutMs === undefined ? undefined : setTimeout(() => request.destroy(), limits.timeoutMs);
  request.once('close', () => clearTimeout(timer));
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') await pipeline(request, collect);
  else if (encoding === 'gzip' || encoding === 'x-gzip') {
    await pipeline(request, createGunzip(), collect).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))
        throw new MultinicError('BadRequest', 'the body is not gzip, as its header says: send it again');
      throw error;
    });
  } else
    throw new MultinicError(
      'UnsupportedEncoding',
      `Content-Encoding ${encoding} is not understood: send gzip, or none`,
    );
  clearTimeout(timer);
  return { bytes: Buffer.concat(chunks), size, complete: size === kept };
}
