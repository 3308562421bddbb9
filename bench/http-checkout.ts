// One checkout in a process of its own, as the agent's is. Prints its figures as JSON.
import { checkout } from '../src/agent/checkout.ts';

const [url = '', token = '', ref = ''] = process.argv.slice(2);
const started = performance.now();
const { tip, bytes } = await checkout({ url, token, ref, timeoutMs: 30_000 });
const ms = performance.now() - started;
console.log(JSON.stringify({ tip, bytes, ms, rssKiB: process.resourceUsage().maxRSS }));
