import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { destination, pino, type Logger } from 'pino';
import { serializeError } from '../controller/log-error.ts';

/** Logs JSON lines to `DIR/controller.log`, for programs and post-mortems; people read the events instead. */
export function createLog(dir: string): Logger {
  mkdirSync(dir, { recursive: true });
  return pino(
    { level: process.env['MULTINIC_LOG_LEVEL'] ?? 'info', serializers: { err: serializeError } },
    destination({ dest: join(dir, 'controller.log'), sync: true }),
  );
}
