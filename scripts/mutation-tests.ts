// Runs the unit tests that a source is related to, with one place of the source changed. One vitest stays warm for all
// changes: a start of vitest takes longer than the tests. A process of its own, because a change may make a loop endless.
import { dirname, join, relative, resolve } from 'node:path';
import { getEachMessage, sendMessage } from 'execa';
import {
  createVitest,
  type CliOptions,
  type InlineConfig,
  type TestSpecification,
  type Vitest,
} from 'vitest/node';
import config from '../vitest.config.ts';

const ROOT = resolve(import.meta.dirname, '..');

/**
 * `beside`: the tests in the file beside the source, or in its folder if there is no such file; `room`: the other tests of the source's room; `others`: all other
 * tests that the source is related to.
 */
export type Reach = 'beside' | 'room' | 'others';

export interface Order {
  /** Path of the source from the root of the repository. */
  readonly file: string;
  /** The source's changed text; absent: the tests run without a change. */
  readonly text?: string;
  readonly reach: Reach;
}

/** A plugin that gives vite the changed text instead of the file's. */
const changed = { id: '', text: '' };
const plugin = {
  name: 'multinic-mutation',
  enforce: 'pre',
  load: (id: string): string | undefined => (id === changed.id ? changed.text : undefined),
} as const;

/** The project `unit` as the only one: a project of a configuration file does not get the plugins of others. */
async function start(): Promise<Vitest> {
  const unit = (config.test?.projects ?? []).flatMap((project) =>
    typeof project === 'object' && 'test' in project && project.test?.name === 'unit' ? [project.test] : [],
  )[0];
  if (unit === undefined) throw new Error('vitest.config.ts has no project unit');
  const { include, env, isolate } = unit as InlineConfig;
  // Long time limit, because a slow test must not count as a noticed change. The process that starts this one bounds
  // the time of all tests of a change.
  const ours = {
    include,
    testTimeout: 300_000,
    env,
    isolate,
    root: ROOT,
    config: false,
    watch: false,
    bail: 1,
  };
  // Threads end with this process, even if they are busy.
  const options = { ...ours, maxWorkers: 1, reporters: [{}], pool: 'threads' };
  const vitest = await createVitest('test', options as CliOptions, { plugins: [plugin] });
  await vitest.standalone();
  return vitest;
}

/** The tests that each source that was asked for is related to. */
const related = new Map<string, readonly TestSpecification[]>();

async function testsOf(vitest: Vitest, file: string, reach: Reach): Promise<readonly TestSpecification[]> {
  // Relations take a look at all tests. The tests beside the source are known by their name; a source without such
  // tests has those of its folder.
  if (reach === 'beside') {
    delete vitest.config.related;
    const found = await vitest.getRelevantTestSpecifications([besideOf(file)]);
    if (found.length > 0) return found;
    const folder = dirname(besideOf(file));
    const near = await vitest.getRelevantTestSpecifications([`${folder}/`]);
    return near.filter(({ moduleId }) => dirname(moduleId) === folder);
  }
  const all = related.get(file) ?? (await relatedTo(vitest, file));
  related.set(file, all);
  return all.filter(({ moduleId }) => reachOf(moduleId, file) === reach);
}

async function relatedTo(vitest: Vitest, file: string): Promise<readonly TestSpecification[]> {
  vitest.config.related = [join(ROOT, file)];
  return vitest.getRelevantTestSpecifications();
}

function besideOf(file: string): string {
  return join(ROOT, file.replace(/\.ts$/, '.test.ts'));
}

function reachOf(moduleId: string, file: string): Reach {
  if (moduleId === besideOf(file)) return 'beside';
  return moduleId.startsWith(`${dirname(join(ROOT, file))}/`) ? 'room' : 'others';
}

const QUICK_MS = 1_000;
/** Milliseconds that each file of tests took when it passed last. */
const took = new Map<string, number>();

function isQuick({ moduleId }: TestSpecification): boolean {
  return (took.get(moduleId) ?? 0) < QUICK_MS;
}

/** @returns the tests that failed, or a part of them */
async function run(vitest: Vitest, { file, text, reach }: Order): Promise<string[]> {
  const tests = await testsOf(vitest, file, reach);
  // Makes vite read the earlier changed source again, because vite caches sources.
  if (changed.id !== '') vitest.invalidateFile(changed.id);
  Object.assign(changed, text === undefined ? { id: '', text: '' } : { id: join(ROOT, file), text });
  // Runs the tests of a room once without a change, because its sources share most of them.
  if (text === undefined)
    return failuresOf(
      vitest,
      tests.filter(({ moduleId }) => !counts.has(moduleId)),
    );
  vitest.invalidateFile(changed.id);
  // Runs the quick tests first, because they notice most changes. Tests that generate many inputs are slow.
  const quick = tests.filter(isQuick);
  const slow = tests.filter((each) => !isQuick(each));
  const failures = await failuresOf(vitest, quick);
  return failures.length > 0 ? failures : failuresOf(vitest, slow);
}

/** Number of passed tests of each file without a failure. A run with fewer was cut short, and is repeated. */
const counts = new Map<string, number>();
const MAX_RUNS = 3;

async function failuresOf(vitest: Vitest, tests: TestSpecification[]): Promise<string[]> {
  if (tests.length === 0) return [];
  for (let runs = 0; runs < MAX_RUNS; runs += 1) {
    const { unhandledErrors } = await vitest.runTestSpecifications(tests);
    const failed = tests.filter(({ testModule }) => testModule?.ok() === false);
    if (unhandledErrors.length > 0 || failed.length > 0)
      return [...unhandledErrors.map(String), ...failed.map(describeFailure)];
    const passed = tests.map(({ testModule }) => [...(testModule?.children.allTests('passed') ?? [])].length);
    if (tests.every(({ moduleId }, index) => passed[index]! >= (counts.get(moduleId) ?? 0))) {
      for (const [index, { moduleId, testModule }] of tests.entries()) {
        counts.set(moduleId, passed[index]!);
        took.set(moduleId, testModule?.diagnostic().duration ?? 0);
      }
      return [];
    }
  }
  throw new Error('vitest does not run all tests');
}

/** The first failed test of a file, with its message; the file alone if it could not be loaded. */
function describeFailure({ moduleId, testModule }: TestSpecification): string {
  const [test] = testModule?.children.allTests('failed') ?? [];
  const [error] = test?.result().errors ?? testModule?.errors() ?? [];
  return [relative(ROOT, moduleId), test?.fullName, error?.message.split('\n', 1)[0]]
    .filter(Boolean)
    .join(': ');
}

if (import.meta.main) {
  const vitest = await start();
  await sendMessage('ready');
  for await (const order of getEachMessage()) await sendMessage(await run(vitest, order as unknown as Order));
}
