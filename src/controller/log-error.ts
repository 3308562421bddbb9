import { stdSerializers } from 'pino';
import { MultinicError } from '../api/errors.ts';

/**
 * An error as the controller's log has it. An error with a code says by its message what happened, so its stack is left
 * out: an outage of the API server or of a disk would otherwise bury the log in stacks. A defect below such an error
 * keeps its stack.
 */
export function serializeError(error: Error): object {
  const serialized = stdSerializers.err(error);
  if (!(error instanceof MultinicError) || hasDefect(error.cause)) return serialized;
  const { stack: _, ...rest } = serialized;
  return rest;
}

/** Whether an error, or a cause of an error, has no code: errors of the system, of its libraries and ours have one. */
function hasDefect(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return !('code' in error) || hasDefect(error.cause);
}
