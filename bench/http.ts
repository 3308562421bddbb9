// Checkout of one node's commit over HTTP among 5,000 branches: the agent's against native git, both with a node's
// token, by turns, against the same server.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { execa } from 'execa';
import { pino } from 'pino';
import { NODE_FLAGS } from '../scripts/node-flags.ts';
import { hashedTokens } from '../src/store/http/auth.ts';
import { Batch } from '../src/store/model/batch.ts';
import { serve } from '../src/store/server/serve.ts';
import { maintain } from '../src/store/care/maintenance.ts';
import { Store } from '../src/store/store.ts';
import { measured, median, report, timed, type Bench } from './report.ts';

const NODES = 5000;
const ROUNDS = 30;
const AT_ONCE = 16;
const FIRST = 2500;

/** A node may have few requests under way, so each of those at once has its own token. */
const nodeOf = (index: number): string => `worker-${FIRST + index}`;
const tokenOf = (index: number): string => `bench-${index}`;
const refOf = (index: number): string => `refs/heads/node/${nodeOf(index)}`;

export const benches: Bench[] = [
  { name: 'http: checkout of one node among 5,000 branches', run: benchCheckout },
];

async function benchCheckout(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-bench-http-'));
  const store = await Store.open(join(folder, 'store.git'));
  await store.write(fleet());
  await maintain(store);
  const server = await serve({
    store,
    reader: store.reader,
    policy: { judgeRef: () => undefined, check: async () => [] },
    authenticate: hashedTokens(
      Array.from({ length: AT_ONCE }, (_, index) => [
        tokenOf(index),
        { name: nodeOf(index), role: 'node', node: nodeOf(index) },
      ]),
    ),
    onPush: () => undefined,
    host: '127.0.0.1',
    port: 0,
    log: pino({ level: 'silent' }),
    health: () => ({ status: 'healthy' }),
  });
  try {
    await compare(folder, `${server.url}/git`);
  } finally {
    await server.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Figures of a checkout in a fresh process, with the time of the whole process. */
interface Checkout {
  readonly ms: number;
  readonly bytes: number;
  readonly rssMiB: number;
  readonly process: number;
}

interface Round extends Checkout {
  readonly probe: number;
  readonly native: number;
}

async function compare(folder: string, url: string): Promise<void> {
  const bundle = join(folder, 'checkout.mjs');
  await bundleCheckout(bundle);
  const ours = (many = 1) => agentCheckout(bundle, url, many);
  await ours();
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const probe = await timed(() => execa(process.execPath, ['-e', '0']));
    const native = await nativeFetch(folder, url, `native-${round}`);
    rounds.push({ probe, native, ...(await ours()) });
  }
  const p50 = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const native = rounds.map((round) => round.native);
  const git = '`git fetch --depth=1`';
  report(
    "agent's checkout, in a process that runs",
    p50((round) => round.ms),
    git,
    native,
  );
  const whole = p50((round) => round.process - round.probe);
  report("agent's checkout with its process, less `node -e 0`", whole, git, native);
  report(
    "agent's checkout with its process",
    p50((round) => round.process),
    git,
    native,
    1.2,
  );
  measured(
    'received by a checkout',
    p50((round) => round.bytes),
    'bytes',
  );
  measured(
    'memory of a checkout',
    p50((round) => round.rssMiB),
    'MiB',
    50,
  );

  const together = await timed(() =>
    Promise.all(
      Array.from({ length: AT_ONCE }, (_, index) => nativeFetch(folder, url, `many-${index}`, index)),
    ),
  );
  const { ms } = await ours(AT_ONCE);
  report(`${AT_ONCE} checkouts at once`, ms, `${AT_ONCE} times ${git}`, together);
}

async function agentCheckout(bundle: string, url: string, many: number): Promise<Checkout> {
  let said = '';
  const process_ = await timed(async () => {
    ({ stdout: said } = await execa(process.execPath, [
      ...NODE_FLAGS,
      bundle,
      url,
      ...Array.from({ length: many }, (_, index) => [tokenOf(index), refOf(index)]).flat(),
    ]));
  });
  return { ...(JSON.parse(said) as Omit<Checkout, 'process'>), process: process_ };
}

async function nativeFetch(folder: string, url: string, name: string, index = 0): Promise<number> {
  const dir = join(folder, name);
  await execa('git', ['init', '-q', '--bare', dir]);
  const header = `http.extraHeader=Authorization: Bearer ${tokenOf(index)}`;
  return timed(() => execa('git', ['-C', dir, '-c', header, 'fetch', '-q', '--depth=1', url, refOf(index)]));
}

/** Bundles the checkout as users have it, because a process that runs TypeScript spends most of its memory on that. */
async function bundleCheckout(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(import.meta.dirname, 'http-checkout.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    logLevel: 'silent',
  });
}

/** Nodes with a birth, a specification and three NICs each. */
function fleet(): Batch {
  const batch = new Batch();
  const author = { name: 'bench', email: 'bench@example.org' };
  for (let index = 0; index < NODES; index += 1) {
    const node = `worker-${index}`;
    const birth = batch.commit({
      parents: [],
      files: new Map([['node.yaml', `name: ${node}\nsystemUUID: ${String(index).padStart(36, '0')}\n`]]),
      author,
      subject: `${node}: born`,
      trailers: [['Change', 'birth']],
    });
    const files = new Map<string, string>();
    for (let nic = 0; nic < 3; nic += 1) {
      const lines = ['network:', '  version: 2', `  # ${node}`, '  ethernets:', `    multinic${nic}:`];
      lines.push(`      addresses: [10.${nic}.${index >> 8}.${index & 255}/16]`, '      mtu: 1500', '');
      files.set(`etc/netplan/9${nic}-multinic${nic}.yaml`, lines.join('\n'));
    }
    const spec = batch.commit({
      parents: [birth],
      files,
      author,
      subject: `${node}: add`,
      trailers: [['Change', 'spec']],
    });
    batch.move(`refs/heads/node/${node}`, spec, null);
  }
  return batch;
}
