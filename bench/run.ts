// `npm run bench [part of a name …]`: every bench, or those whose name has the words.

import { benches as agent } from './agent.ts';
import { benches as http } from './http.ts';
import { benches as kubeLife } from './kube-life.ts';
import { benches as kube } from './kube.ts';
import { benches as log } from './log.ts';
import { benches as mirror } from './mirror.ts';
import { benches as store } from './store.ts';

const words = process.argv.slice(2);

for (const { name, run } of [...store, ...mirror, ...log, ...http, ...agent, ...kube, ...kubeLife]) {
  if (!words.every((word) => name.includes(word))) continue;
  console.log(name);
  await run();
}
