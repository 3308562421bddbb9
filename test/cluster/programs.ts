// The programs of a cluster, in folders that are built once on a machine.
import { copyFile, cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached, type Log } from '../nodes/cache.ts';
import { run } from '../nodes/command.ts';
import { buildGoProgram, go, goModOf, type Replacement } from './go.ts';
import { generateOpenApi } from './openapi.ts';

const SOURCES = join(import.meta.dirname, 'programs');

/** The tried versions; other patch releases of them work as well. */
export const KUBERNETES = { newest: '1.35.4', oldest: '1.20.15' } as const;
const ETCD = '3.6.16';
const HELM = '3.22.0';
const KUBECONFORM = '0.8.0';
/** Prometheus 3.16: its module counts the minor version by three digits. */
const PROMETHEUS = '0.316.0';
/** Version of the recipe: raise it when this file or go.ts builds another result from the same sources. */
const RECIPE = '1';

const KUBERNETES_PROGRAMS = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kube-proxy',
  'kubelet',
  'kubectl',
];

/** @returns a folder with all of Kubernetes' programs of that version, kubectl among them */
export async function kubernetesPrograms(version: string, log: Log): Promise<string> {
  if (Number(version.split('.')[1]) < FIRST_WHOLE) return oldKubernetesPrograms(version, log);
  const source = join(SOURCES, 'kubernetes');
  return build(`kubernetes-${version}`, source, log, async (dir, work) => {
    const module = `k8s.io/kubernetes@v${version}`;
    const minor = version.split('.')[1];
    const program = {
      name: 'kubernetes',
      source,
      require: [module],
      replace: stagingOf(await goModOf(module, work, log), version),
      ldflags: [
        ...stampOf(version),
        // Old versions use internals of Go's packages, which newer linkers refuse.
        ...(Number(minor) < 30 ? ['-checklinkname=0'] : []),
      ],
    };
    await buildGoProgram(program, work, join(dir, 'kubernetes'), log);
    for (const name of KUBERNETES_PROGRAMS) await symlink('kubernetes', join(dir, name));
  });
}

/** The first minor version whose module has all that a build of it wants. */
const FIRST_WHOLE = 23;

/** Versions whose OpenAPI definitions have to be generated. The module cannot be written, so a copy of it is built. */
async function oldKubernetesPrograms(version: string, log: Log): Promise<string> {
  const kubectl = join(await kubernetesPrograms(KUBERNETES.newest, log), 'kubectl');
  const source = join(SOURCES, 'kubernetes-1.20');
  return build(`kubernetes-${version}`, source, log, async (dir, work) => {
    const name = 'k8s.io/kubernetes';
    const module = `${name}@v${version}`;
    const copy = join(work, 'kubernetes');
    await cp((await moduleOf(module, work, log)).Dir, copy, { recursive: true });
    await run('chmod', ['-R', 'u+w', copy]);
    const own = [
      // The one that it asks for does not know the maps of today's Go.
      { module: 'github.com/modern-go/reflect2', by: 'github.com/modern-go/reflect2@v1.0.2' },
      { module: name, by: './kubernetes' },
    ];
    const others = stagingOf(await goModOf(module, work, log), version).filter(
      (each) => !own.some((mine) => mine.module === each.module),
    );
    const program = {
      name: 'kubernetes',
      source,
      require: [module, own[0]!.by],
      replace: [...others, ...own],
      ldflags: [...stampOf(version), '-checklinkname=0'],
      generate: () => generateOpenApi(work, join(copy, 'pkg/generated/openapi'), log),
    };
    await buildGoProgram(program, work, join(dir, 'kubernetes'), log);
    const names = KUBERNETES_PROGRAMS.filter((each) => each !== 'kubectl');
    for (const each of names) await symlink('kubernetes', join(dir, each));
    await symlink(kubectl, join(dir, 'kubectl'));
  });
}

function stampOf(version: string): string[] {
  const minor = version.split('.')[1];
  const stamp = [`gitVersion=v${version}`, 'gitMajor=1', `gitMinor=${minor}`, 'gitTreeState=clean'];
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];
  return packages.flatMap((each) => stamp.map((value) => `-X ${each}.${value}`));
}

