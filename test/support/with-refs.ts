// A reader of a real store's objects, with refs that the test chooses.

import type { Oid } from '../../src/api/oid.ts';
import type { LogOptions, Reader } from '../../src/store/model/store-port.ts';

export function withRefs(reader: Reader, refs: Readonly<Record<string, Oid | undefined>>): Reader {
  return {
    ref: async (name: string) => refs[name],
    commit: (id: Oid) => reader.commit(id),
    files: (id: Oid) => reader.files(id),
    list: (id: Oid) => reader.list(id),
    blob: (id: Oid) => reader.blob(id),
    log: (id: Oid, options?: LogOptions) => reader.log(id, options),
    diff: (from: Oid | null, to: Oid, paths?: readonly string[]) => reader.diff(from, to, paths),
    isAncestor: (older: Oid, newer: Oid) => reader.isAncestor(older, newer),
    resolve: (text: string) => reader.resolve(text),
  } as unknown as Reader;
}
