import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { TallyReporter } from './test/support/tally.ts';

/** Whoever runs them: what git is told by the home of a person or by the machine must not matter. */
const env = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };

/** Tests start the program some thousand times: Node keeps what it compiled. */
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/compiled');

// unit: beside the source, and the frozen formats, seconds. integration: test/, real git, real processes. kills: a kill at
// each step of the line. long: attacks, random histories, fleets, the commands of the docs. root: tests that mount or trace. matrix: every combination.
export default defineConfig({
  test: {
    reporters: ['default', new TallyReporter()],
    // Tests wait for processes half of the time: with one worker a core, a fifth of two cores was idle.
    maxWorkers: availableParallelism() + 1,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/{docs,formats,ui}/**/*.test.ts'],
          // A property test of some seconds takes a minute beside many other programs.
          testTimeout: 90_000,
          env,
          // Files share what they import: loading it again for each takes a third of the time. A test takes back what it stubs.
          isolate: false,
        },
      },
      {
        test: {
          name: 'integration',
          env,
          include: ['test/**/*.test.ts'],
          exclude: ['test/{docs,formats,ui}/**'],
          globalSetup: ['test/support/build.ts', 'test/support/configured-home.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'kills',
          env,
          include: ['test/**/*.kills.ts'],
          globalSetup: ['test/support/build.ts', 'test/support/configured-home.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'long',
          env,
          include: ['test/**/*.long.ts'],
          globalSetup: ['test/support/build.ts', 'test/support/configured-home.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'root',
          env,
          include: ['test/**/*.root.ts'],
          globalSetup: ['test/support/root.ts', 'test/support/build.ts', 'test/support/configured-home.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'matrix',
          env,
          include: ['test/**/*.matrix.ts'],
          globalSetup: ['test/support/root.ts', 'test/support/build.ts', 'test/support/configured-home.ts'],
          testTimeout: 1_800_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
