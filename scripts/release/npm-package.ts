// The npm package: the bundle alone, which needs no other package.
import { execa } from 'execa';
import { copyFile, mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyShipped } from './copy.ts';
import { ROOT, type Part, type Release } from './part.ts';
import { BUNDLE } from './source.ts';

const FILES = ['dist', 'crds', 'fixtures/local', 'LICENSE', 'NOTICE'];
/** Keys of package.json that hold for the package too; the bundle has the dependencies in it. */
const KEYS = ['description', 'license', 'bin', 'type', 'engines'] as const;
/** Completion files by shell. kubectl completes through a program instead of a file. */
const COMPLETIONS = {
  bash: 'multinic.bash',
  zsh: '_multinic',
  fish: 'multinic.fish',
  kubectl: 'kubectl_complete-multinic',
};

type Manifest = Readonly<Record<(typeof KEYS)[number], unknown>> & { readonly bin: object };

export function npmPackageName(version: string): string {
  return `multinic-cli-${version}.tgz`;
}

export async function npmPart(release: Release): Promise<Part> {
  await using work = await mkdtempDisposable(join(tmpdir(), 'multinic-package-'));
  const folder = join(work.path, 'package');
  await mkdir(folder);
  await copyShipped(FILES, folder);
  await writeManifest(folder, release);
  await writeFile(join(folder, 'README.md'), readme(release));
  await writeCompletions(join(folder, 'completion'));
  const options = ['--ignore-scripts', '--json', '--pack-destination', work.path];
  const { stdout } = await execa('npm', ['pack', ...options], { cwd: folder });
  const [packed] = JSON.parse(stdout) as { filename: string }[];
  const path = npmPackageName(release.version);
  await copyFile(join(work.path, packed!.filename), join(release.dir, path));
  const use = `the programs \`multinic\` and \`kubectl-multinic\`, for Node 24: \`npm install --global ./${path}\``;
  return { files: [{ path, use }] };
}

async function writeManifest(folder: string, { names, version }: Release): Promise<void> {
  const own = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  const kept = Object.fromEntries(KEYS.map((key) => [key, own[key]]));
  const bin = { ...own.bin, [COMPLETIONS.kubectl]: `completion/${COMPLETIONS.kubectl}` };
  const manifest = { name: names.npmName, version, ...kept, bin, homepage: names.homepage };
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

async function writeCompletions(folder: string): Promise<void> {
  await mkdir(folder);
  await Promise.all(
    Object.entries(COMPLETIONS).map(async ([shell, name]) => {
      const { stdout } = await execa(process.execPath, [BUNDLE, 'completion', shell]);
      await writeFile(join(folder, name), `${stdout}\n`, { mode: stdout.startsWith('#!') ? 0o755 : 0o644 });
    }),
  );
}

function readme({ names }: Release): string {
  return `# multinic

The command line of multinic-agent, which configures the many NICs of Kubernetes nodes on OpenStack, GitOps style.
It needs Node 24 or newer.

    multinic status                   # the controller of the cluster that your kubeconfig names
    kubectl multinic log worker-1     # the same program as a plugin of kubectl
    multinic --help

\`completion/\` has the completion for bash, zsh and fish; kubectl finds that of its plugin by itself. \`multinic completion SHELL\` prints it too.
The licences of the packages in the bundle are in \`dist/THIRD-PARTY-NOTICES.txt\`.

Documentation: ${names.documentation}
`;
}
