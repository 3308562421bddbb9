// Builds the parts that the system tests lack, while the tests run. A test that needs a part waits for its build under
// a lock, or begins the build.
import { buildAll, lacking } from '../test/support/builds.ts';

await buildAll(await lacking(), (line) => console.log(`[build] ${line}`));
