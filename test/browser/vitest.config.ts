import { defineConfig } from 'vitest/config';
import { TallyReporter } from '../support/tally.ts';

// The web UI in a real browser, against the program on a local home.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    reporters: ['default', new TallyReporter()],
    include: ['**/*.browser.ts'],
    globalSetup: ['./install.ts', '../support/build.ts', '../support/configured-home.ts'],
    env: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Each has a browser and a controller.
    maxWorkers: 2,
  },
});
