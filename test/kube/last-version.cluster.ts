// From the last version, 0.1.0, to this one by `helm upgrade`, and back: its own chart and its own image, from the history of
// the repository. No host may change by a byte, and no commit may come on a branch.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildImage } from '../cluster/base-image.ts';
import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { agentImage, Multinic, RELEASE, type Image } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { run } from '../nodes/command.ts';
import { hostFiles } from '../support/agent.ts';
import { BUILD_MS, config, entry, metricsOf, NAMESPACE, nodeOf, VERSION } from '../support/kube-cluster.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const CHART = join(REPOSITORY, 'deploy/helm');
/** The commit of 0.1.0, as fixtures/versions/README.md has it. */
const LAST = '6baa42c';
const NAME = 'fleet';
const TO_TODAY = ['--set', 'controller.image.pullPolicy=Never'];

let dir: string;
let cluster: Cluster;
let last: Image;
let today: Image;
let multinic: Multinic;
let kubelet: RootKubelet;
let hosts: Record<string, string>[];
let tips: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-last-'));
  today = await agentImage(console.log);
  last = await imageOfLast();
  cluster = await startCluster({ version: VERSION, nodes: [{ name: 'worker-1' }], log: console.log });
  multinic = new Multinic(cluster, NAMESPACE, today);
  await Promise.all([cluster.loadImage(today.archive), multinic.makeNamespace()]);
  await cluster.loadImage(last.archive);
  await multinic.makeVolume('worker-1');
  kubelet = await RootKubelet.start(cluster, { nodes: 3, nics: 2 });
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
  await rm(dir, { recursive: true, force: true });
}, 60_000);

/** Builds the program of the last version with its own packages, and its image. */
async function imageOfLast(): Promise<Image> {
  const node = join(REPOSITORY, 'node_modules/.bin');
  const env = { PATH: [node, process.env['PATH']].join(delimiter) };
  const script = `git -C ${REPOSITORY} archive ${LAST} | tar -x && npm ci --ignore-scripts --no-audit --no-fund && npm run build`;
  await run('bash', ['-e', '-o', 'pipefail', '-c', script], { cwd: dir, env, timeoutMs: 600_000 });
  const image = { name: 'localhost/multinic-agent:0.1.0', archive: join(dir, 'image.tar') };
  await buildImage({ context: dir, name: image.name, archive: image.archive, log: console.log });
  return image;
}

/** `helm upgrade` with a chart and nothing else but what is said. */
async function helm(
  command: 'install' | 'upgrade',
  chart: string,
  ...args: readonly string[]
): Promise<void> {
  await cluster.helm([command, RELEASE, chart, '--namespace', NAMESPACE, ...args], { timeoutMs: 300_000 });
  await multinic.rolledOut();
}

function imageValues({ name }: Image): string[] {
  const [repository, tag] = name.split(':');
  return ['--set', `controller.image.repository=${repository},controller.image.tag=${tag}`];
}

/** All branches of nodes, with their commits. */
function tipsOfNodes(): Promise<string> {
  return multinic.git(
    'for-each-ref',
    '--format=%(refname) %(objectname)',
    'refs/heads/node',
    'refs/heads/main',
  );
}

async function controllerArguments(): Promise<string> {
  const path =
    '--output=jsonpath={.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].args}';
  return multinic.kubectl('get', 'deployment/multinic-agent-controller', path);
}

/** The process that leads now has had a pass: the status alone may be that of the one before. */
async function passed(): Promise<void> {
  const success = /^controller_runtime_reconcile_total\{[^}]*result="success"[^}]*\} [1-9]/m;
  await expect.poll(() => metricsOf(multinic).catch(String), { timeout: 90_000 }).toMatch(success);
}

/** The controller that runs now says Ready of all, and nothing happened anywhere. */
async function expectUntouched(): Promise<void> {
  await passed();
  const cr = await multinic.waitReady(NAME);
  expect(kubelet.nodes.map(({ name }) => nodeOf(cr, name)?.state)).toEqual(
    kubelet.nodes.map(() => 'Configured'),
  );
  expect(await tipsOfNodes()).toBe(tips);
  expect(kubelet.nodes.map(({ root }) => hostFiles(root))).toEqual(hosts);
}

test('0.1.0 is installed with a value of its own, and its nodes are configured', async () => {
  await helm('install', join(dir, 'deploy/helm'), ...imageValues(last), ...TO_TODAY, '--set', 'agent.jobs=7');
  const entries = kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs));
  await multinic.applyConfig(config(NAME, entries));
  await multinic.waitReady(NAME);
  hosts = kubelet.nodes.map(({ root }) => hostFiles(root));
  tips = await tipsOfNodes();
  expect(await controllerArguments()).toMatch(/:0\.1\.0 .*--jobs=7/);
}, 300_000);

test('--reuse-values is refused by helm before anything changes, because the values of 0.1.0 lack keys', async () => {
  const values = ['--reuse-values', ...imageValues(today)];
  await expect(helm('upgrade', CHART, ...values)).rejects.toThrow(/nil pointer/);
  expect(await controllerArguments()).toContain(':0.1.0 ');
  await expectUntouched();
});

test('helm upgrade --reset-then-reuse-values keeps what was set, and touches nothing', async () => {
  await helm('upgrade', CHART, '--reset-then-reuse-values', ...imageValues(today));
  expect(await controllerArguments()).toMatch(/--jobs=7.*--observe-interval=60/);
  await expectUntouched();
}, 300_000);

test('helm upgrade without it takes the defaults, and touches nothing', async () => {
  await helm('upgrade', CHART, ...imageValues(today), ...TO_TODAY);
  expect(await controllerArguments()).toContain('--jobs=10');
  await expectUntouched();
}, 300_000);

test('with crds.install=none the CRDs are applied by hand, over those of the hook', async () => {
  await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', join(REPOSITORY, 'crds')]);
  await helm('upgrade', CHART, ...imageValues(today), ...TO_TODAY, '--set', 'crds.install=none');
  await expectUntouched();
}, 300_000);

test('helm rollback to 0.1.0 touches nothing, and neither does the way forward again', async () => {
  await cluster.helm(['rollback', RELEASE, '1', '--namespace', NAMESPACE], { timeoutMs: 300_000 });
  await multinic.rolledOut();
  expect(await controllerArguments()).toMatch(/:0\.1\.0 .*--jobs=7/);
  await expectUntouched();
  await helm('upgrade', CHART, '--reset-then-reuse-values', ...imageValues(today));
  await expectUntouched();
}, 400_000);

test('after the way there and back an edit reaches its node', async () => {
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    nodeConfigs[0]!.interfaces![0]!.mtu = 1400;
  });
  await multinic.waitReady(NAME);
  expect(await kubelet.file('root-01', 'etc/netplan/90-multinic0.yaml')).toContain('mtu: 1400');
  expect(await multinic.git('fsck', '--strict', '--no-dangling')).toBe('');
});
