// JSON schemas of the objects of one version of the API, made from its OpenAPI document, as kubeconform reads them.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Definition {
  readonly properties?: object;
  readonly additionalProperties?: unknown;
  readonly 'x-kubernetes-group-version-kind'?: readonly { group: string; version: string; kind: string }[];
}

type Definitions = Record<string, Definition>;

const REF = '#/definitions/';
/** Types that the document calls texts, and that may be numbers. */
const LOOSE: Definitions = {
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': { type: ['string', 'integer'] } as Definition,
  'io.k8s.apimachinery.pkg.api.resource.Quantity': { type: ['string', 'number'] } as Definition,
};

/** Where kubeconform finds a schema in the folder. */
export const SCHEMA_LOCATION = '{{ .ResourceKind }}{{ .KindSuffix }}.json';

/** Writes one file for each kind. Fields that the API does not have are refused. */
export async function writeSchemas(openApi: string, dir: string): Promise<void> {
  const document = JSON.parse(await readFile(openApi, 'utf8')) as { definitions: Definitions };
  const all: Definitions = { ...mapped(document.definitions, strict), ...LOOSE };
  for (const [name, definition] of Object.entries(all)) {
    for (const { group, version, kind } of definition['x-kubernetes-group-version-kind'] ?? []) {
      const parts = [kind.toLowerCase(), ...(group === '' ? [] : [group.split('.')[0]]), version];
      const schema = { $ref: REF + name, definitions: reachable(all, name) };
      await writeFile(join(dir, `${parts.join('-')}.json`), JSON.stringify(schema));
    }
  }
}

function strict(definition: Definition): Definition {
  return definition.properties === undefined || definition.additionalProperties !== undefined
    ? definition
    : { ...definition, additionalProperties: false };
}

function reachable(all: Definitions, from: string): Definitions {
  const found: Definitions = {};
  const open = [from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found[name] !== undefined) continue;
    found[name] = all[name]!;
    const text = JSON.stringify(all[name]);
    open.push(...[...text.matchAll(/"#\/definitions\/([^"]+)"/g)].map(([, each]) => each!));
  }
  return found;
}

function mapped(definitions: Definitions, change: (definition: Definition) => Definition): Definitions {
  return Object.fromEntries(Object.entries(definitions).map(([name, each]) => [name, change(each)]));
}
