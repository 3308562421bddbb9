// Checkouts in a process of their own, as the agent's is: `URL TOKEN REF [HOW_MANY_AT_ONCE]`. Prints figures as JSON.
import { checkout } from '../src/agent/fetch/checkout.ts';

const [url = '', token = '', ref = '', many = '1'] = process.argv.slice(2);
const started = performance.now();
const results = await Promise.all(
  Array.from({ length: Number(many) }, () => checkout({ url, token, ref, timeoutMs: 60_000 })),
);
console.log(
  JSON.stringify({
    ms: performance.now() - started,
    bytes: results[0]?.bytes,
    rssMiB: process.resourceUsage().maxRSS / 1024,
  }),
);
