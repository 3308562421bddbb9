import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NAME, ROOT, type Part, type Release } from './part.ts';

/** Property that npm gives to a package which only the development wants. */
const DEVELOPMENT = 'cdx:npm:package:development';

interface Sbom {
  serialNumber: string;
  metadata: { timestamp: string; component: Component };
  components: Component[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

interface Component {
  readonly 'bom-ref': string;
  readonly properties: readonly { readonly name: string }[];
}

/** The packages of the bundle by package-lock.json, as CycloneDX. */
export async function sbomPart({ dir, version, time }: Release): Promise<Part> {
  const kind = ['--sbom-format', 'cyclonedx', '--sbom-type', 'application'];
  const { stdout } = await execa('npm', ['sbom', ...kind, '--package-lock-only'], { cwd: ROOT });
  const sbom = withoutDevelopment(JSON.parse(stdout) as Sbom);
  sbom.metadata.timestamp = new Date(time * 1000).toISOString();
  // Makes the number from the content, so that each build has the same one. npm would take a random number.
  sbom.serialNumber = '';
  sbom.serialNumber = `urn:uuid:${uuidOf(JSON.stringify(sbom))}`;
  const path = `${NAME}-${version}.cdx.json`;
  await writeFile(join(dir, path), `${JSON.stringify(sbom, undefined, 2)}\n`);
  return { files: [{ path, use: 'the software bill of materials of the bundle (CycloneDX)' }] };
}

/** Packages of the bundle. npm's `--omit dev` would also leave out packages that a development package needs too. */
function withoutDevelopment(sbom: Sbom): Sbom {
  const components = sbom.components.filter(
    ({ properties }) => !properties.some(({ name }) => name === DEVELOPMENT),
  );
  const refs = new Set([sbom.metadata.component, ...components].map((component) => component['bom-ref']));
  const dependencies = sbom.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => refs.has(each)) }));
  return { ...sbom, components, dependencies };
}

/** A UUID of version 8, whose bits are those of a hash. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
