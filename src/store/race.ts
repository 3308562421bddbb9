import { hasCode } from '../api/errors.ts';

const ATTEMPTS = 5;

/**
 * Runs a decision that reads tips and writes on them. A ref that somebody else moved meanwhile makes it start
 * over from the tips: never replay.
 * @throws MultinicError `LostRace` when it lost five times in a row
 */
export async function decideAnew<T>(decide: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await decide();
    } catch (error) {
      if (!hasCode(error, 'LostRace') || attempt === ATTEMPTS) throw error;
    }
  }
}
