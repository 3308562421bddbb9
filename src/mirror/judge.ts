// Judges the CRs that the home lists. A spec that is the same object as before keeps its judgement.

import { InvalidInputError, type Problem } from '../api/errors.ts';
import { doubtAnnotation } from '../api/annotations.ts';
import { formatConfigRef } from '../history/commit-format.ts';
import { admitConfig } from '../network/admission.ts';
import { judgedBefore } from './node-entry.ts';
import { mainConfig, type MainConfig, type MainState } from './main-branch.ts';
import type { ConfigList, ConfigObject } from './home-port.ts';

export interface ValidConfig {
  readonly object: ConfigObject;
  readonly config: MainConfig;
  readonly warnings: readonly Problem[];
}

/** The judged CRs, each by `group/namespace/name`. */
export interface Judgement {
  readonly valid: ReadonlyMap<string, ValidConfig>;
  /** CRs that are invalid as a whole. */
  readonly invalid: ReadonlyMap<string, readonly Problem[]>;
}

export class Judge {
  readonly #known = new WeakMap<object, ValidConfig>();

  /** @param main state of main, which unchanged entries are taken from */
  judge(list: ConfigList, main: MainState): Judgement {
    const valid = new Map<string, ValidConfig>();
    const invalid = new Map<string, readonly Problem[]>();
    for (const object of list.configs) {
      const key = formatConfigRef(object.ref);
      try {
        valid.set(key, this.#judge(object, main.configs.get(key)));
      } catch (error) {
        if (!(error instanceof InvalidInputError)) throw error;
        invalid.set(key, error.problems);
      }
    }
    return { valid, invalid };
  }

  #judge(object: ConfigObject, before: MainConfig | undefined): ValidConfig {
    const { spec } = object;
    const known = isObject(spec) ? this.#known.get(spec) : undefined;
    if (known !== undefined && sameHead(known.object, object)) return known;
    const admitted = admitConfig(object, judgedBefore(before?.entries));
    const warnings = [...annotationWarnings(object), ...admitted.warnings];
    const judged = { object, config: mainConfig(object, admitted, before), warnings };
    if (isObject(spec)) this.#known.set(spec, judged);
    return judged;
  }
}

/** Warns of unknown annotations under our prefix: a misspelt one has no effect, although its writer expects one. */
function annotationWarnings({ annotations }: ConfigObject): Problem[] {
  return Object.entries(annotations).flatMap(([key, value]): Problem[] => {
    const doubt = key.startsWith('multinic.io/') ? doubtAnnotation('CR', key, value) : undefined;
    return doubt === undefined ? [] : [{ path: `metadata.annotations[${key}]`, ...doubt }];
  });
}

function sameHead(a: ConfigObject, b: ConfigObject): boolean {
  return (
    a.uid === b.uid &&
    a.generation === b.generation &&
    JSON.stringify([a.annotations, a.origin]) === JSON.stringify([b.annotations, b.origin])
  );
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
