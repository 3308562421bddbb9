import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isMap, isSeq, parseDocument, type Document } from 'yaml';
import { z } from 'zod';
import { InvalidInputError, MultinicError, type Problem } from '../api/errors.ts';
import type { InventoryNode, NodeInventory } from '../mirror/port.ts';
import { isErrno, replaceFile } from './file.ts';

const nodeName = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'a Kubernetes node name: lower-case letters, digits, "-" and "."',
  );

const Inventory = z.strictObject({
  nodes: z.array(
    z.strictObject({
      name: nodeName,
      /** The OpenStack instance ID, a CR's attachedNodeId. */
      systemUUID: z.string().min(1),
      /** As in a Node's `status.nodeInfo.osImage`. */
      osImage: z.string().min(1),
      paused: z.boolean().default(false),
      annotations: z.record(z.string(), z.string()).default({}),
    }),
  ),
});

/** Of an offline host's file only what a kubelet would report. */
const Machine = z.looseObject({ machineId: z.string().min(1), bootId: z.string().min(1) });

/** `DIR/inventory.yaml`, and for each of its nodes `DIR/nodes/<name>/root/host.yaml`. */
export class InventoryFile implements NodeInventory {
  readonly #dir: string;
  #edits: Promise<unknown> = Promise.resolve();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** @throws InvalidInputError `InvalidInventory`, naming file and field: a list with holes would be acted on */
  async list(): Promise<readonly InventoryNode[]> {
    const { nodes } = parse(Inventory, 'inventory.yaml', await this.#text('inventory.yaml'));
    const twice = nodes.find(({ name }, index) => nodes.findIndex((node) => node.name === name) < index);
    if (twice !== undefined) {
      throw invalid('inventory.yaml', 'DuplicateNode', `node ${twice.name} stands there twice; keep one`);
    }
    return Promise.all(
      nodes.map(async (node) => ({ ...node, ...(await this.#machine(node.name)), ready: true })),
    );
  }

  /**
   * Edits the node's `paused` in inventory.yaml; comments and order stay.
   * @throws MultinicError `NodeNotFound`
   */
  async setPaused(name: string, paused: boolean): Promise<void> {
    const edit = this.#edits.then(() => this.#setPaused(name, paused));
    this.#edits = edit.catch(() => undefined);
    return edit;
  }

  async #setPaused(name: string, paused: boolean): Promise<void> {
    const text = await this.#text('inventory.yaml');
    const document = toDocument('inventory.yaml', text);
    const nodes = document.get('nodes');
    const node = isSeq(nodes)
      ? nodes.items.find((item) => isMap(item) && item.get('name') === name)
      : undefined;
    if (!isMap(node)) {
      throw new MultinicError(
        'NodeNotFound',
        `inventory.yaml has no node ${name}; look at \`multinic status\``,
        {
          data: { node: name },
        },
      );
    }
    if ((node.get('paused') === true) === paused) return;
    if (paused) node.set('paused', true);
    else node.delete('paused');
    // Lists as the person wrote them: under their key, or indented.
    const written = document.toString({ lineWidth: 0, indentSeq: !/^- /m.test(text) });
    await replaceFile(join(this.#dir, 'inventory.yaml'), written, 0o644);
  }

  async #machine(name: string): Promise<{ machineID: string; bootID: string }> {
    const file = join('nodes', name, 'root', 'host.yaml');
    const { machineId, bootId } = parse(Machine, file, await this.#text(file));
    return { machineID: machineId, bootID: bootId };
  }

  /** @param file relative to the home */
  async #text(file: string): Promise<string> {
    try {
      return await readFile(join(this.#dir, file), 'utf8');
    } catch (error) {
      const why = isErrno(error, 'ENOENT') ? 'there is no such file' : String(error);
      throw invalid(file, 'Unreadable', `${why}; docs/local.md says what ${basename(file)} must have`);
    }
  }
}

function toDocument(file: string, text: string): Document {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error === undefined) return document;
  throw invalid(file, 'Unreadable', `${error.message.split('\n', 1)[0]!}; mend the file`);
}

function parse<T>(schema: z.ZodType<T>, file: string, text: string): T {
  const parsed = schema.safeParse(toDocument(file, text).toJS());
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

function invalid(path: string, code: string, message: string): InvalidInputError {
  return new InvalidInputError('InvalidInventory', 'the inventory cannot be read', [{ path, code, message }]);
}
