// Returns the refusal of invalid input that an act throws, so that a test can check its problems.

import { InvalidInputError } from '../../src/api/errors.ts';

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
