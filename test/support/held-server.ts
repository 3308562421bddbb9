// A store's server in a process of its own, with the push policy of nodes: its memory is looked at from outside.
import { pino } from 'pino';
import { NodeBranchPolicy } from '../../src/history/policy.ts';
import { Store } from '../../src/store/store.ts';
import { serveStore } from './http.ts';

const store = await Store.open(process.argv[2] ?? '');
const { url } = await serveStore(store, {
  policy: new NodeBranchPolicy(),
  log: pino({ level: 'error' }, pino.destination(2)),
});
console.log(url);
