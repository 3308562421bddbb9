// The tiers of tests, by what they need: `ordinary` (npm test), `kills`, `long`, `root`, `system`. A tier says what it leaves out.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { memoryFolder } from './memory-folder.ts';
import { missingPrerequisites, thisMachine } from '../test/support/prerequisites.ts';
import {
  addTally,
  failureLines,
  FILES_VARIABLE,
  readFiles,
  sumOf,
  TALLY_VARIABLE,
  tallyLine,
  type Tally,
} from '../test/support/tally.ts';

/** Tests of the cluster that hold all acceptance points once; `npm run test:matrix` has the others. */
const CLUSTER = [
  'main-line networkmanager operators access removal moving-in outside upgrade',
  'given-certificate image-pull drift person chart monitoring status-readers release',
  'namespace-rules api-ways ui.cluster routing',
].flatMap((names) => names.split(' '));

const KILLS_TIER = 'a kill at each step of the controller and its agents (npm run test:kills)';
const LONG_TIER = 'attacks, random histories, fleets, the commands of the docs (npm run test:long)';
const ROOT_TIER = 'mounts, full disks and strace, shellcheck (as root: npm run test:root)';
const SYSTEM_TIER = 'real nodes and a real cluster (as root: npm run test:system)';
const MATRIX_TIER = 'every combination (as root: npm run test:matrix)';

interface Run {
  readonly name: string;
  readonly args: readonly string[];
  /** Names of the test files; absent: all test files. */
  readonly files?: readonly string[];
}

interface Tier {
  /** Whether the files of the tests may be in memory: true if no test depends on a disk. */
  readonly inMemory?: boolean;
  /** Whether the tier lists what the machine lacks, and builds it while the tests run. */
  readonly builds?: boolean;
  /**
   * Whether test files with a failure run once more. Hosts and clusters on a busy machine miss a deadline now and then.
   */
  readonly again?: boolean;
  /** Lanes run beside each other, and the runs of a lane in turn. */
  readonly lanes: readonly (readonly Run[])[];
  /** Runs that begin after all lanes, when everything is built. */
  readonly last?: readonly Run[];
  readonly leftOut: readonly string[];
}

const project = (...names: readonly string[]): Run => ({
  name: names.join(' and '),
  args: names.flatMap((each) => ['--project', each]),
});
const config = (folder: string): Run => ({
  name: folder,
  args: ['--config', `test/${folder}/vitest.config.ts`],
});

const TIERS: Readonly<Record<string, Tier>> = {
  ordinary: {
    inMemory: true,
    lanes: [[project('unit', 'integration')]],
    leftOut: [KILLS_TIER, LONG_TIER, ROOT_TIER, SYSTEM_TIER, MATRIX_TIER],
  },
  kills: {
    inMemory: true,
    lanes: [[project('kills')]],
    leftOut: [LONG_TIER, ROOT_TIER, SYSTEM_TIER, MATRIX_TIER],
  },
  long: {
    inMemory: true,
    lanes: [[project('long')]],
    leftOut: [KILLS_TIER, ROOT_TIER, SYSTEM_TIER, MATRIX_TIER],
  },
  root: { lanes: [[project('root')]], leftOut: [SYSTEM_TIER, MATRIX_TIER] },
  system: {
    builds: true,
    again: true,
    // Live tests mostly wait for booting hosts, so they have a lane of their own. Clusters keep two processors busy.
    lanes: [[config('live')], [project('kills'), project('long'), project('root'), config('browser')]],
    last: [{ ...config('cluster'), files: CLUSTER }],
    leftOut: [MATRIX_TIER],
  },
};

const [name = 'ordinary', ...args] = process.argv.slice(2);
const tier = TIERS[name];
if (tier === undefined) throw new Error(`no tier ${name}; there are ${Object.keys(TIERS).join(', ')}`);
process.exitCode = await test(tier);

