// Skips the tests of a file after its first failure: they share one host, so their results would mean nothing.
import { afterEach, beforeEach } from 'vitest';

let failed = false;

beforeEach(({ skip }) => {
  if (failed) skip('a test before it failed');
});

afterEach(({ task }) => {
  failed ||= task.result?.state === 'fail';
});
