import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { isMap, isSeq, parseDocument, type Document, type YAMLMap } from 'yaml';
import * as z from 'zod';
import { formatProblem, InvalidInputError, MultinicError, type Problem } from '../api/errors.ts';
import type { InventoryNode, NodeInventory } from '../mirror/home-port.ts';
import { keepAsText } from '../network/yaml-text.ts';
import { isErrno, readRegular, replaceFile } from './file.ts';
import type { Reason } from '../api/reasons/reasons.ts';

const nodeName = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'a Kubernetes node name: lower-case letters, digits, "-" and "."',
  );

export const Inventory = z.strictObject({
  nodes: z.array(
    z.strictObject({
      name: nodeName,
      /** The OpenStack instance ID, a CR's attachedNodeId. */
      systemUUID: z.string().min(1),
      /** As in a Node's `status.nodeInfo.osImage`. */
      osImage: z.string().min(1),
      paused: z.boolean().default(false),
      annotations: z.record(z.string(), z.string()).default({}),
      /** Networks of the node's pods, like a Node's podCIDRs. */
      podCIDRs: z.array(z.union([z.cidrv4(), z.cidrv6()])).default([]),
    }),
  ),
});

/** Largest host.yaml, the same as the agent's. */
const MAX_BYTES = 1024 * 1024;
const MAX_INVENTORY_BYTES = 16 * MAX_BYTES;

/** The part of an offline host's file that a kubelet would report. */
const Machine = z.looseObject({
  machineId: z.string().min(1),
  bootId: z.string().min(1),
  nodeAddresses: z.array(z.string()).default([]),
});

type MachineFacts = Pick<InventoryNode, 'machineId' | 'bootID' | 'addresses' | 'ready' | 'problem' | 'print'>;

/** `DIR/inventory.yaml`, and for each of its nodes `DIR/nodes/<name>/root/host.yaml`. */
export class InventoryFile implements NodeInventory {
  readonly #dir: string;
  #edits: Promise<unknown> = Promise.resolve();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * Lists the nodes. A machine that cannot be read concerns its node alone.
   * @throws InvalidInputError `InvalidInventory`, naming file and field, because a pass would act on an incomplete list
   */
  async list(): Promise<readonly InventoryNode[]> {
    const { nodes } = parse(Inventory, 'inventory.yaml', await this.#text('inventory.yaml'));
    const names = new Set<string>();
    const twice = nodes.find(({ name }) => names.size === names.add(name).size);
    if (twice !== undefined) {
      throw invalid('inventory.yaml', 'DuplicateNode', `node ${twice.name} stands there twice; keep one`);
    }
    return Promise.all(nodes.map(async (node) => ({ ...node, ...(await this.#machine(node.name)) })));
  }

  /**
   * Edits `paused` of nodes in inventory.yaml; comments and order stay.
   * @throws MultinicError `NodeNotFound`
   */
  async setPaused(names: readonly string[], paused: boolean): Promise<void> {
    const edit = this.#edits.then(() => this.#setPaused(names, paused));
    this.#edits = edit.catch(() => undefined);
    return edit;
  }

  async #setPaused(names: readonly string[], paused: boolean): Promise<void> {
    const text = await this.#text('inventory.yaml');
    const document = toDocument('inventory.yaml', text);
    const nodes = nodesOf(document);
    const others = names
      .map((name) => nodes.get(name) ?? noNode(name))
      .filter((node) => (node.get('paused') === true) !== paused);
    if (others.length === 0) return;
    for (const node of others) {
      if (paused) node.set('paused', true);
      else node.delete('paused');
    }
    // Keep lists as the person wrote them: under their key, or indented.
    const written = document.toString({ lineWidth: 0, indentSeq: !/^- /m.test(text) });
    await replaceFile(join(this.#dir, 'inventory.yaml'), written, 0o644);
  }

  async #machine(name: string): Promise<MachineFacts> {
    const file = join('nodes', name, 'root', 'host.yaml');
    try {
      const text = await this.#text(file, MAX_BYTES, 'refuse');
      const { machineId, bootId, nodeAddresses } = parse(Machine, file, text);
      const print = createHash('sha256').update(text).digest('hex').slice(0, 16);
      const addresses = nodeAddresses.length > 0 && { addresses: nodeAddresses };
      return { machineId, bootID: bootId, ...addresses, ready: true, print };
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      return {
        machineId: '',
        bootID: '',
        ready: false,
        problem: error.problems.map(formatProblem).join('; '),
      };
    }
  }

  /** @param file relative to the home */
  async #text(
    file: string,
    limit = MAX_INVENTORY_BYTES,
    links: 'follow' | 'refuse' = 'follow',
  ): Promise<string> {
    try {
      return await readRegular(join(this.#dir, file), limit, links);
    } catch (error) {
      const why = whyUnreadable(error);
      throw invalid(file, 'Unreadable', `${why}; docs/local.md says what ${basename(file)} must have`);
    }
  }
}

/** Nodes of an inventory, by name. */
function nodesOf(document: Document): ReadonlyMap<unknown, YAMLMap> {
  const nodes = document.get('nodes');
  const maps = isSeq(nodes) ? nodes.items.filter((item) => isMap(item)) : [];
  return new Map(maps.map((node) => [node.get('name'), node]));
}

function noNode(name: string): never {
  throw new MultinicError('NodeNotFound', `inventory.yaml has no node ${name}; look at \`multinic status\``, {
    data: { node: name },
  });
}

function whyUnreadable(error: unknown): string {
  if (isErrno(error, 'ENOENT')) return 'there is no such file';
  if (isErrno(error, 'ELOOP')) return 'it is a link';
  return error instanceof Error ? error.message : String(error);
}

function toDocument(file: string, text: string): Document {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error === undefined) return document;
  throw invalid(file, 'Unreadable', `${error.message.split('\n', 1)[0]!}; mend the file`);
}

function toValue(file: string, text: string): unknown {
  const document = toDocument(file, text);
  keepAsText(document, 'machineId', 'bootId');
  try {
    return document.toJS();
  } catch (error) {
    // The usual cause is aliases that multiply without bound.
    throw invalid(file, 'Unreadable', `${String(error)}; mend the file`);
  }
}

function parse<T>(schema: z.ZodType<T>, file: string, text: string): T {
  const parsed = schema.safeParse(toValue(file, text));
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue): Problem => {
    const field = issue.path
      .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
      .join('');
    const path = field === '' ? file : `${file}: ${field.replace(/^\./, '')}`;
    return { path, code: 'InvalidField', message: `${issue.message}; docs/local.md shows a whole file` };
  });
  throw new InvalidInputError('InvalidInventory', 'the inventory cannot be read', problems);
}

function invalid(path: string, code: Reason, message: string): InvalidInputError {
  return new InvalidInputError('InvalidInventory', 'the inventory cannot be read', [{ path, code, message }]);
}
