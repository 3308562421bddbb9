// The package of the chart, which asks for the image of release.config.json's registry.
import { execa } from 'execa';
import { cp, mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chartManifest, replacedOnce } from '../chart-manifest.ts';
import { chartReadme } from '../chart-readme.ts';
import { packFolder } from './archive.ts';
import { findHelm, NO_HELM } from './helm.ts';
import { NAME, ROOT, type Part, type Release } from './part.ts';

export async function chartPart(release: Release): Promise<Part> {
  const helm = await findHelm();
  if (helm === undefined) return { files: [], leftOut: [`the chart: ${NO_HELM}`] };
  await using work = await mkdtempDisposable(join(tmpdir(), 'multinic-chart-'));
  const chart = join(work.path, NAME);
  await cp(join(ROOT, 'deploy/helm'), chart, { recursive: true });
  await nameChart(chart, release);
  await execa(helm, ['lint', '--strict', chart]);
  await execa(helm, ['package', chart, '--destination', work.path]);
  // Packs the content of helm's archive again, because the archive has the time of day in it.
  const path = `${NAME}-${release.version}.tgz`;
  const unpacked = join(work.path, 'unpacked');
  await mkdir(unpacked);
  await execa('tar', ['-C', unpacked, '-xzf', join(work.path, path)]);
  await packFolder(unpacked, NAME, join(release.dir, path), release.time);
  const use = `the chart: \`helm install ${NAME} ${path} --namespace multinic-system --create-namespace\``;
  return { files: [{ path, use }] };
}

/** Writes version, registry, home page and links of the release into a copy of the chart. */
async function nameChart(chart: string, { names, version }: Release): Promise<void> {
  const manifest = chartManifest(await readFile(join(chart, 'Chart.yaml'), 'utf8'), version);
  await writeFile(join(chart, 'Chart.yaml'), `${manifest}home: ${JSON.stringify(names.homepage)}\n`);
  const values = replacedOnce(
    await readFile(join(chart, 'values.yaml'), 'utf8'),
    /^ {4}registry: ''$/gm,
    `    registry: ${JSON.stringify(names.registry)}`,
  );
  await writeFile(join(chart, 'values.yaml'), values);
  const readme = chartReadme(values)
    .replaceAll('deploy/helm/', `${NAME}-${version}.tgz`)
    .replaceAll('../../docs/', `${names.documentation}/`);
  await writeFile(join(chart, 'README.md'), readme);
}
