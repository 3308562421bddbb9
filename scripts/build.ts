// Bundles CLI, controller and agent: a Job starts in a third of the time of the unbundled tree. What a command loads
// when it runs is a chunk of its own, so that an agent neither parses nor keeps the controller.
import { build, type BuildOptions, type Metafile } from 'esbuild';
import { chmod, copyFile, glob, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { commitOf } from './commit.ts';
import { NODE_FLAGS } from './node-flags.ts';
import { thirdPartyNotices } from './notices.ts';

const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
const outfile = 'dist/multinic.js';

const shared = {
  outdir: 'dist',
  splitting: true,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  sourcemap: 'linked',
  define: {
    __VERSION__: JSON.stringify(version),
    __COMMIT__: JSON.stringify(await commitOf()),
    __RESTORE_SH__: JSON.stringify(await readFile('src/agent/live/restore.sh', 'utf8')),
  },
  // THIRD-PARTY-NOTICES.txt has the whole licence of each package; its comments would repeat a part in each chunk.
  legalComments: 'none',
  // Node keeps the text of each module that it loads: without spaces and comments a controller in a cluster needs 35 MB
  // less. Names stay, so that a stack can be read.
  minifyWhitespace: true,
  minifySyntax: true,
  metafile: true,
} satisfies BuildOptions;
// CommonJS dependencies call require() for Node's own modules; an ESM bundle has none unless we give it one.
const REQUIRE = `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);`;

const program = await build({
  ...shared,
  entryPoints: ['src/cli/entry.ts'],
  entryNames: 'multinic',
  chunkNames: 'chunks/[name]-[hash]',
  plugins: [
    {
      name: 'programs',
      setup: ({ onResolve }) =>
        onResolve({ filter: /\/(agent|local|controller)-program\.ts$/ }, ({ path }) => ({
          path: `./${basename(path, '-program.ts')}.js`,
          external: true,
        })),
    },
  ],
  banner: { js: `#!/usr/bin/env -S node ${NODE_FLAGS.join(' ')}\n${REQUIRE}` },
});
// Bundles of their own: the modules that these programs share with other commands would be dozens of further chunks, and
// to find and link these takes a tenth of the agent's start.
const outputs: Metafile['outputs'] = { ...program.metafile.outputs };
for (const name of ['agent', 'local', 'controller']) {
  const { metafile } = await build({
    ...shared,
    entryPoints: [`src/cli/${name}-program.ts`],
    entryNames: name,
    chunkNames: `chunks/${name}-[name]-[hash]`,
    banner: { js: REQUIRE },
  });
  Object.assign(outputs, metafile.outputs);
}
// Builds the web UI into a folder beside the program, which serves the files.
const ui = await build({
  entryPoints: { ui: 'src/ui/main.tsx' },
  outdir: 'dist/ui',
  bundle: true,
  minify: true,
  platform: 'browser',
  target: 'es2023',
  format: 'esm',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  sourcemap: 'external',
  legalComments: 'none',
  metafile: true,
});
await build({ entryPoints: { ui: 'src/ui/style.css' }, outdir: 'dist/ui', minify: true });
await copyFile('src/ui/page.html', 'dist/ui/index.html');
await copyFile('src/ui/icon.svg', 'dist/ui/icon.svg');
await chmod(outfile, 0o755);

// An earlier build leaves chunks of other names, which would be shipped, and whose packages have no notice any more.
Object.assign(outputs, ui.metafile.outputs);
const built = new Set(Object.keys(outputs));
for await (const file of glob('dist/chunks/*')) if (!built.has(file)) await rm(file);
// Without this file, Node would read each chunk as CommonJS first, fail, and read the chunk again.
await writeFile('dist/package.json', '{ "type": "module" }\n');

// The image and the npm package take dist as a whole, so the licences are in both.
await writeFile('dist/THIRD-PARTY-NOTICES.txt', `${await thirdPartyNotices(outputs)}\n`);
for (const file of ['LICENSE', 'NOTICE']) await copyFile(file, `dist/${file}`);

// npx looks for a program in node_modules/.bin, where npm puts those of dependencies only.
const link = 'node_modules/.bin/multinic';
await rm(link, { force: true });
await symlink(`../../${outfile}`, link);
