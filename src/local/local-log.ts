import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { destination, pino, type Logger } from 'pino';

/** JSON lines in `DIR/controller.log`: people read the events, programs and post-mortems this. */
export function createLog(dir: string): Logger {
  mkdirSync(dir, { recursive: true });
  return pino(
    { level: process.env['MULTINIC_LOG_LEVEL'] ?? 'info' },
    destination({ dest: join(dir, 'controller.log'), sync: true }),
  );
}
