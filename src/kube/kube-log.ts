import { destination, pino, stdTimeFunctions, type Logger } from 'pino';

/** JSON lines on standard output, where a cluster collects them. */
export function createLog(level: string): Logger {
  return pino({ level, base: null, timestamp: stdTimeFunctions.isoTime }, destination({ fd: 1, sync: true }));
}
