import { setTimeout as pause } from 'node:timers/promises';
import { elsewhere } from './host-command.ts';

/** Checks again and again. @returns whether the condition became true in time */
export function until(limitMs: number, holds: () => Promise<boolean>, everyMs = 20): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  return elsewhere(async () => {
    for (;;) {
      if (await holds()) return true;
      if (performance.now() > deadline) return false;
      await pause(everyMs);
    }
  });
}
