import { MultinicError } from '../../api/errors.ts';
import type { Reason } from '../../api/reasons/reasons.ts';

const REASONS: Readonly<Record<string, readonly [code: Reason, remedy: string]>> = {
  ENOSPC: ['DiskFull', 'free some space on the node, then run `multinic retry`'],
  EDQUOT: ['DiskFull', 'raise the quota on the node, then run `multinic retry`'],
  EROFS: ['HostReadOnly', 'remount the file system read-write, then run `multinic retry`'],
  EACCES: ['HostPermissionDenied', 'run the agent as root with the host mounted read-write'],
  EPERM: ['HostPermissionDenied', 'check for the immutable attribute (lsattr) and security modules'],
};

/** Names the operation that the operating system refused, in words that an operator can act on. */
function hostIoError(error: unknown, path: string): Error {
  if (error instanceof MultinicError || !(error instanceof Error)) return error as Error;
  const errno = (error as NodeJS.ErrnoException).code ?? '';
  const [code, remedy] = REASONS[errno] ?? ['HostIo', 'look at the node’s disk and its kernel log'];
  return new MultinicError(code, `${path}: ${error.message}; ${remedy}`, {
    cause: error,
    data: { path, errno },
  });
}

/** Runs a file operation; its error names the operation that was refused. */
export function guarded<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw hostIoError(error, path);
  }
}
