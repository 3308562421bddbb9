import { defineConfig } from 'vitest/config';
import { fileOrder } from '../support/file-order.ts';
import { TallyReporter } from '../support/tally.ts';

// The real program on hosts that run, as machines of the lab.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    reporters: ['default', new TallyReporter()],
    include: ['**/*.live.ts'],
    globalSetup: ['../support/build.ts'],
    testTimeout: 180_000,
    // The first time on a machine its root file system is built, or another process builds it.
    hookTimeout: 3_600_000,
    // The longest first, and last what wants the root file system that is built last.
    sequence: {
      sequencer: fileOrder(
        'failures',
        'netplan',
        'networkmanager',
        'own-subnet',
        'netplan-bullseye',
        'netplan-trixie',
        'netplan-and-networkmanager',
        'netplan-uml',
        'kills',
        'boot',
        'full',
        'networkmanager-ifcfg',
      ),
    },
    // Most of the time they wait.
    maxWorkers: 3,
    // A file's tests are one host's life: what comes after a failure says nothing.
    bail: 1,
  },
});
