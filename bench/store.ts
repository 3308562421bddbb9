// Cost of the store's writes, each compared with a probe that does the bare minimum with native git in the same run.

import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Batch } from '../src/store/model/batch.ts';
import { importStream } from '../src/store/git/fast-import.ts';
import { Maintenance } from '../src/store/care/maintenance.ts';
import { ensureRepository } from '../src/store/git/repository.ts';
import { Store } from '../src/store/store.ts';
import type { NewCommit, Oid } from '../src/store/model/store-port.ts';
import { bareWrite, nativeGit } from './bare-git.ts';
import { measured, median, percentile, report, timed, type Bench } from './report.ts';

const NODES = 5000;
const CONFIGS = 10;
const AUTHOR = { name: 'viola-api', email: 'viola-api@clients.multinic.io' };

export const benches: Bench[] = [
  { name: 'store: first import of 5,000 nodes', run: firstImport },
  { name: 'store: one node changed among 5,000', run: oneNode },
  { name: 'store: all nodes changed', run: allNodes },
  { name: 'store: 10,000 single commits in a row', run: inARow },
];

async function firstImport(): Promise<void> {
  await inFolder(async (folder) => {
    const rounds = 3;
    const ours: number[] = [];
    const native: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const store = await Store.open(join(folder, `${round}.git`));
      const batch = fleet();
      ours.push(await timed(() => store.write(batch)));
      await store.close();

      const probe = join(folder, `${round}-native.git`);
      await ensureRepository(probe);
      const input = nativeStream(batch);
      native.push(await timed(() => nativeGit(probe, ['fast-import', '--done', '--quiet'], input)));
    }
    report('first import, birth and 3 files each', median(ours), 'native fast-import of the same', native);
    measured('this process after three imports', process.memoryUsage().rss / 1024 / 1024, 'MiB');
  });
}

async function oneNode(): Promise<void> {
  await inFolder(async (folder) => {
    const store = await Store.open(join(folder, 'store.git'));
    await store.write(fleet());
    await store.write(await mainOf(store));
    const alone: number[] = [];
    const both: number[] = [];
    const probe: number[] = [];
    for (let round = 0; round < 300; round += 1) {
      const node = (round * 37) % NODES;
      alone.push(await timed(async () => store.write(await nodeChange(store, node, round))));
      both.push(await timed(async () => store.write(await nodeChange(store, node, round, true))));
      const bare = await nodeChange(store, node, -round - 1);
      const parent = (await store.reader.ref(refOf(node)))!;
      probe.push(await timed(() => bareWrite(store.dir, bare, refOf(node), parent)));
    }
    const bare = 'bare fsynced fast-import with update-ref';
    report('node branch, p50', percentile(alone, 50), bare, probe);
    report('node branch, p99', percentile(alone, 99), `p99 of ${bare}`, percentile(probe, 99));
    report('main and node branch, p50', percentile(both, 50), bare, probe);
    report('main and node branch, p99', percentile(both, 99), `p99 of ${bare}`, percentile(probe, 99));
    await store.close();
  });
}

async function allNodes(): Promise<void> {
  await inFolder(async (folder) => {
    const store = await Store.open(join(folder, 'store.git'));
    await store.write(fleet());
    const change = async (round: number): Promise<Batch> => {
      const batch = new Batch();
      const refs = await store.reader.refs('refs/heads/node/');
      for (let node = 0; node < NODES; node += 1) addChange(batch, node, round, refs.get(refOf(node))!);
      return batch;
    };
    const ours = await timed(async () => store.write(await change(1)));
    const next = await change(2);
    const refs = await store.reader.refs('refs/heads/node/');
    const stream = importStream(
      next.commits,
      next.commits.map(() => 2_000_000_000),
    );
    const probe = await timed(() => {
      const oids = nativeGit(store.dir, ['fast-import', '--done', '--quiet'], stream).split('\n');
      const moves = next.moves.map(({ ref }, index) => `update ${ref} ${oids[index]} ${refs.get(ref)}\n`);
      nativeGit(store.dir, ['update-ref', '--stdin'], Buffer.from(moves.join('')));
    });
    report('all 5,000 branches', ours, 'bare fsynced fast-import with update-ref', probe);
    await store.close();
  });
}

async function inARow(): Promise<void> {
  await inFolder(async (folder) => {
    const commits = 10_000;
    const window = 100;
    const store = await Store.open(join(folder, 'store.git'));
    await store.write(fleet());
    // A small store as control, so that the load of the machine is told apart from the cost of the big store's age.
    const small = await Store.open(join(folder, 'probe.git'));
    await small.write(birthOf(0));
    const maintenance = new Maintenance(store);
    const before = diskUse(store.dir);
    const times: number[] = [];
    const probes: number[] = [];
    let maintained = 0;
    for (let round = 0; round < commits; round += 1) {
      const node = (round * 37) % NODES;
      times.push(await timed(async () => store.write(await nodeChange(store, node, round))));
      maintained += await timed(() => maintenance.runIfDue());
      if (round >= window && round < commits - window) continue;
      const parent = (await small.reader.ref(refOf(0)))!;
      const bare = await nodeChange(small, 0, round);
      probes.push(await timed(() => bareWrite(small.dir, bare, refOf(0), parent)));
    }
    const probe = 'the bare write on a small store at that time';
    report(`the first ${window} commits`, median(times.slice(0, window)), probe, probes.slice(0, window));
    report(`the last ${window}`, median(times.slice(-window)), probe, probes.slice(-window));
    const bytes = (diskUse(store.dir) - before) / commits;
    measured('disk of a commit, 10,000 in a row', bytes, 'bytes');
    measured('maintenance, for each of 10,000 commits', maintained / commits, 'ms');
    await small.close();
    await store.close();
  });
}