async function test({
  inMemory = false,
  builds = false,
  again = false,
  lanes,
  last = [],
  leftOut,
}: Tier): Promise<number> {
  const missing = missingPrerequisites(thisMachine());
  if (name !== 'ordinary' && process.getuid?.() !== 0) missing.push('root (run it with sudo)');
  if (missing.length > 0) {
    console.error(`The tests need ${missing.join('; ')}`);
    return 2;
  }
  const { ended } = builds ? await startBuilds() : { ended: undefined };
  const folder = mkdtempSync(join(tmpdir(), 'multinic-tally-'));
  const memory = inMemory ? memoryFolder() : undefined;
  try {
    const options = { folder, temporary: memory, named: lanes.length > 1, again };
    const tallies = await Promise.all(lanes.map((lane) => runLane(lane, options)));
    await ended;
    const sum = sumOf([...tallies, await runLane(last, options)]);
    const outer = process.env[TALLY_VARIABLE];
    if (outer !== undefined) addTally(outer, sum);
    for (const line of failureLines(sum)) console.log(line);
    console.log(tallyLine(sum));
    console.log(`Not run here: ${leftOut.join('; ')}`);
    return sum.failed === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
    if (memory !== undefined) rmSync(memory, { recursive: true, force: true });
  }
}

interface RunOptions {
  /** Folder with the counts of each run. */
  readonly folder: string;
  readonly temporary: string | undefined;
  /** Whether each line of output begins with the name of its run. */
  readonly named: boolean;
  readonly again: boolean;
}

/** Runs the runs of a lane in turn. */
async function runLane(lane: readonly Run[], options: RunOptions): Promise<Tally> {
  const tallies: Tally[] = [];
  for (const run of lane) tallies.push(await runOnceOrTwice(run, options));
  return sumOf(tallies);
}

/** Runs the tests of a run, and files with a failure again if the tier says so. */
async function runOnceOrTwice(run: Run, options: RunOptions): Promise<Tally> {
  const counts = join(options.folder, run.name);
  writeFileSync(counts, '');
  const exitCode = await vitest(run, [...(run.files ?? []), ...args], counts, options);
  const first = readFiles(counts);
  const failed = [...first.values()].filter((file) => file.failed > 0);
  if (exitCode !== 0 && failed.length === 0)
    return sumOf([...first.values(), { failed: 1, failures: [`${run.name} failed outside its tests`] }]);
  if (!options.again || failed.length === 0) return sumOf(first.values());
  const files = failed.flatMap(({ path }) => basename(path) || []);
  if (files.length === 0) return sumOf(first.values());
  await vitest(run, files, counts, options);
  const last = readFiles(counts);
  const passedAgain = failed.filter(({ path }) => last.get(path)?.failed === 0);
  return sumOf([...last.values(), { passedAgain: passedAgain.flatMap(({ failures }) => failures) }]);
}

/** Runs vitest, which adds the counts of each test file to a file. @returns its exit code */
async function vitest(
  run: Run,
  more: readonly string[],
  counts: string,
  { temporary, named }: RunOptions,
): Promise<number> {
  const nameLine = function* (line: unknown): Generator<string> {
    yield `${run.name} | ${String(line)}`;
  };
  const output = named ? ([nameLine, 'inherit'] as const) : ('inherit' as const);
  const { exitCode = 1 } = await execa('vitest', ['run', ...run.args, ...more], {
    preferLocal: true,
    stdin: 'inherit',
    stdout: output,
    stderr: output,
    buffer: false,
    reject: false,
    env: { [FILES_VARIABLE]: counts, ...(temporary !== undefined && { TMPDIR: temporary }) },
  });
  return exitCode;
}

interface Builds {
  readonly ended?: Promise<unknown>;
}

/** Starts the builds and does not wait for them. If a build fails, the tests that need it say so. */
async function startBuilds(): Promise<Builds> {
  const { describeBuilds, installCommands, lacking } = await import('../test/support/builds.ts');
  const lanes = await lacking();
  console.log(describeBuilds(lanes));
  await installCommands(console.log);
  if (lanes.flat().length === 0) return {};
  // Low priority, so that the tests come first when both want a processor.
  const child = execa('nice', ['-n', '19', process.execPath, 'scripts/build-test-parts.ts'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    reject: false,
  });
  return { ended: child };
}
