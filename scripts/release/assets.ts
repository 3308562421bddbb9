import { copyFile, cp } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, type Part, type Release } from './part.ts';

/** Files that are in the repository or in the build as their users need them. */
export async function assetsPart({ dir }: Release): Promise<Part> {
  await cp(join(ROOT, 'crds'), join(dir, 'crds'), { recursive: true });
  for (const file of ['LICENSE', 'NOTICE', 'dist/THIRD-PARTY-NOTICES.txt'])
    await copyFile(join(ROOT, file), join(dir, file.replace('dist/', '')));
  return {
    files: [
      { path: 'crds/', use: 'the CRDs, for `crds.install: none`: `kubectl apply --server-side -f crds/`' },
      { path: 'LICENSE', use: 'the licence' },
      { path: 'NOTICE', use: 'the notice that goes along with it' },
      { path: 'THIRD-PARTY-NOTICES.txt', use: 'the licences of the packages in the bundle' },
    ],
  };
}
