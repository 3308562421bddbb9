// Builds what the system tests lack, beside them. Tests that come first wait for a build under its lock, or begin it.
import { buildAll, lacking } from '../test/support/builds.ts';

await buildAll(await lacking(), (line) => console.log(`[build] ${line}`));
