import { defineConfig } from 'vitest/config';
import { TallyReporter } from '../support/tally.ts';
import { raiseInotifyLimit } from '../nodes/inotify.ts';

// Tests that need a cluster, one for each file. `npm run test:system` runs those of Multinic (../kube); the others test the
// cluster itself.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    reporters: ['default', new TallyReporter()],
    include: ['**/*.cluster.ts', '../kube/**/*.cluster.ts'],
    globalSetup: ['../support/build.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two files at a time: they mostly wait for Kubernetes, and more clusters would make it too slow.
    maxWorkers: raiseInotifyLimit() ? 2 : 1,
  },
});
