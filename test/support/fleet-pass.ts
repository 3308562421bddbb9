// One pass in a process of its own, so that a test can kill it.
import { readFile } from 'node:fs/promises';
import { startMirror, type PassOrder } from './fleet.ts';

const order = JSON.parse(await readFile(process.argv[2]!, 'utf8')) as PassOrder;
const { store, mirror } = await startMirror(order.store, () => order.now, order.guard, order.inventory);
await mirror.pass({ configs: order.configs, doubt: () => undefined }, order.inventory);
await store.close();
