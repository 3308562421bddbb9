// The OpenAPI definitions of an old Kubernetes, which its repository does not have: an API server cannot merge without them.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../nodes/command.ts';
import type { Log } from '../nodes/cache.ts';
import { go } from './go.ts';

const GENERATOR = 'k8s.io/kube-openapi/cmd/openapi-gen';
const PACKAGE = 'k8s.io/kubernetes/pkg/generated/openapi';
const FILE = 'zz_generated.openapi';
/** Modules with types of the API. */
const MODULES = [
  'api',
  'apimachinery',
  'apiextensions-apiserver',
  'apiserver',
  'kube-aggregator',
  'client-go',
];
const LIMIT_MS = 1_200_000;

/** Writes `zz_generated.openapi.go` into `output`. @param work folder of a module that requires Kubernetes and the generator */
export async function generateOpenApi(work: string, output: string, log: Log): Promise<void> {
  const scratch = await mkdtemp(join(dirname(work), 'multinic-openapi-'));
  const generator = join(scratch, 'openapi-gen');
  await go(['build', '-o', generator, GENERATOR], work, log);
  const inputs: string[] = [];
  for (const name of MODULES) {
    const module = `k8s.io/${name}`;
    const dir = (await go(['list', '-m', '-f', '{{.Dir}}', module], work, log)).trim();
    for (const folder of await markedFolders(dir)) inputs.push(join(module, folder));
  }
  const header = join(scratch, 'header');
  await writeFile(header, '\n');
  const files = ['--go-header-file', header, '--report-filename', join(scratch, 'report')];
  const place = ['--output-base', scratch, '--output-package', PACKAGE, '--output-file-base', FILE];
  await run(generator, [...files, ...place, '--input-dirs', inputs.join(',')], {
    cwd: work,
    env: { CGO_ENABLED: '0', GO111MODULE: 'on', GOTOOLCHAIN: 'auto' },
    timeoutMs: LIMIT_MS,
  });
  await mkdir(output, { recursive: true });
  const text = await readFile(join(scratch, PACKAGE, `${FILE}.go`), 'utf8');
  await writeFile(join(output, `${FILE}.go`), text);
  await rm(scratch, { recursive: true });
}

/** Folders whose Go files ask for definitions, relative to `dir`. */
async function markedFolders(dir: string): Promise<string[]> {
  const found = new Set<string>();
  for (const path of await readdir(dir, { recursive: true })) {
    if (!path.endsWith('.go') || /example/.test(path)) continue;
    if (/\+k8s:openapi-gen=(true|package)/.test(await readFile(join(dir, path), 'utf8')))
      found.add(dirname(path));
  }
  return [...found].sort();
}
