// The tiers of tests, by what they need: `ordinary` (npm test), `kills`, `long`, `root`, `system`. A tier says what it leaves out.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { memoryFolder } from './memory-folder.ts';
import { missingPrerequisites, thisMachine } from '../test/support/prerequisites.ts';
import { addTally, failedTests, readTally, TALLY_VARIABLE, tallyLine } from '../test/support/tally.ts';

/** Tests of the cluster that hold all acceptance points once; `npm run test:matrix` has the others. */
const CLUSTER = [
  'main-line networkmanager operators access removal moving-in outside upgrade',
  'given-certificate image-pull drift person chart monitoring status-readers release',
  'namespace-rules api-ways',
].flatMap((names) => names.split(' '));

const KILLS_TIER = 'a kill at each step of the controller and its agents (npm run test:kills)';
const LONG_TIER = 'attacks, random histories, fleets, the commands of the docs (npm run test:long)';
const ROOT_TIER = 'mounts, full disks and strace, shellcheck (as root: npm run test:root)';
const SYSTEM_TIER = 'real nodes and a real cluster (as root: npm run test:system)';
const MATRIX_TIER = 'every combination (as root: npm run test:matrix)';

interface Tier {
  /** Whether the files of the tests may be in memory: true if no test depends on a disk. */
  readonly inMemory?: boolean;
  /** Whether the tier lists what the machine lacks, and builds it while the tests run. */
  readonly builds?: boolean;
  readonly runs: readonly (readonly string[])[];
  readonly leftOut: readonly string[];
}

const KILLS_RUN = ['--project', 'kills'];
const LONG_RUN = ['--project', 'long'];
const ROOT_RUN = ['--project', 'root'];
const TIERS: Readonly<Record<string, Tier>> = {
  ordinary: {
    inMemory: true,
    runs: [['--project', 'unit', '--project', 'integration']],
    leftOut: [KILLS_TIER, LONG_TIER, ROOT_TIER, SYSTEM_TIER, MATRIX_TIER],
  },
  kills: { inMemory: true, runs: [KILLS_RUN], leftOut: [LONG_TIER, ROOT_TIER, SYSTEM_TIER, MATRIX_TIER] },
  long: { inMemory: true, runs: [LONG_RUN], leftOut: [KILLS_TIER, ROOT_TIER, SYSTEM_TIER, MATRIX_TIER] },
  root: { runs: [ROOT_RUN], leftOut: [SYSTEM_TIER, MATRIX_TIER] },
  system: {
    builds: true,
    runs: [
      KILLS_RUN,
      LONG_RUN,
      ROOT_RUN,
      ['--config', 'test/browser/vitest.config.ts'],
      ['--config', 'test/live/vitest.config.ts'],
      ['--config', 'test/cluster/vitest.config.ts', ...CLUSTER],
    ],
    leftOut: [MATRIX_TIER],
  },
};

const [name = 'ordinary', ...args] = process.argv.slice(2);
const tier = TIERS[name];
if (tier === undefined) throw new Error(`no tier ${name}; there are ${Object.keys(TIERS).join(', ')}`);
process.exitCode = await test(tier);

async function test({ inMemory = false, builds = false, runs, leftOut }: Tier): Promise<number> {
  const missing = missingPrerequisites(thisMachine());
  if (name !== 'ordinary' && process.getuid?.() !== 0) missing.push('root (run it with sudo)');
  if (missing.length > 0) {
    console.error(`The tests need ${missing.join('; ')}`);
    return 2;
  }
  const { ended } = builds ? await startBuilds() : { ended: undefined };
  const folder = mkdtempSync(join(tmpdir(), 'multinic-tally-'));
  const file = join(folder, 'tally');
  const memory = inMemory ? memoryFolder() : undefined;
  writeFileSync(file, '');
  try {
    let code = 0;
    for (const run of runs) code = (await vitest([...run, ...args], file, memory)) || code;
    await ended;
    const sum = readTally(file);
    const names = failedTests(file);
    const outer = process.env[TALLY_VARIABLE];
    if (outer !== undefined) addTally(outer, { ...sum, names });
    for (const failed of names) console.log(`failed: ${failed}`);
    console.log(tallyLine(sum));
    console.log(`Not run here: ${leftOut.join('; ')}`);
    return code;
  } finally {
    rmSync(folder, { recursive: true });
    if (memory !== undefined) rmSync(memory, { recursive: true, force: true });
  }
}

/**
 * Runs vitest and returns its exit code. A run that fails without a failed test (in its set-up, for example) counts as
 * one failed test.
 */
async function vitest(args: readonly string[], tally: string, temporary?: string): Promise<number> {
  const before = readTally(tally).failed;
  const { exitCode = 1 } = await execa('vitest', ['run', ...args], {
    preferLocal: true,
    stdio: 'inherit',
    reject: false,
    env: { [TALLY_VARIABLE]: tally, ...(temporary !== undefined && { TMPDIR: temporary }) },
  });
  if (exitCode !== 0 && readTally(tally).failed === before)
    addTally(tally, { passed: 0, failed: 1, skipped: 0, names: [`vitest run ${args.join(' ')}`] });
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
