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

const NODES = 5000;
const ROUNDS = 15;
const AT_ONCE = 16;
const NODE = 'worker-2500';
const REF = `refs/heads/node/${NODE}`;
const TOKEN = 'bench';

export const benches: { name: string; run(): Promise<void> }[] = [
  { name: 'checkout over HTTP among 5,000 branches', run: benchCheckout },
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
    authenticate: hashedTokens([[TOKEN, { name: NODE, role: 'node', node: NODE }]]),
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
  const native = p50((round) => round.native);
  const own = p50((round) => round.ms);
  const whole = p50((round) => round.process - round.probe);
  console.log(`native git fetch --depth=1        ${native.toFixed(0)} ms p50`);
  console.log(
    `agent's checkout, fresh process   ${own.toFixed(0)} ms p50, ${(own / native).toFixed(2)} x native`,
  );
  console.log(
    `  its process less \`node -e 0\`    ${whole.toFixed(0)} ms p50, ${(whole / native).toFixed(2)} x native`,
  );
  console.log(`  received                        ${p50((round) => round.bytes)} bytes`);
  console.log(`  peak memory                     ${p50((round) => round.rssMiB).toFixed(1)} MiB p50`);

  const together = await timed(() =>
    Promise.all(Array.from({ length: AT_ONCE }, (_, index) => nativeFetch(folder, url, `many-${index}`))),
  );
  const { ms } = await ours(AT_ONCE);
  console.log(
    `${AT_ONCE} at once: native ${perSecond(together)} a second, agent's ${perSecond(ms)} a second`,
  );
}

async function agentCheckout(bundle: string, url: string, many: number): Promise<Checkout> {
  let said = '';
  const process_ = await timed(async () => {
    ({ stdout: said } = await execa(process.execPath, [
      ...NODE_FLAGS,
      bundle,
      url,
      TOKEN,
      REF,
      String(many),
    ]));
  });
  return { ...(JSON.parse(said) as Omit<Checkout, 'process'>), process: process_ };
}

async function nativeFetch(folder: string, url: string, name: string): Promise<number> {
  const dir = join(folder, name);
  await execa('git', ['init', '-q', '--bare', dir]);
  const header = `http.extraHeader=Authorization: Bearer ${TOKEN}`;
  return timed(() => execa('git', ['-C', dir, '-c', header, 'fetch', '-q', '--depth=1', url, REF]));
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

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function perSecond(ms: number): string {
  return ((AT_ONCE * 1000) / ms).toFixed(0);
}
