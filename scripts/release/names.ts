// Names that only the owners of a registry, a scope or a domain can give: release.config.json has them.
import { readFile } from 'node:fs/promises';
import { z } from 'zod';

const names = z.strictObject({
  registry: z.string().regex(/^[\w.:/-]+[^/]$/, 'a registry with its folder and without a slash at its end'),
  npmName: z.string().regex(/^(@[a-z0-9-]+\/)?[a-z0-9-]+$/, 'a name of npm, such as @scope/multinic'),
  krewName: z.string().regex(/^[a-z][a-z0-9-]*$/, 'a name of krew: lower case, digits and dashes'),
  homepage: z.url(),
  documentation: z.url(),
  downloads: z.string().startsWith('https://'),
});

export type Names = z.infer<typeof names>;

export async function readNames(file: string): Promise<Names> {
  const read = names.safeParse(JSON.parse(await readFile(file, 'utf8')));
  if (read.success) return read.data;
  throw new Error(`${file}: ${z.prettifyError(read.error)}`);
}

/** Keys whose values are still the example's names, under which nobody can publish. */
export function placeholders(given: Names): string[] {
  return Object.entries(given).flatMap(([key, name]) => (/\bexample\b/.test(name) ? [key] : []));
}
