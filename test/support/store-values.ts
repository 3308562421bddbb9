// Values that the crash tests write and expect: eleven refs that always move together, each to a commit that has its value.

import { MultinicError } from '../../src/api/errors.ts';
import { Batch } from '../../src/store/model/batch.ts';
import type { Store } from '../../src/store/store.ts';
import type { Reader } from '../../src/store/model/store-port.ts';

export const VALUE_REFS = [
  'refs/heads/crash',
  ...Array.from({ length: 10 }, (_, index) => `refs/heads/node/worker-${index}`),
];

/** Moves all refs to a commit of this value. */
export async function writeValue(store: Store, value: number): Promise<void> {
  const batch = new Batch();
  for (const ref of VALUE_REFS) {
    const tip = await store.reader.ref(ref);
    const commit = batch.commit({
      parents: tip === undefined ? [] : [tip],
      files: new Map([
        ['value', String(value)],
        ['etc/netplan/90-multinic0.yaml', netplanOf(ref, value)],
      ]),
      author: { name: 'writer', email: 'writer@example.org' },
      subject: String(value),
      trailers: [['Change', 'spec']],
    });
    batch.move(ref, commit, tip ?? null);
  }
  await store.write(batch);
}

/** The value that each ref has; 0: no such ref. @throws when a commit is not whole or not one of ours */
export async function valuesOf(reader: Reader): Promise<number[]> {
  return Promise.all(
    VALUE_REFS.map(async (ref) => {
      const tip = await reader.ref(ref);
      if (tip === undefined) return 0;
      const [commit, files] = await Promise.all([reader.commit(tip), reader.files(tip)]);
      const value = Number(commit.subject);
      const whole = [
        ['etc/netplan/90-multinic0.yaml', netplanOf(ref, value)],
        ['value', commit.subject],
      ];
      if (JSON.stringify([...files]) === JSON.stringify(whole)) return value;
      throw new Error(`${ref} is torn: ${commit.subject} has ${JSON.stringify([...files])}`);
    }),
  );
}

export function codeOf(error: unknown): string {
  return error instanceof MultinicError ? error.code : String(error);
}

function netplanOf(ref: string, value: number): string {
  return `${ref} ${value}\n`;
}
