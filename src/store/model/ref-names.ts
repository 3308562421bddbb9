// Checks names that are to become refs or paths, before git sees them.

import { MultinicError } from '../../api/errors.ts';

// oxlint-disable-next-line no-control-regex -- what git refuses in a ref
const BAD_REF = /[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|\/\.|\.lock(\/|$)|[./]$/;
// oxlint-disable-next-line no-control-regex -- what would end a path in fast-import's input
const BAD_PATH = /[\u0000-\u001f\u007f"\\]/;
const BAD_SEGMENT = /^(\.{0,2}|\.git)$/i;

/** Whether git takes `ref` as a full ref name. Any other text may be an expression that git would evaluate. */
export function isRef(ref: string): boolean {
  return (
    ref.startsWith('refs/') &&
    !BAD_REF.test(ref) &&
    ref.split('/').every((part) => Buffer.byteLength(part) <= MAX_REF_PART)
  );
}

/**
 * Longest part of a ref's name, in bytes: git locks the ref by a file of that name with `.lock`, and a file name has at
 * most 255.
 */
export const MAX_REF_PART = 250;

/** @throws MultinicError `InvalidBatch` unless git takes `ref` as a full ref name. */
export function expectRef(ref: string): void {
  if (isRef(ref)) return;
  throw new MultinicError('InvalidBatch', `${JSON.stringify(ref)} cannot be a ref; rename the node`, {
    data: { ref },
  });
}

/** @throws MultinicError `InvalidBatch` unless `path` is a plain relative path. */
export function expectPath(path: string): void {
  if (!BAD_PATH.test(path) && !path.split('/').some((segment) => BAD_SEGMENT.test(segment))) return;
  throw new MultinicError(
    'InvalidBatch',
    `${JSON.stringify(path)} cannot be a path in the store; use plain names without quotes`,
    { data: { path } },
  );
}
