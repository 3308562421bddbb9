// Checkouts in a process of their own, as the agent's is: `URL [TOKEN REF]…`, all at once. Prints figures as JSON.
import { checkout } from '../src/agent/fetch/checkout.ts';

const [url = '', ...pairs] = process.argv.slice(2);
const started = performance.now();
const results = await Promise.all(
  Array.from({ length: pairs.length / 2 }, (_, index) =>
    checkout({ url, token: pairs[2 * index]!, ref: pairs[2 * index + 1]!, timeoutMs: 60_000 }),
  ),
);
console.log(
  JSON.stringify({
    ms: performance.now() - started,
    bytes: results[0]?.bytes,
    rssMiB: process.resourceUsage().maxRSS / 1024,
  }),
);
