import * as z from 'zod';
import { MultiNicBizConfigSpec, MultiNicBizConfigStatus } from '../../src/api/multinicbizconfig.ts';

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

function* rows(schema: Schema, before: string): Generator<string> {
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    const list = value.type === 'array';
    const path = `${before}${key}${list ? '[]' : ''}`;
    const of = value.items?.type === 'object' ? 'list' : `list of ${value.items?.type ?? ''}s`;
    yield `| \`${path}\` | ${list ? of : value.type} | ${value.description ?? ''} |`;
    const inner = value.items ?? value;
    // Cuts the path of a deep field to its last list, because the whole path is longer than a line.
    if (inner.properties !== undefined) yield* rows(inner, before === '' ? `${path}.` : `…${key}[].`);
  }
}

function table(schema: z.ZodType): string {
  const json = z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' }) as unknown as Schema;
  return ['| Field | Type | Meaning |', '| --- | --- | --- |', ...rows(json, '')].join('\n');
}

/** Fields of the spec of a MultiNicBizConfig. */
export const specTable = (): string => table(MultiNicBizConfigSpec);

/** Fields of the status of a MultiNicBizConfig. */
export const statusTable = (): string => table(MultiNicBizConfigStatus);
