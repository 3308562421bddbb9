// The library of YAML, loaded by `-o yaml` alone.

import { stringify } from 'yaml';

export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}