/** Birth and first configuration of every node. */
function fleet(): Batch {
  const batch = new Batch();
  for (let node = 0; node < NODES; node += 1) addBirth(batch, node);
  return batch;
}

function birthOf(node: number): Batch {
  const batch = new Batch();
  addBirth(batch, node);
  return batch;
}

function addBirth(batch: Batch, node: number): void {
  const birth = batch.commit({
    parents: [],
    files: new Map([['node.yaml', `name: worker-${node}\nnodeId: ${nodeId(node)}\nrenderer: netplan\n`]]),
    author: AUTHOR,
    subject: `worker-${node}: birth`,
    trailers: [['Change', 'birth']],
  });
  const spec = batch.commit({
    parents: [birth],
    files: new Map([0, 1, 2].map((nic) => [pathOf(nic), netplan(node, nic, 1500)])),
    author: AUTHOR,
    subject: `worker-${node}: add multinic0 multinic1 multinic2`,
    trailers: TRAILERS,
  });
  batch.move(refOf(node), spec, null);
}

const TRAILERS = [
  ['Change', 'spec'],
  ['MultiNicBizConfig', 'multinic.io/multinic-system/production'],
  ['CR-UID', '2d6b6a5c-6f0a-4f0e-9a3c-5a3c2b1d0e9f'],
  ['Generation', '1'],
] as const;

/** Ten CRs of 500 nodes, one file a node under hashed folders. */
async function mainOf(store: Store): Promise<Batch> {
  const tip = (await store.reader.ref('refs/heads/main'))!;
  const files = new Map(Array.from({ length: NODES }, (_, node) => [mainPath(node), entry(node, 1500)]));
  const batch = new Batch();
  batch.move('refs/heads/main', batch.commit({ ...COMMIT, parents: [tip], files }), tip);
  return batch;
}

const COMMIT = { author: AUTHOR, subject: 'production: generation 2', trailers: TRAILERS } as const;

async function nodeChange(store: Store, node: number, round: number, withMain = false): Promise<Batch> {
  const batch = new Batch();
  addChange(batch, node, round, (await store.reader.ref(refOf(node)))!);
  if (withMain) {
    const tip = (await store.reader.ref('refs/heads/main'))!;
    const files = new Map([[mainPath(node), entry(node, round)]]);
    batch.move('refs/heads/main', batch.commit({ ...COMMIT, parents: [tip], files }), tip);
  }
  return batch;
}

function addChange(batch: Batch, node: number, round: number, tip: Oid): void {
  const change: NewCommit = {
    ...COMMIT,
    parents: [tip],
    files: new Map([[pathOf(0), netplan(node, 0, 2000 + round)]]),
  };
  batch.move(refOf(node), batch.commit(change), tip);
}

/** fast-import's input for the same commits, each node on its own branch from the start. */
function nativeStream(batch: Batch): Buffer {
  const stream = importStream(
    batch.commits,
    batch.commits.map(() => 2_000_000_000),
  ).toString('latin1');
  const [, ...nodes] = stream.split('reset refs/multinic/import\n');
  const branches = nodes
    .slice(0, NODES)
    .map((part, node) => part.replaceAll('refs/multinic/import', refOf(node)));
  return Buffer.from(`${branches.join('')}done\n`, 'latin1');
}

function refOf(node: number): string {
  return `refs/heads/node/worker-${node}`;
}

function nodeId(node: number): string {
  return `0c497169-a104-4448-afde-${node.toString(16).padStart(12, '0')}`;
}

function pathOf(nic: number): string {
  return `etc/netplan/9${nic}-multinic${nic}.yaml`;
}

function mainPath(node: number): string {
  const hash = ((node * 2_654_435_761) >>> 24).toString(16).padStart(2, '0');
  return `configs/multinic.io/multinic-system/production-${node % CONFIGS}/nodes/${hash}/${nodeId(node)}.yaml`;
}

function entry(node: number, mtu: number): string {
  return `attachedNodeId: ${nodeId(node)}\nattachedNodeName: worker-${node}\ninterfaces:\n  - macAddress: "${mac(node, 0)}"\n    address: ${address(node, 0)}\n    mtu: ${mtu}\n`;
}

function netplan(node: number, nic: number, mtu: number): string {
  return `# port-${node}-${nic}\nnetwork:\n  version: 2\n  ethernets:\n    multinic${nic}:\n      match:\n        macaddress: "${mac(node, nic)}"\n      set-name: multinic${nic}\n      addresses:\n        - ${address(node, nic)}/16\n      dhcp4: false\n      mtu: ${mtu}\n      dhcp6: false\n      accept-ra: false\n      optional: true\n      link-local: []\n`;
}

function mac(node: number, nic: number): string {
  const digits = (node * 4 + nic).toString(16).padStart(6, '0');
  return `fa:16:3e:${digits.slice(0, 2)}:${digits.slice(2, 4)}:${digits.slice(4)}`;
}

function address(node: number, nic: number): string {
  return `10.${nic}.${node >> 8}.${node & 255}`;
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-bench-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function diskUse(dir: string): number {
  const { stdout } = spawnSync('du', ['--summarize', '--block-size=1', dir], { encoding: 'utf8' });
  return Number.parseInt(stdout, 10);
}

if (import.meta.main) {
  for (const { name, run } of benches) {
    console.log(name);
    await run();
  }
}
