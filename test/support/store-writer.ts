// A process that writes batches to a store until it ends. The crash tests kill, suspend and trace it.
// argv: store, number of batches. Each batch k moves main and ten nodes' branches to a commit whose file says k.

import { Store } from '../../src/store/store.ts';
import { codeOf, valuesOf, writeValue } from './store-values.ts';

const [dir = '', batches = '1000000'] = process.argv.slice(2);

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const store = await Store.open(dir, {
  onFenced: () => {
    say({ event: 'fenced' });
    process.exit(3);
  },
});
say({ event: 'open' });
let left = Number(batches);
while (left > 0) {
  const values = await valuesOf(store.reader);
  const value = Math.max(...values) + 1;
  try {
    await writeValue(store, value);
    left -= 1;
    say({ event: 'acknowledged', value });
  } catch (error) {
    say({ event: 'failed', code: codeOf(error), value, values: await valuesOf(store.reader) });
  }
}
await store.close();
