import { defineConfig } from 'vitest/config';

// No part of `npm test` yet: npx vitest run --config test/cluster/vitest.config.ts
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
