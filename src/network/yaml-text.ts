// Keeps YAML values as texts where YAML would take them for numbers: an ID of digits alone, or of digits and one e.

import { isScalar, visit, type Document } from 'yaml';

/** Replaces the values of these keys by their texts in the file, so that an ID needs no quotes. */
export function keepAsText(document: Document, ...keys: readonly string[]): void {
  visit(document, {
    Pair: (_, { key, value }) => {
      if (!isScalar(key) || !keys.includes(String(key.value)) || !isScalar(value)) return;
      if (typeof value.value === 'number' && value.source !== undefined) value.value = value.source;
    },
  });
}
