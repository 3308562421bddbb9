// Values of YAML that are texts, though YAML takes them for numbers: an ID of digits alone, or of digits and one e.

import { isScalar, visit, type Document } from 'yaml';

/** Makes the values of these keys the texts that stand in the file, so that an ID needs no quotes. */
export function keepAsText(document: Document, ...keys: readonly string[]): void {
  visit(document, {
    Pair: (_, { key, value }) => {
      if (!isScalar(key) || !keys.includes(String(key.value)) || !isScalar(value)) return;
      if (typeof value.value === 'number' && value.source !== undefined) value.value = value.source;
    },
  });
}
