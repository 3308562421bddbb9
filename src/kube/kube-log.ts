import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';
import { serializeError } from '../controller/log-error.ts';

/** JSON lines on standard output, where a cluster collects them. */
export function createLog(
  level: string,
  stream: DestinationStream = destination({ fd: 1, sync: true }),
): Logger {
  const serializers = { err: serializeError };
  return pino({ level, base: null, timestamp: stdTimeFunctions.isoTime, serializers }, stream);
}
