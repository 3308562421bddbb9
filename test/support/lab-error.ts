import { MultinicError, type MultinicErrorOptions } from '../../src/api/errors.ts';
import { readReason } from '../../src/api/reasons/reasons.ts';

/** An error of the test machines, whose code is none of the program's. */
export class LabError extends MultinicError {
  constructor(code: string, message: string, options?: MultinicErrorOptions) {
    super(readReason(code), message, options);
  }
}
