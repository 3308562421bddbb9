import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// unit: beside the source, and the frozen formats, seconds. integration: test/, real git, real processes. matrix: every combination.
export default defineConfig({
  test: {
    // Half of the time they wait for processes: on two cores one worker would leave one idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/formats/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: ['test/formats/**'],
          globalSetup: ['test/support/build.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'matrix',
          include: ['test/**/*.matrix.ts'],
          globalSetup: ['test/support/build.ts'],
          testTimeout: 1_800_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
