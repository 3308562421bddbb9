// A server of a store in a process that tests kill. It prints its URL, and then each accepted push.
import { pino } from 'pino';
import { Store } from '../../src/store/store.ts';
import { serveStore } from './http.ts';

const store = await Store.open(process.argv[2] ?? '');
const { url } = await serveStore(store, {
  onPush: (push) => console.log(`landed ${push.new}`),
  log: pino({ level: 'warn' }, pino.destination(2)),
});
console.log(url);
