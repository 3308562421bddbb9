import { defineConfig } from 'vitest/config';
import { fileOrder } from '../support/file-order.ts';
import { TallyReporter } from '../support/tally.ts';

// The real program on running hosts, which are machines of the lab.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    reporters: ['default', new TallyReporter()],
    include: ['**/*.live.ts'],
    globalSetup: ['../support/build.ts'],
    testTimeout: 180_000,
    // The first time on a machine its root file system is built, or another process builds it.
    hookTimeout: 3_600_000,
    // The longest files first, and last the files that need the root file system that is built last.
    sequence: {
      sequencer: fileOrder(
        'failures',
        'routing',
        'netplan',
        'networkmanager',
        'own-subnet',
        'netplan-bullseye',
        'netplan-trixie',
        'netplan-and-networkmanager',
        'link-only',
        'netplan-uml',
        'kills',
        'boot',
        'full',
        'networkmanager-ifcfg',
      ),
    },
    // The tests mostly wait, so more workers than processors run.
    maxWorkers: 3,
    setupFiles: ['../support/skip-after-failure.ts'],
  },
});
