// Writes the licences of the packages that the bundle contains, because everyone who passes the bundle on has to
// include them.
import type { Metafile } from 'esbuild';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const MODULES = 'node_modules/';
const LICENCE_FILE = /^((un)?licen[cs]e|copying|copyright|notice)/i;
const RULE = '='.repeat(80);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly author?: string | { readonly name: string };
  readonly repository?: string | { readonly url: string };
}

/** Text of THIRD-PARTY-NOTICES.txt for a bundle: name, version, licence and licence text of each package in it. */
export async function thirdPartyNotices(outputs: Metafile['outputs']): Promise<string> {
  const notices = await Promise.all(bundledFolders(outputs).map(notice));
  const intro = `The bundle contains ${notices.length} packages of other authors, each under the licence that follows its name.`;
  return [intro, ...notices.toSorted()].join(`\n\n${RULE}\n`);
}

/** Folders of the packages whose files are in an output. A package that is there in two versions has two folders. */
function bundledFolders(outputs: Metafile['outputs']): string[] {
  const files = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs));
  return [...new Set(files.flatMap((file) => packageFolder(file) ?? []))];
}

function packageFolder(file: string): string | undefined {
  const start = file.lastIndexOf(MODULES);
  if (start < 0) return undefined;
  const [scope, name] = file.slice(start + MODULES.length).split('/');
  return file.slice(0, start) + MODULES + (scope!.startsWith('@') ? `${scope}/${name}` : scope);
}

async function notice(folder: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest;
  const { name, version, license, repository } = manifest;
  const source = typeof repository === 'string' ? repository : repository?.url;
  const head = [
    `${name} ${version}`,
    `Licence: ${license ?? 'see below'}`,
    ...(source ? [`Source: ${source}`] : []),
  ];
  return `${head.join('\n')}\n\n${await licenceText(folder, manifest)}`;
}

async function licenceText(folder: string, manifest: Manifest): Promise<string> {
  const files = (await readdir(folder)).filter((file) => LICENCE_FILE.test(file)).toSorted();
  if (files.length === 0) return await standardText(manifest);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return texts.map((text) => text.trim()).join('\n\n');
}

/** The standard text of a licence, for a package that names its licence and does not ship the text. */
async function standardText({ name, license, author }: Manifest): Promise<string> {
  const holder = typeof author === 'string' ? author : author?.name;
  if (license === 'Apache-2.0') return (await readFile('LICENSE', 'utf8')).trim();
  if (license === 'MIT' && holder)
    return `Copyright ${holder}\n\n${(await readFile('scripts/mit.txt', 'utf8')).trim()}`;
  throw new Error(
    `${name} is in the bundle and has no licence text: add the text of ${license ?? 'its licence'} to scripts/notices.ts, or use another package`,
  );
}