/** @returns a folder with `etcd` */
export async function etcdProgram(log: Log): Promise<string> {
  const source = join(SOURCES, 'etcd');
  return build(`etcd-${ETCD}`, source, log, async (dir, work) => {
    const program = { name: 'etcd', source, require: [`go.etcd.io/etcd/server/v3@v${ETCD}`] };
    await buildGoProgram(program, work, join(dir, 'etcd'), log);
  });
}

/** @returns a folder with `helm` */
export async function helmProgram(log: Log): Promise<string> {
  return build(`helm-${HELM}`, undefined, log, async (dir, work) => {
    const { Dir: source } = await moduleOf(`helm.sh/helm/v3@v${HELM}`, work, log);
    const version = `-X helm.sh/helm/v3/internal/version.version=v${HELM}`;
    const flags = ['-trimpath', '-ldflags', `-s -w ${version}`];
    await go(['build', ...flags, '-o', join(dir, 'helm'), './cmd/helm'], source, log);
  });
}

/** @returns a folder with `kubeconform`, which validates manifests */
export async function kubeconformProgram(log: Log): Promise<string> {
  return build(`kubeconform-${KUBECONFORM}`, undefined, log, async (dir, work) => {
    const { Dir: source } = await moduleOf(`github.com/yannh/kubeconform@v${KUBECONFORM}`, work, log);
    await go(['build', '-trimpath', '-o', join(dir, 'kubeconform'), './cmd/kubeconform'], source, log);
  });
}

/** @returns path of the OpenAPI document of that version of Kubernetes, which is in its repository */
export async function openApiOf(version: string, log: Log): Promise<string> {
  const dir = await build(`openapi-${version}`, undefined, log, async (folder, work) => {
    const { Dir: source } = await moduleOf(`k8s.io/kubernetes@v${version}`, work, log);
    await copyFile(join(source, 'api/openapi-spec/swagger.json'), join(folder, 'swagger.json'));
  });
  return join(dir, 'swagger.json');
}

async function moduleOf(module: string, work: string, log: Log): Promise<{ readonly Dir: string }> {
  return JSON.parse(await go(['mod', 'download', '-json', module], work, log)) as { Dir: string };
}

/** @returns a folder with `health`, which reads a status as kstatus and Argo CD do */
export async function healthProgram(log: Log): Promise<string> {
  const source = join(SOURCES, 'health');
  return build('health', source, log, async (dir, work) => {
    const require = ['sigs.k8s.io/cli-utils@v0.37.2', 'github.com/yuin/gopher-lua@v1.1.2'];
    await buildGoProgram({ name: 'health', source, require }, work, join(dir, 'health'), log);
  });
}

/** @returns a folder with `promql`, which reads queries as Prometheus does */
export async function promqlProgram(log: Log): Promise<string> {
  const source = join(SOURCES, 'promql');
  return build(`promql-${PROMETHEUS}`, source, log, async (dir, work) => {
    const require = [`github.com/prometheus/prometheus@v${PROMETHEUS}`];
    await buildGoProgram({ name: 'promql', source, require }, work, join(dir, 'promql'), log);
  });
}

/** @returns a folder with `pause`, without any library */
export async function pauseProgram(log: Log): Promise<string> {
  const source = join(SOURCES, 'pause');
  return build('pause', source, log, async (dir, work) => {
    await buildGoProgram({ name: 'pause', source, require: [] }, work, join(dir, 'pause'), log);
  });
}

async function build(
  name: string,
  source: string | undefined,
  log: Log,
  make: (dir: string, work: string) => Promise<void>,
): Promise<string> {
  const code = source === undefined ? [] : await filesOf(source);
  return cached(name, [RECIPE, ...code], log, async (dir) => {
    const work = await mkdtemp(join(tmpdir(), 'multinic-build-'));
    try {
      await make(dir, work);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
}

async function filesOf(dir: string): Promise<string[]> {
  const names = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.go')).sort();
  return Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')));
}

/**
 * Kubernetes' own modules are replaced by folders of its repository, which a module that depends on it does not have;
 * they are released beside it, as v0. Its other replacements are needed as they are.
 */
function stagingOf(goMod: string, version: string): Replacement[] {
  const rule = /^\s*(?:replace )?([^\s/][^\s]*) => (\S+)(?: (\S+))?$/gm;
  return [...goMod.matchAll(rule)].map(([, module = '', by = '', release]) =>
    by.startsWith('./staging/')
      ? { module, by: `${module}@v0.${version.slice(2)}` }
      : { module, by: `${by}@${release ?? ''}` },
  );
}
