import { defineConfig } from 'vitest/config';
import { TallyReporter } from '../support/tally.ts';
import { raiseInotifyLimit } from '../nodes/inotify.ts';

// Tests that want a cluster, each file one of its own. `npm run test:system` runs those of Multinic (../kube); the others are of the
// cluster itself.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    reporters: ['default', new TallyReporter()],
    include: ['**/*.cluster.ts', '../kube/**/*.cluster.ts'],
    globalSetup: ['../support/build.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // They mostly wait for Kubernetes; more than two would keep it from being in time.
    maxWorkers: raiseInotifyLimit() ? 2 : 1,
  },
});
