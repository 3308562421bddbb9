// For tests: returns the refusal itself, so that a test can check its problems.

import { InvalidInputError } from '../api/errors.ts';

/** @throws Error when nothing was refused */
export function thrownBy(act: () => unknown): InvalidInputError {
  try {
    act();
  } catch (error) {
    if (error instanceof InvalidInputError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
