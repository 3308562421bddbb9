// `npm start`: a demo in a local home. Three nodes go from a MultiNicBizConfig to files on disk, and then one change
// and its rollback show what the history is for.

import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { parseDocument } from 'yaml';
import { isLocked } from '../src/local/flock.ts';

const home = 'multinic-demo';
const multinic = 'dist/multinic.js';

await build();
await startAfresh();

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

/** Builds, and prints only the reason of a failure: npm's own report of a failed script is longer than the reason. */
async function build(): Promise<void> {
  const { exitCode, stderr } = await execa('npm', ['run', '--silent', 'build'], { reject: false });
  if (exitCode !== 0) end(stderr);
}

/**
 * Deletes the home of an earlier demo, whose history would confuse this one. Refuses if a controller works on the home.
 */
async function startAfresh(): Promise<void> {
  if (!existsSync(home)) return;
  const lock = join(home, 'controller.lock');
  if (existsSync(lock) && (await isLocked(lock)))
    end(`a controller works on ${home}: stop it (Ctrl-C), then run this again; nothing was touched`);
  console.log(`${home} is there from an earlier demo: it is deleted, and the demo starts afresh`);
  await rm(home, { recursive: true });
}

function end(why: string): never {
  console.error(why);
  process.exit(1);
}

function edited(text: string): string {
  const cr = parseDocument(text);
  cr.deleteIn(['spec', 'nodeConfigs', 0, 'interfaces', 1]);
  cr.setIn(['spec', 'nodeConfigs', 1, 'interfaces', 0, 'mtu'], 9000);
  return cr.toString();
}

function title(text: string): void {
  console.log(`\n${styleText('bold', `== ${text}`)}`);
}

async function show(args: readonly string[]): Promise<void> {
  const { exitCode } = await execa(process.execPath, [multinic, ...args], {
    stdio: 'inherit',
    reject: false,
  });
  if (exitCode !== 0) end(`multinic ${args.join(' ')} ended with ${exitCode ?? 'a signal'}`);
}

async function run(file: string, args: readonly string[], prefix = ''): Promise<void> {
  const { stdout } = await execa(file, args);
  console.log(stdout.replaceAll(/^/gm, prefix));
}
