// Programs from Go modules: built by the Go of this machine, or by Debian's, once a machine.
import { chmod, cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../nodes/command.ts';
import { needCommands } from '../nodes/packages.ts';
import type { Log } from '../nodes/cache.ts';
import { LabError } from '../support/lab-error.ts';

const BUILD_LIMIT_MS = 40 * 60_000;
/** The version that the newest of our modules needs; an older Go only fetches this one. */
const TOOLCHAIN = '1.26.8';
/** The first version of Go that fetches a newer one by itself. */
const SELF_UPDATING = 21;

export interface Replacement {
  readonly module: string;
  readonly by: string;
}

export interface GoProgram {
  /** Name of the program that is built. */
  readonly name: string;
  /** Folder with its Go files. */
  readonly source: string;
  /** The main `module@version`; `go mod tidy` finds the others. */
  readonly require: readonly string[];
  readonly replace?: readonly Replacement[];
  readonly ldflags?: readonly string[];
  /** Writes what the sources lack, once the modules are known. */
  readonly generate?: () => Promise<void>;
}

/** Builds into `dir`, and leaves only the program there. */
export async function buildGoProgram(
  program: GoProgram,
  work: string,
  output: string,
  log: Log,
): Promise<void> {
  await cp(program.source, work, { recursive: true });
  const lines = [
    `module multinic.io/test/${program.name}`,
    'go 1.21',
    ...program.require.map((entry) => `require ${entry.replace('@', ' ')}`),
    ...(program.replace ?? []).map(({ module, by }) => `replace ${module} => ${by.replace('@', ' ')}`),
  ];
  await writeFile(join(work, 'go.mod'), `${lines.join('\n')}\n`);
  await go(['mod', 'tidy'], work, log);
  if (program.generate !== undefined) {
    await program.generate();
    await go(['mod', 'tidy'], work, log);
  }
  const ldflags = ['-s', '-w', ...(program.ldflags ?? [])].join(' ');
  await go(['build', '-trimpath', '-ldflags', ldflags, '-o', output, '.'], work, log);
}

/** @returns what `go list -m` and `go mod download` call a module's go.mod file, as text */
export async function goModOf(module: string, work: string, log: Log): Promise<string> {
  const answer = JSON.parse(await go(['mod', 'download', '-json', module], work, log)) as { GoMod?: string };
  if (answer.GoMod === undefined) {
    throw new LabError('NoSuchModule', `${module} has no go.mod; see whether that version exists`);
  }
  return readFile(answer.GoMod, 'utf8');
}

/** Runs the go command in a folder. */
export async function go(args: readonly string[], cwd: string, log: Log): Promise<string> {
  const { command, root } = await goCommand(cwd, log);
  const env = {
    GOTOOLCHAIN: 'auto',
    // Static linking, because the programs also run on nodes with another C library.
    CGO_ENABLED: '0',
    GO111MODULE: 'on',
    GOWORK: 'off',
    ...(root === undefined ? {} : { GOROOT: root }),
  };
  return run(command, args, { cwd, env, timeoutMs: BUILD_LIMIT_MS });
}

interface Go {
  readonly command: string;
  /** The go command of a fetched toolchain. */
  readonly root?: string;
}

let chosen: Promise<Go> | undefined;

function goCommand(work: string, log: Log): Promise<Go> {
  chosen ??= findGo(work, log);
  return chosen;
}

async function findGo(work: string, log: Log): Promise<Go> {
  await needCommands(['go'], log);
  const version = await run('go', ['env', 'GOVERSION']);
  const minor = Number(/^go1\.(\d+)/.exec(version)?.[1] ?? 0);
  return minor >= SELF_UPDATING ? { command: 'go' } : fetchToolchain(work, log);
}

/** Newer toolchains are modules, which an older Go fetches, checks and unpacks like any other. */
async function fetchToolchain(work: string, log: Log): Promise<Go> {
  log(`fetching Go ${TOOLCHAIN}: Debian's is too old to do so by itself`);
  const platform = (await run('go', ['env', 'GOOS', 'GOARCH'])).split('\n').join('-');
  const module = `golang.org/toolchain@v0.0.1-go${TOOLCHAIN}.${platform}`;
  const download = await run('go', ['mod', 'download', '-json', module], {
    cwd: work,
    timeoutMs: BUILD_LIMIT_MS,
  });
  const { Dir: root } = JSON.parse(download) as { Dir: string };
  // Files of a module have no executable bits.
  const tools = join(root, 'pkg/tool', platform.replace('-', '_'));
  for (const dir of [join(root, 'bin'), tools]) {
    for (const name of await readdir(dir)) await chmod(join(dir, name), 0o755);
  }
  return { command: join(root, 'bin/go'), root };
}
