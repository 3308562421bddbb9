// One file of crs/: YAML or JSON, any number of documents, each a CR or a list of them.
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import type { Problem } from '../api/errors.ts';
import { GROUPS, KIND, VERSION } from '../api/api-groups.ts';
import type { ConfigRef } from '../network/node.ts';

/** A CR as its file has it. */
export interface WrittenConfig {
  readonly ref: ConfigRef;
  readonly annotations: Readonly<Record<string, string>>;
  /** Plain JSON values. */
  readonly spec: unknown;
}

export interface ConfigFile {
  readonly configs: readonly WrittenConfig[];
  /** The reason why the file may have more CRs than `configs`. */
  readonly problems: readonly Problem[];
}

const API_VERSIONS = GROUPS.map((group) => `${group}/${VERSION}`);
const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const NAME_RULE = 'lower-case letters, digits, "-" and ".", as for every name in Kubernetes';

const Envelope = z.looseObject({
  apiVersion: z.enum(API_VERSIONS),
  kind: z.literal(KIND),
  metadata: z.looseObject({
    name: z
      .string()
      .max(253)
      .regex(new RegExp(`^${LABEL}(\\.${LABEL})*$`), NAME_RULE),
    // kubectl has the same defaults, so one file is the same CR in both homes.
    namespace: z
      .string()
      .regex(new RegExp(`^${LABEL}$`), NAME_RULE)
      .nullish(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
  spec: z.unknown(),
});

const List = z.looseObject({ kind: z.enum(['List', `${KIND}List`]), items: z.array(z.unknown()) });

/**
 * Reads a file and never throws: a part that cannot be read is a problem, because an unread CR must not look like a
 * deleted one. An empty file is a problem too, because editors empty a file before they fill it.
 * @param file name for people, `crs/production.yaml`
 */
export function parseConfigFile(file: string, text: string): ConfigFile {
  const configs: WrittenConfig[] = [];
  const problems: Problem[] = [];
  const documents = parseDocuments(text);
  for (const [index, document] of documents.entries()) {
    const path = documents.length === 1 ? file : `${file}: document ${index + 1}`;
    if ('error' in document) {
      problems.push({ path, code: 'Unreadable', message: `${document.error}; mend the file` });
      continue;
    }
    if (document.value === null) continue;
    const list = List.safeParse(document.value);
    const items = list.success ? list.data.items : [document.value];
    for (const [item, value] of items.entries()) {
      const at = list.success ? `${path}: items[${item}]` : path;
      const parsed = Envelope.safeParse(value);
      if (parsed.success) configs.push(toConfig(parsed.data));
      else problems.push(...parsed.error.issues.map((issue) => toProblem(at, issue)));
    }
  }
  if (configs.length === 0 && problems.length === 0) {
    const message = 'has no CR; if its CRs are to go, delete the file';
    problems.push({ path: file, code: 'EmptyFile', message });
  }
  return { configs, problems };
}

function parseDocuments(text: string): readonly ({ value: unknown } | { error: string })[] {
  try {
    return [...parseAllDocuments(text)].map((document) => {
      const [error] = document.errors;
      if (error !== undefined) return { error: firstLine(error.message) };
      const value = document.toJS() as unknown;
      return hasCycle(value)
        ? { error: 'contains itself, by a YAML alias inside its own anchor' }
        : { value };
    });
  } catch (error) {
    // The usual cause is aliases that multiply without bound.
    return [{ error: firstLine(String(error)) }];
  }
}

/** Whether a value contains itself. A value that only stands in several places does not. */
function hasCycle(value: unknown, open = new Set<object>(), closed = new Set<object>()): boolean {
  if (typeof value !== 'object' || value === null || closed.has(value)) return false;
  if (open.has(value)) return true;
  open.add(value);
  const found = Object.values(value).some((each) => hasCycle(each, open, closed));
  open.delete(value);
  closed.add(value);
  return found;
}

function toConfig({ apiVersion, metadata, spec }: z.infer<typeof Envelope>): WrittenConfig {
  return {
    ref: {
      group: apiVersion.slice(0, apiVersion.indexOf('/')),
      namespace: metadata.namespace ?? 'default',
      name: metadata.name,
    },
    annotations: metadata.annotations ?? {},
    // Values without JSON (.nan, .inf) become null, as main returns them: otherwise the two would differ for ever.
    spec: spec === undefined ? undefined : (JSON.parse(JSON.stringify(spec)) as unknown),
  };
}

function toProblem(path: string, issue: z.core.$ZodIssue): Problem {
  const field = issue.path.join('.');
  return {
    path: field === '' ? path : `${path}: ${field}`,
    code: 'NotAConfig',
    message: `${issue.message}; only ${KIND} of ${API_VERSIONS.join(' or ')} belongs in this folder`,
  };
}

/** First line of a parser's message: below it the parser draws the place, which is too much for a status line. */
function firstLine(message: string): string {
  return message.split('\n', 1)[0]!.replace(/:$/, '');
}
