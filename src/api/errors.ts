import { factsOf, type AnyReason, type Reason } from './reasons/reasons.ts';
import type { ReasonFacts } from './reasons/reason-rows.ts';

/** One field of an input that is wrong, described in words that an operator can act on. */
export interface Problem {
  /** Path of the field as the operator would find it: `spec.nodeConfigs[1].interfaces[0].address`. */
  readonly path: string;
  /** PascalCase, stable, for programs: `DuplicateMac`. */
  readonly code: AnyReason;
  /** The fault and its remedy, without the path. */
  readonly message: string;
}

export interface MultinicErrorOptions extends ErrorOptions {
  readonly data?: Readonly<Record<string, unknown>>;
}

/**
 * Every error that we raise on purpose. `code` is PascalCase and stable (it doubles as a Kubernetes reason),
 * `message` says what happened and ends with the remedy, `data` has the facts for programs.
 */
export class MultinicError extends Error {
  override readonly name = 'MultinicError';
  readonly code: AnyReason;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: AnyReason, message: string, options: MultinicErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.data = options.data ?? {};
  }
}

/** Problems that a message names. A network of the largest size may have thousands. */
const NAMED_PROBLEMS = 10;

/** Bad input: nothing was touched; every problem names its field. The message has the first ten. */
export class InvalidInputError extends MultinicError {
  readonly problems: readonly Problem[];

  constructor(code: AnyReason, subject: string, problems: readonly Problem[]) {
    const named = problems.slice(0, NAMED_PROBLEMS).map(formatProblem);
    const more = problems.length - named.length;
    if (more > 0) named.push(`and ${more} more`);
    super(code, `${subject}: ${named.join('; ')}`, { data: { problems } });
    this.problems = problems;
  }
}

export function formatProblem(problem: Problem): string {
  return problem.path === '' ? problem.message : `${problem.path}: ${problem.message}`;
}

/** Whether an error is a MultinicError with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly Reason[]): error is MultinicError {
  return error instanceof MultinicError && codes.some((code) => code === error.code);
}

/** Whether an error is a MultinicError that, by the table of reasons, concerns the given thing. */
export function concerns(error: unknown, what: NonNullable<ReasonFacts['concerns']>): error is MultinicError {
  return error instanceof MultinicError && factsOf(error.code)?.concerns === what;
}

/** The system's code of an error: `ENOENT`. */
export function systemCode(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
