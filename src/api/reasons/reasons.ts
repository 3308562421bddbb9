// Every code of the program that people and other programs read: of errors, outcomes, warnings, states, conditions and
// Events. A code that stands here is frozen.

import type { Brand } from '../brand.ts';
import { AGENT_REASONS } from './agent-reasons.ts';
import { CLUSTER_REASONS } from './cluster-reasons.ts';
import { COMMAND_REASONS } from './command-reasons.ts';
import { CONFIG_REASONS } from './config-reasons.ts';
import { CONTROLLER_REASONS } from './controller-reasons.ts';
import { FILE_REASONS } from './file-reasons.ts';
import type { ReasonFacts } from './reason-rows.ts';
import { STORE_REASONS } from './store-reasons.ts';

/** The tables by area, as docs/reasons.md shows them. */
export const REASON_AREAS = {
  'The MultiNicBizConfig': CONFIG_REASONS,
  'Files of a branch, and pushes': FILE_REASONS,
  'The agent': AGENT_REASONS,
  'States, conditions and Events': CONTROLLER_REASONS,
  'The store and its API': STORE_REASONS,
  'The cluster': CLUSTER_REASONS,
  'Commands and the local home': COMMAND_REASONS,
} as const;

export const REASONS = {
  ...CONFIG_REASONS,
  ...FILE_REASONS,
  ...AGENT_REASONS,
  ...CONTROLLER_REASONS,
  ...STORE_REASONS,
  ...CLUSTER_REASONS,
  ...COMMAND_REASONS,
} as const;

export type Reason = keyof typeof REASONS;

/** A code from another program, or from another version of this program. */
export type OtherReason = Brand<string, 'other reason'>;

export type AnyReason = Reason | OtherReason;

function isReason(code: string): code is Reason {
  return Object.hasOwn(REASONS, code);
}

/** Reads a code that comes from outside of this program. */
export function readReason(code: string): AnyReason {
  return isReason(code) ? code : (code as OtherReason);
}

/** The facts of a code; undefined when this version does not know the code. */
export function factsOf(code: AnyReason | undefined): ReasonFacts | undefined {
  return code !== undefined && isReason(code) ? REASONS[code] : undefined;
}
