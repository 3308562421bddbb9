// Skips the remaining tests of a file after the first failure. The tests share one host, so later results would mean
// nothing.
import { afterEach, beforeEach } from 'vitest';

let failed = false;

beforeEach(({ skip }) => {
  if (failed) skip('a test before it failed');
});

afterEach(({ task }) => {
  failed ||= task.result?.state === 'fail';
});
