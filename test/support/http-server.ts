// A store's server in a process of its own, to be killed: prints its URL and then the pushes that landed.
import { pino } from 'pino';
import { Store } from '../../src/store/store.ts';
import { serveStore } from './http.ts';

const store = await Store.open(process.argv[2] ?? '');
const { url } = await serveStore(store, {
  onPush: (push) => console.log(`landed ${push.new}`),
  log: pino({ level: 'warn' }, pino.destination(2)),
});
console.log(url);
