// A node's tree: node.yaml and the managed files, under the paths that they have on the host.

import { InvalidInputError, type Problem } from '../api/errors.ts';
import { oidOfBytes, type Oid } from '../api/oid.ts';
import { checkNetwork } from './check.ts';
import { FOLDER, hashObject, hashTree } from './git-object.ts';
import { MAX_INTERFACES, type Network } from './interface.ts';
import { parseNode, renderNode, type NodeIdentity } from './node.ts';
import type { Files } from './renderer.ts';
import { rendererOf } from './renderers.ts';
import { findHidden } from './text.ts';

export const NODE_FILE = 'node.yaml';
export const MAX_FILE_BYTES = 64 * 1024;
/**
 * Maximum number of files of a tree: node.yaml, and for each interface four: ifcfg, its routes of two families, and the
 * settings of the kernel.
 */
export const MAX_TREE_FILES = 1 + 4 * MAX_INTERFACES;

export interface NodeTree {
  readonly node: NodeIdentity;
  readonly network: Network;
}

/** All files of a node's commit; the same input gives the same bytes. */
export function renderTree(node: NodeIdentity, network: Network): Files {
  const renderer = rendererOf(node.renderer);
  return new Map([[NODE_FILE, renderNode(node)], ...network.flatMap((nic) => [...renderer.render(nic)])]);
}

/**
 * Reads a node's tree and checks vocabulary, characters, sizes and the rules of a CR. Checks them even if another part
 * of the program has done so before.
 * @throws InvalidInputError `InvalidTree`
 */
export function readTree(files: Files): NodeTree {
  const identity = files.get(NODE_FILE);
  if (identity === undefined) {
    const message = 'is missing; restore it from the commit before';
    throw invalid([{ path: NODE_FILE, code: 'MissingFile', message }]);
  }
  // A tree with more files than so many interfaces have is refused before any file is parsed.
  if (files.size > MAX_TREE_FILES) {
    const message = `has ${files.size} files; a node may have ${MAX_INTERFACES} interfaces, remove some`;
    throw invalid([{ path: '', code: 'TooManyInterfaces', message }]);
  }
  const large = [...files].filter(([, text]) => Buffer.byteLength(text) > MAX_FILE_BYTES);
  if (large.length > 0) {
    const message = 'is larger than 64 KiB; write only the keys of one interface';
    throw invalid(large.map(([path]) => ({ path, code: 'FileTooLarge', message })));
  }
  const hidden = [...files].flatMap(([path, text]) => hiddenIn(path, text));
  if (hidden.length > 0) throw invalid(hidden);
  const node = parseNode(identity);
  const renderer = rendererOf(node.renderer);
  const network = renderer.parse(managedFiles(files));
  // Each NIC is rendered once, because the checks ask for the path of each address.
  const paths = network.map((nic) => [...renderer.render(nic).keys()][0] ?? '');
  const problems = checkNetwork(network, (index, field) => {
    const path = paths[index] ?? '';
    return field === undefined ? path : `${path}: ${field}`;
  });
  if (problems.length > 0) throw invalid(problems);
  return { node, network };
}

function hiddenIn(path: string, text: string): Problem[] {
  const found = findHidden(text);
  if (found === undefined) return [];
  const message = `line ${found.line} has the invisible character ${found.codePoint}, where a reader of the OS may begin a line of its own; delete it, only visible text and line feeds may stand here`;
  return [{ path, code: 'HiddenCharacter', message }];
}

/** All files but node.yaml: the files that are on the host. */
export function managedFiles(files: Files): Files {
  return new Map([...files].filter(([path]) => path !== NODE_FILE));
}

/** The id that git gives to the tree of these files, each of mode 100644. */
export function treeId(files: Files): Oid {
  const root: Folder = new Map();
  for (const [path, text] of files) {
    const folders = path.split('/');
    const name = folders.pop() ?? '';
    let folder = root;
    for (const part of folders) {
      const next = folder.get(part);
      if (next instanceof Map) folder = next;
      else {
        const made: Folder = new Map();
        folder.set(part, made);
        folder = made;
      }
    }
    folder.set(name, text);
  }
  return oidOfBytes(hashFolder(root));
}

type Folder = Map<string, string | Folder>;

function hashFolder(folder: Folder): Buffer {
  const items = [...folder]
    .filter(([, entry]) => typeof entry === 'string' || entry.size > 0)
    .map(([name, entry]) =>
      typeof entry === 'string'
        ? { mode: '100644', name, oid: hashObject('blob', Buffer.from(entry)) }
        : { mode: FOLDER, name, oid: hashFolder(entry) },
    );
  return hashTree(items);
}

function invalid(problems: readonly Problem[]): InvalidInputError {
  return new InvalidInputError('InvalidTree', "the node's tree", problems);
}
