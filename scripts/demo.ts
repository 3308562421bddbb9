// `npm start`: the main job on the embedded default. Three nodes go from a MultiNicBizConfig to files on disk, and
// then one change and its rollback show what the history is for.

import { execa } from 'execa';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pc from 'picocolors';
import { parseDocument } from 'yaml';

const home = 'multinic-demo';
const multinic = 'dist/multinic.js';

await rm(home, { recursive: true, force: true });
await execa('npm', ['run', '--silent', 'build']);

title('Three nodes: Ubuntu 22.04 (netplan), Rocky 8 (ifcfg), RHEL 9 (NetworkManager keyfile)');
await show(['local', home, '--init', 'fixtures/local', '--once']);

title('The MultiNicBizConfig changes: worker-01 loses its second interface, worker-02 gets another MTU');
const cr = join(home, 'crs/production-cluster-network.yaml');
await writeFile(cr, edited(await readFile(cr, 'utf8')));
await show(['local', home, '--once']);

title('What is on each node now');
for (const node of ['k8s-worker-01', 'k8s-worker-02', 'k8s-worker-03']) {
  await run(
    'git',
    ['-C', join(home, 'store.git'), 'ls-tree', '-r', '--name-only', `outcome/${node}`],
    `${node}: `,
  );
}
await show(['status', '-C', home]);

title("k8s-worker-01's history: what was wanted, and what happened");
await show(['log', 'k8s-worker-01', '-C', home]);

title('The store is plain git: git log --graph --branches');
await run('git', ['-C', join(home, 'store.git'), 'log', '--graph', '--oneline', '--branches']);

console.log(`
Next:  npx multinic local ${home}                      stays, and reacts to edits of ${home}/crs
       npx multinic rollback k8s-worker-01 -C ${home}  in another shell: the second interface comes back, and holds
       npx multinic --help`);

function edited(text: string): string {
  const cr = parseDocument(text);
  cr.deleteIn(['spec', 'nodeConfigs', 0, 'interfaces', 1]);
  cr.setIn(['spec', 'nodeConfigs', 1, 'interfaces', 0, 'mtu'], 9000);
  return cr.toString();
}

function title(text: string): void {
  console.log(`\n${pc.bold(`== ${text}`)}`);
}

async function show(args: readonly string[]): Promise<void> {
  await execa(process.execPath, [multinic, ...args], { stdio: 'inherit' });
}

async function run(file: string, args: readonly string[], prefix = ''): Promise<void> {
  const { stdout } = await execa(file, args);
  console.log(stdout.replaceAll(/^/gm, prefix));
}
