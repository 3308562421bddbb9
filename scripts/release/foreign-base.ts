// The lowest layer of an image for another architecture: packages of Debian and a Node, unpacked. No program of that
// architecture runs here, so the files that maintainer scripts would write are copies too.
import { execa } from 'execa';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtempDisposable,
  readdir,
  readFile,
  rm,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PACKAGES, SUITE } from '../../test/cluster/base-image.ts';
import { packLayer } from '../../test/cluster/image.ts';
import { cached, type Log } from '../../test/nodes/cache.ts';
import { run } from '../../test/nodes/command.ts';
import { needCommands } from '../../test/nodes/packages.ts';
import { ROOT } from './part.ts';

/** Names of an architecture: in images and in Debian, and in the packages of npm. */
export const ARCHITECTURES = { amd64: 'x64', arm64: 'arm64' } as const;
export type Architecture = keyof typeof ARCHITECTURES;

/** Version of the recipe. Raise it when this file gives another result for the same input. */
const RECIPE = '1';
const BUILD_LIMIT_MS = 900_000;
/** Files of this machine that a root folder gets, and devices, which a container gets from its runtime. */
const NOT_OURS = ['etc/hostname', 'etc/resolv.conf', 'dev'];

/** @returns path of the layer, a tar */
export async function foreignBase(architecture: Architecture, log: Log): Promise<string> {
  const packages = [...new Set([...PACKAGES, ...(await packagesOfDockerfile())])];
  const node = nodeVersion();
  const recipe = [SUITE, architecture, node, RECIPE, ...packages];
  const dir = await cached(`base-${architecture}`, recipe, log, async (dir) => {
    await needCommands(['mmdebstrap', 'tar'], log);
    const root = join(dir, 'root');
    const unpack = ['--variant=extract', `--architectures=${architecture}`, '--include=?essential'];
    const args = [...unpack, `--include=${packages.join(',')}`, '--quiet', SUITE, root];
    await run('mmdebstrap', args, { timeoutMs: BUILD_LIMIT_MS });
    for (const name of NOT_OURS) await rm(join(root, name), { recursive: true, force: true });
    await mkdir(join(root, 'dev'));
    await configure(root);
    await unpackNode(architecture, node, join(root, 'usr/local/bin'));
    await packLayer(root, join(dir, 'layer.tar'));
    await rm(root, { recursive: true });
  });
  return join(dir, 'layer.tar');
}

/** Packages that the Dockerfile installs. */
async function packagesOfDockerfile(): Promise<string[]> {
  const text = await readFile(join(ROOT, 'Dockerfile'), 'utf8');
  const [, names] = /apt-get install --yes --no-install-recommends ([\w .+-]+)/.exec(text) ?? [];
  if (names === undefined) throw new Error('the Dockerfile installs no packages: mend foreign-base.ts');
  return names.trim().split(' ');
}

/** Writes what maintainer scripts of these packages write: accounts, lookups of names, and the list of CAs. */
async function configure(root: string): Promise<void> {
  const masters = join(root, 'usr/share/base-passwd');
  const accounts = { passwd: 'node:x:1000:1000::/home/node:/bin/bash\n', group: 'node:x:1000:\n' };
  for (const [name, own] of Object.entries(accounts))
    await writeFile(join(root, 'etc', name), (await readFile(join(masters, `${name}.master`), 'utf8')) + own);
  await mkdir(join(root, 'home/node'), { recursive: true });
  await copyFile(join(root, 'usr/share/libc-bin/nsswitch.conf'), join(root, 'etc/nsswitch.conf'));
  const folder = join(root, 'usr/share/ca-certificates/mozilla');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.crt')).toSorted();
  const all = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  await writeFile(join(root, 'etc/ssl/certs/ca-certificates.crt'), all.join(''));
}

/** Version of the Node.js of the project. */
function nodeVersion(): string {
  return (createRequire(import.meta.url)('node/package.json') as { version: string }).version;
}

async function unpackNode(architecture: Architecture, version: string, target: string): Promise<void> {
  await using work = await mkdtempDisposable(join(tmpdir(), 'multinic-node-'));
  const name = `node-linux-${ARCHITECTURES[architecture]}@${version}`;
  const options = ['--json', '--pack-destination', work.path];
  const { stdout } = await execa('npm', ['pack', name, ...options], { timeout: BUILD_LIMIT_MS });
  const [packed] = JSON.parse(stdout) as { filename: string }[];
  const archive = join(work.path, packed!.filename);
  await execa('tar', ['-C', work.path, '-xzf', archive, 'package/bin/node']);
  await mkdir(target, { recursive: true });
  await copyFile(join(work.path, 'package/bin/node'), join(target, 'node'));
  await chmod(join(target, 'node'), 0o755);
}
