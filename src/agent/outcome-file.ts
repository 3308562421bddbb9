import { rmSync, writeFileSync } from 'node:fs';
import type { Observation } from '../api/observation.ts';
import { OUTCOME_MAX_BYTES, type Outcome } from '../api/outcome.ts';
import { replaceFile } from './files/durable-file.ts';

const MESSAGE_MAX = 1200;
/** Lists in the order in which they are cut. `found` is last, because the controller adopts its names. */
const CUT_ORDER = ['removed', 'written', 'missing', 'found'] as const;

/** Shortens a report to the size of a pod's termination message, and says how much was left out. */
export function fitOutcome(outcome: Outcome): Outcome {
  let fitted: Outcome = { ...outcome, ...shortened(outcome.message, MESSAGE_MAX) };
  for (const list of CUT_ORDER) {
    while (size(fitted) > OUTCOME_MAX_BYTES && fitted[list].length > 0) {
      fitted = { ...fitted, [list]: fitted[list].slice(0, -1), omitted: (fitted.omitted ?? 0) + 1 };
    }
  }
  return fitted;
}

/** Shortens a report like `fitOutcome`. The digest still tells apart two reports that keep the same differences. */
export function fitObservation(observation: Observation): Observation {
  let fitted: Observation = { ...observation, ...shortened(observation.message, MESSAGE_MAX) };
  while (size(fitted) > OUTCOME_MAX_BYTES && fitted.differences.length > 0) {
    const differences = fitted.differences.slice(0, -1);
    fitted = { ...fitted, differences, omitted: (fitted.omitted ?? 0) + 1 };
  }
  return fitted;
}

/**
 * Writes a fitted report whole or not at all. A pod's termination log is a mount that cannot be replaced, so it is written
 * in place.
 */
export function writeReport(file: string, report: Outcome | Observation): void {
  const text = `${JSON.stringify(report)}\n`;
  try {
    replaceFile(file, text, 0o644);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EBUSY' && code !== 'EACCES' && code !== 'EROFS' && code !== 'EXDEV') throw error;
    writeFileSync(file, text);
  }
  if (progressFile(file) !== file) rmSync(progressFile(file), { force: true });
}

/** Writes the present step of a run, because a killed run leaves no other report. */
export function writeProgress(outcomeFile: string, step: string, at: Date): void {
  try {
    writeFileSync(progressFile(outcomeFile), `${JSON.stringify({ step, at: at.toISOString() })}\n`);
  } catch {
    // A run does not fail because its progress cannot be written.
  }
}

/** Writes a report that says why no run took place. */
export function writeRefusal(outcomeFile: string, message: string): void {
  try {
    writeFileSync(progressFile(outcomeFile), `${JSON.stringify({ error: message.slice(0, MESSAGE_MAX) })}\n`);
  } catch {
    // The log has the message too, so a failed write loses nothing.
  }
}

/** A pod's termination log outlives its container: the log holds the progress until the report replaces it. */
const TERMINATION_LOG = '/dev/termination-log';

function progressFile(outcomeFile: string): string {
  return outcomeFile === TERMINATION_LOG ? outcomeFile : `${outcomeFile}.progress`;
}

function shortened(message: string | undefined, max: number): { message?: string } {
  if (message === undefined) return {};
  if (message.length <= max) return { message };
  // Keeps both ends of a message: its start says what happened, and its end has the remedy.
  return { message: `${message.slice(0, max - 300)} … ${message.slice(-297)}` };
}

function size(report: Outcome | Observation): number {
  return Buffer.byteLength(JSON.stringify(report)) + 1;
}
