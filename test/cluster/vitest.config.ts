import { defineConfig } from 'vitest/config';

// Tests that want a cluster, one file after the other. `npm test` runs those of Multinic (../kube); the others are of the
// cluster itself.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.cluster.ts', '../kube/**/*.cluster.ts'],
    globalSetup: ['../support/build.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
