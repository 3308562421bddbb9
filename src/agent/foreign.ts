import { parseDocument } from 'yaml';
import { rendererOf } from '../network/renderers.ts';
import type { Root } from './root.ts';

/** A NIC that somebody else's netplan file describes. */
export interface DescribedNic {
  /** Key under `ethernets`. */
  readonly id: string;
  /** undefined: the file goes by the link's name, which is the ID then. */
  readonly mac: string | undefined;
  readonly file: string;
}

/** Where netplan reads from, weakest last: it merges definitions of one ID over all of them. */
const FOLDERS = ['etc/netplan', 'run/netplan', 'lib/netplan'];

/**
 * What other netplan files say of which NIC. Only IDs and MACs are read: a NIC that cloud-init describes as `ens6`
 * has to be described under that ID by us too, or cloud-init's definition wins at the next boot.
 */
export function describedNics(root: Root): DescribedNic[] {
  const { manages } = rendererOf('netplan');
  return FOLDERS.flatMap((folder) =>
    root
      .list(folder)
      .map((name) => `${folder}/${name}`)
      .filter((path) => path.endsWith('.yaml') && !manages(path))
      .flatMap((path) => readIds(path, root.readForeign(path)?.content ?? '')),
  );
}

function readIds(file: string, content: string): DescribedNic[] {
  // All values as text: an unquoted MAC of digits alone is no number.
  const document = parseDocument(content, { schema: 'failsafe' });
  if (document.errors.length > 0) return [];
  const ethernets = child(child(document.toJS(), 'network'), 'ethernets');
  return Object.keys(ethernets).map((id) => {
    const mac = child(child(ethernets, id), 'match')['macaddress'];
    return { id, mac: typeof mac === 'string' ? mac.toLowerCase() : undefined, file };
  });
}

function child(parent: unknown, key: string): Record<string, unknown> {
  const value =
    typeof parent === 'object' && parent !== null ? (parent as Record<string, unknown>)[key] : undefined;
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
