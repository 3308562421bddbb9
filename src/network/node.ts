// The contents of node.yaml: the node's identity, OS family, renderer and source CR.

import { parse, stringify } from 'yaml';
import * as z from 'zod';
import { InvalidInputError, type Problem } from '../api/errors.ts';
import { isNodeId, isPlainText } from './text.ts';

export type OsFamily = 'ubuntu' | 'debian' | 'rhel';
export type RendererKind = 'netplan' | 'ifcfg' | 'keyfile';

/** Whether NetworkManager reads a renderer's files as profiles. */
export function byNetworkManager(kind: RendererKind): boolean {
  return kind !== 'netplan';
}

/** Group, namespace and name, which together identify a CR. */
export interface ConfigRef {
  readonly group: string;
  readonly namespace: string;
  readonly name: string;
}

/** The identity in a branch's node.yaml. */
export interface NodeIdentity {
  /** Kubernetes' node name. */
  readonly name: string;
  readonly systemUUID: string;
  readonly machineId: string;
  /** attachedNodeId of the CR's entry. */
  readonly nodeId: string;
  readonly os: { readonly family: OsFamily; readonly major: number };
  readonly renderer: RendererKind;
  readonly source: ConfigRef;
}

const TEXT = z.string().refine((text) => isPlainText(text), 'must be one line of visible text; correct it');

/**
 * An ID, or an empty text if the machine has not reported it yet. The controller makes the branch without the ID, and
 * the next pass writes it.
 */
const ID = TEXT.or(z.literal(''));

const FileFields = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/, "must be a Kubernetes node's name; correct it"),
  systemUUID: ID,
  machineID: ID,
  nodeId: z.string().refine(isNodeId, 'must be an attachedNodeId; correct it'),
  os: z.strictObject({ family: z.enum(['ubuntu', 'debian', 'rhel']), major: z.int().positive() }),
  renderer: z.enum(['netplan', 'ifcfg', 'keyfile']),
  source: z.strictObject({ group: TEXT, namespace: TEXT, name: TEXT }),
});

/** The key of the file is frozen with its older spelling. */
const NodeFile = FileFields.transform(({ machineID: machineId, ...rest }) => ({ ...rest, machineId }));

const NodeDocument = z.strictObject({ node: NodeFile });

/** A node's identity with the keys of node.yaml, as the API and `multinic show` print it. */
export type NodeFields = Omit<NodeIdentity, 'machineId'> & { readonly machineID: string };

export function fieldsOf({ name, systemUUID, machineId: machineID, ...rest }: NodeIdentity): NodeFields {
  return { name, systemUUID, machineID, ...rest };
}

/**
 * Renders node.yaml; the same node gives the same bytes. A constant comment stands between any two values, so that git
 * merges edits.
 */
export function renderNode(node: NodeIdentity): string {
  return `# The node whose branch this is. The controller alone writes this file.
node:
  name: ${scalar(node.name)}
  # What the firmware says: the OpenStack instance, in the node's own spelling
  systemUUID: ${scalar(node.systemUUID)}
  # /etc/machine-id: another one means that the node was installed anew
  machineID: ${scalar(node.machineId)}
  # attachedNodeId of its entry in the MultiNicBizConfig
  nodeId: ${scalar(node.nodeId)}
  os:
    family: ${scalar(node.os.family)}
    # Major version
    major: ${node.os.major}
  # What the files beside this one are written for
  renderer: ${scalar(node.renderer)}
  # The MultiNicBizConfig that has the node
  source:
    group: ${scalar(node.source.group)}
    # Its namespace
    namespace: ${scalar(node.source.namespace)}
    # Its name
    name: ${scalar(node.source.name)}
`;
}

/** @throws InvalidInputError `InvalidTree` */
export function parseNode(text: string): NodeIdentity {
  // Nearly every node.yaml has exactly the bytes that we render, and reading them by line takes a tenth of the time of
  // YAML. The result counts only if rendering it gives the same bytes.
  const own = NodeDocument.safeParse(readOwn(text)).data?.node;
  if (own !== undefined && renderNode(own) === text) return own;

  const result = NodeDocument.safeParse(readYaml(text));
  if (result.success) return result.data.node;
  throw invalid(
    result.error.issues.map(({ path, message }) => ({
      path: `node.yaml: ${path.join('.')}`,
      code: 'InvalidNode',
      message,
    })),
  );
}

/** Nested maps of `key: value` lines, by their indentation. */
function readOwn(text: string): object {
  const root: Record<string, unknown> = {};
  const open = [root];
  for (const line of text.split('\n', 40)) {
    const [, indent = '', key, value = ''] = /^( {0,4})([A-Za-z]+):(?: (\S+))?$/.exec(line) ?? [];
    const parent = open[indent.length / 2];
    if (key === undefined || parent === undefined) continue;
    if (value === '') {
      const map: Record<string, unknown> = {};
      parent[key] = map;
      open.splice(indent.length / 2 + 1, Infinity, map);
    } else {
      const plain = value.replace(/^"([^"\\]*)"$/, '$1');
      parent[key] = key === 'major' ? Number(value) : plain;
    }
  }
  return root;
}

function invalid(problems: readonly Problem[]): InvalidInputError {
  return new InvalidInputError('InvalidTree', "the node's identity", problems);
}

function readYaml(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 0, logLevel: 'error' });
  } catch (error) {
    const [reason = ''] = String(error).split('\n', 1);
    const message = `is no plain YAML (${reason}); restore the file from the commit before`;
    throw invalid([{ path: 'node.yaml', code: 'InvalidYaml', message }]);
  }
}

/** Quotes a value that some YAML reader would not read as text. A machine ID may be all digits. */
function scalar(text: string): string {
  // Fast path: a value that begins with a letter and is longer than `yes`, `off` and `false` is text to every reader.
  if (/^[A-Za-z][A-Za-z0-9.-]{5,}$/.test(text)) return text;
  return stringify(text, { compat: 'yaml-1.1', lineWidth: 0 }).trimEnd();
}
