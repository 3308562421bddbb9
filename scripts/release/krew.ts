import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checksumOf } from './checksums.ts';
import { npmPackageName } from './npm-package.ts';
import { ROOT, type Part, type Release } from './part.ts';

/** The manifest for krew, whose archive is the npm package, which has to be there. */
export async function krewPart({ dir, names, version }: Release): Promise<Part> {
  const archive = npmPackageName(version);
  const values: Readonly<Record<string, string>> = {
    name: names.krewName,
    version,
    homepage: names.homepage,
    uri: `${names.downloads.replaceAll('{version}', version)}/${archive}`,
    sha256: await checksumOf(join(dir, archive)),
  };
  const template = await readFile(join(ROOT, 'deploy/krew/plugin.yaml'), 'utf8');
  const body = template.slice(template.indexOf('\n') + 1);
  const manifest = body.replaceAll(/'([^'\n]*)\{(\w+)\}'/g, (_, before: string, key: string) => {
    const value = values[key];
    if (value === undefined) throw new Error(`deploy/krew/plugin.yaml: nothing has the name ${key}`);
    return JSON.stringify(before + value);
  });
  const path = `${names.krewName}.krew.yaml`;
  await writeFile(join(dir, path), manifest);
  const use = `the plugin of kubectl for krew: \`kubectl krew install --manifest=${path} --archive=${archive}\``;
  return { files: [{ path, use }] };
}
