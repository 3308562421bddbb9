// Keys of structures that others read, as paths: `node.os.family`, `files[].path`, `nics.*.name` for a map of any key.

import * as z from 'zod';

/** The keys that a schema takes. */
export function keysOfSchema(schema: z.ZodType): string[] {
  const keys = new Set<string>();
  walkSchema(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema, '', keys);
  return [...keys];
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
}

function walkSchema(schema: JsonSchema, path: string, keys: Set<string>): void {
  for (const each of [...(schema.anyOf ?? []), ...(schema.allOf ?? [])]) walkSchema(each, path, keys);
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    keys.add(joined(path, key));
    walkSchema(value, joined(path, key), keys);
  }
  if (typeof schema.additionalProperties === 'object')
    walkSchema(schema.additionalProperties, joined(path, '*'), keys);
  if (schema.items !== undefined) walkSchema(schema.items, `${path}[]`, keys);
}

/** The keys that a value has. */
export function keysOfValue(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => keysOfValue(item, `${path}[]`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => [
    joined(path, key),
    ...keysOfValue(item, joined(path, key)),
  ]);
}

function joined(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
