import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { InvalidInputError, MultinicError, systemCode, type Problem } from '../api/errors.ts';
import { formatConfigRef } from '../history/commit-format.ts';
import { parseConfigFile, type WrittenConfig } from '../local/config-file.ts';
import { admitConfig, type AdmittedConfig, type AdmittedEntry } from '../network/admission.ts';
import { AUTO_ALONE, autoFor, routingOff } from '../network/auto-routing.ts';
import { assignNames } from '../network/nic-names.ts';
import { RENDERER_KINDS, rendererOf } from '../network/renderers.ts';

export interface Validation {
  /** `group/namespace/name`, or the file when it has no CR that can be read. */
  readonly config: string;
  readonly nodes: number;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export async function validateFiles(files: readonly string[]): Promise<Validation[]> {
  const results: Validation[] = [];
  for (const file of files) {
    const { configs, problems } = parseConfigFile(file, await read(file));
    if (problems.length > 0) results.push({ config: file, nodes: 0, problems, warnings: [] });
    results.push(...configs.map(validate));
    if (configs.length === 0 && problems.length === 0) {
      results.push({
        config: file,
        nodes: 0,
        problems: [
          {
            path: '',
            code: 'NoConfig',
            message: 'has no MultiNicBizConfig: write one, with apiVersion and kind',
          },
        ],
        warnings: [],
      });
    }
  }
  return results;
}

function validate(config: WrittenConfig): Validation {
  const admitted = admit(config);
  return {
    config: formatConfigRef(config.ref),
    nodes: admitted.entries.length,
    problems: [...admitted.problems, ...admitted.entries.flatMap((entry) => entry.problems)],
    warnings: [...admitted.warnings, ...admitted.entries.flatMap(routingWarnings)],
  };
}

/**
 * Warns of NICs that need source routing and have none, as far as the entry alone shows it. The controller also knows
 * the node's own networks.
 */
function routingWarnings({ index, wanted = [] }: AdmittedEntry): Problem[] {
  return wanted.flatMap((nic, position) =>
    routingOff(nic, wanted, AUTO_ALONE, `spec.nodeConfigs[${index}].interfaces[${position}].sourceRouting`),
  );
}

function admit(
  config: WrittenConfig,
): Pick<AdmittedConfig, 'entries' | 'warnings'> & { problems: readonly Problem[] } {
  try {
    return { ...admitConfig(config), problems: [] };
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return { entries: [], warnings: [], problems: error.problems };
  }
}

/** Renders the files of each node, by node and path. Interfaces get the names that a new node would get. */
export async function renderFile(
  file: string,
  rendererName: string,
  only: string | undefined,
): Promise<{ nodes: Record<string, Record<string, string>>; problems: readonly Problem[] }> {
  const kind = RENDERER_KINDS.find((each) => each === rendererName);
  if (kind === undefined)
    throw new MultinicError(
      'UnknownRenderer',
      `${rendererName} is no renderer: use ${RENDERER_KINDS.join(', ')}`,
    );
  const { configs, problems: unread } = parseConfigFile(file, await read(file));
  const problems = [...unread];
  const nodes: Record<string, Record<string, string>> = {};
  for (const config of configs) {
    const admitted = admit(config);
    problems.push(...admitted.problems);
    for (const entry of admitted.entries) {
      if (only !== undefined && only !== entry.nodeId && only !== entry.nodeName) continue;
      problems.push(...entry.problems);
      if (entry.wanted === undefined) continue;
      const network = assignNames(entry.wanted, [], [], autoFor(entry.wanted, AUTO_ALONE));
      const rendered = network.flatMap((nic) => [...rendererOf(kind).render(nic)]);
      nodes[entry.nodeName ?? entry.nodeId ?? String(entry.index)] = Object.fromEntries(rendered);
    }
  }
  return { nodes, problems };
}

async function read(file: string): Promise<string> {
  if (file === '-') return text(process.stdin);
  return readFile(file, 'utf8').catch((cause: unknown) => {
    const why = systemCode(cause);
    const remedy = why === 'EISDIR' ? `name its files, ${join(file, '*.yaml')}` : 'name a file that has CRs';
    throw new MultinicError('Unreadable', `${file} cannot be read (${why}): ${remedy}`, { cause });
  });
}
