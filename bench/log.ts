// `multinic log` of one node among 5,000 with 100,000 commits: the bundle, whole processes.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { renderTree } from '../src/network/tree.ts';
import { Batch } from '../src/store/model/batch.ts';
import { maintain } from '../src/store/care/maintenance.ts';
import type { Mark } from '../src/store/model/store-port.ts';
import { Store } from '../src/store/store.ts';
import { median, report, timed, type Bench } from './report.ts';
import { nodeRef } from '../src/network/node-ref.ts';
import { mac } from '../test/support/mac.ts';

const NODES = 5_000;
const COMMITS_A_NODE = 20;
const ROUNDS = 30;

export const benches: Bench[] = [{ name: 'log: multinic log of one node among 100,000 commits', run }];

async function run(): Promise<void> {
  await execa('npm', ['run', '--silent', 'build']);
  const folder = await mkdtemp(join(tmpdir(), 'multinic-bench-log-'));
  const store = await Store.open(join(folder, 'store.git'));
  for (let start = 0; start < NODES; start += 500) await store.write(histories(start, 500));
  await maintain(store);
  const ours: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const node = `worker-${(round * 331) % NODES}`;
    ours.push(await timed(() => execa(process.execPath, ['dist/multinic.js', 'log', node, '-C', folder])));
    bare.push(await timed(() => execa(process.execPath, ['-e', '0'])));
  }
  report('multinic log NODE', median(ours), '`node -e 0`', bare, 1.5);
  await store.close();
  await rm(folder, { recursive: true, force: true });
}

function histories(start: number, count: number): Batch {
  const batch = new Batch();
  const author = { name: 'viola', email: 'viola@example.com' };
  for (let node = start; node < start + count; node++) {
    let parent: Mark | undefined;
    for (let commit = 0; commit < COMMITS_A_NODE; commit++) {
      parent = batch.commit({
        parents: parent === undefined ? [] : [parent],
        files: treeOf(node, commit),
        author,
        subject: `worker-${node}: ${commit === 0 ? 'birth' : `multinic0 mtu ${1500 + commit}`}`,
        trailers: [['Change', commit === 0 ? 'birth' : 'spec']],
      });
    }
    batch.move(nodeRef(`worker-${node}`), parent!, null);
  }
  return batch;
}

function treeOf(node: number, commit: number): ReadonlyMap<string, string> {
  const source = { group: 'multinic.io', namespace: 'multinic-system', name: 'cluster' };
  const id = `node-${node}`;
  const identity = {
    name: `worker-${node}`,
    systemUUID: id,
    machineId: id,
    nodeId: id,
    os: { family: 'ubuntu', major: 22 },
    renderer: 'netplan',
    source,
  } as const;
  const own = mac(
    `02:00:00:00:${(node >> 8).toString(16).padStart(2, '0')}:${(node & 255).toString(16).padStart(2, '0')}`,
  );
  const nic = {
    name: 'multinic0',
    mac: own,
    address: `10.0.${node >> 8}.${node & 255}`,
    prefix: 16,
    mtu: 1500 + commit,
  };
  return renderTree(identity, commit === 0 ? [] : [nic]);
}

if (import.meta.main) await run();
