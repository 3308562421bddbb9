import { hasCode } from '../api/errors.ts';

const ATTEMPTS = 5;

/**
 * Runs a decision that reads tips and writes commits on them. If another process moved a ref meanwhile, the decision
 * starts over from the new tips; the old decision is never replayed.
 * @throws MultinicError `LostRace` after five lost races in a row
 */
export async function retryOnLostRace<T>(decide: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await decide();
    } catch (error) {
      if (!hasCode(error, 'LostRace') || attempt === ATTEMPTS) throw error;
    }
  }
}
