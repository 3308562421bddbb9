import { oid } from './oid.ts';
import { execFile, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { stringify } from 'yaml';
import type { HostState } from '../../src/agent/host/machine.ts';
import type { AgentJob } from '../../src/api/job.ts';
import type { Outcome } from '../../src/api/outcome.ts';
import type { Interface, Network } from '../../src/network/interface.ts';
import type { NodeIdentity, RendererKind } from '../../src/network/node.ts';
import { renderTree } from '../../src/network/tree.ts';
import { hashedTokens } from '../../src/store/http/auth.ts';
import { Batch } from '../../src/store/model/batch.ts';
import { serve, type StoreServer } from '../../src/store/server/serve.ts';
import { Store } from '../../src/store/store.ts';
import { mac } from './mac.ts';

export const NODE = 'worker-1';
const MACHINE = '8b3c1f0e5d9a4c7b92e61a0f3d7c5b01';
/** The bundle that users run; integration tests build it first. */
export const PROGRAM = join(import.meta.dirname, '../../dist/multinic.js');
const TOKEN = 'token-of-worker-1';
const OS: Readonly<Record<RendererKind, NodeIdentity['os']>> = {
  netplan: { family: 'ubuntu', major: 22 },
  ifcfg: { family: 'rhel', major: 8 },
  keyfile: { family: 'rhel', major: 9 },
};

export function identity(kind: RendererKind, name = NODE): NodeIdentity {
  return {
    name,
    systemUUID: 'i-0123456789abcdef0',
    machineId: MACHINE,
    nodeId: 'i-0123456789abcdef0',
    os: OS[kind],
    renderer: kind,
    source: { group: 'multinic.io', namespace: 'multinic-system', name: 'test' },
  };
}

/** The NIC of this index: MAC …:0<index>, address 192.168.<100 + index>.10. */
export function nic(
  index: number,
  changes: Partial<Interface> = {},
): Interface & { readonly address: string; readonly prefix: number } {
  return {
    name: `multinic${index}`,
    mac: mac(`02:00:00:00:01:${String(index).padStart(2, '0')}`),
    address: `192.168.${100 + index}.10`,
    prefix: 24,
    mtu: 1500,
    ...changes,
  };
}

/** The NIC of this index as a link-only NIC. */
export function linkOnly(index: number, changes: Partial<Interface> = {}): Interface {
  const { address: _, prefix: __, ...rest } = nic(index, changes);
  return rest;
}

/** A machine with eth0 and, still unconfigured, ens5 (the NIC of index 0) and so on. */
export function machine(nics: number): HostState & { links: unknown[] } {
  return {
    osImage: 'Ubuntu 22.04.4 LTS',
    machineId: MACHINE,
    bootId: '3f1c8d52-6a0e-4d3b-9b77-0c5e2a914d01',
    nodeAddresses: ['10.10.0.11'],
    links: [
      { name: 'eth0', mac: mac('fa:16:3e:00:01:00'), up: true, mtu: 1500, addresses: ['10.10.0.11/24'] },
      ...Array.from({ length: nics }, (_, index) => ({
        name: `ens${5 + index}`,
        mac: nic(index).mac,
        up: false,
        mtu: 1500,
        addresses: [],
      })),
    ],
    routes: [{ to: 'default', via: '10.10.0.1', dev: 'eth0' }],
  };
}

/** A new folder that is removed when the test ends. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'multinic-test-'));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function makeRoot(
  path: string,
  host: HostState = machine(3),
  files: Readonly<Record<string, string>> = {},
): string {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'host.yaml'), stringify(host));
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(path, file, '..'), { recursive: true });
    writeFileSync(join(path, file), content, { mode: 0o600 });
  }
  return path;
}

/** Content and mode of every file of a host, without the agent's own files. */
export function hostFiles(root: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => !/^var\/lib\/multinic|\/backup(\/|$)/.test(path))
      .filter((path) => statSync(join(root, path)).isFile())
      .sort()
      .map((path) => [
        path,
        `${(statSync(join(root, path)).mode & 0o777).toString(8)} ${readFileSync(join(root, path), 'utf8')}`,
      ]),
  );
}

/** Inode, size and times of every file below a folder: equal only if nothing was written. */
export function fileIdentities(root: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((path) => [path, statSync(join(root, path), { bigint: true })] as const)
      .filter(([, stat]) => stat.isFile())
      .map(([path, { ino, mtimeNs, ctimeNs }]) => [path, `${ino} ${mtimeNs} ${ctimeNs}`]),
  );
}

/** A real store with one node's branch, served over real HTTP. */
export class TestStore {
  readonly store: Store;
  readonly server: StoreServer;

  constructor(store: Store, server: StoreServer) {
    this.store = store;
    this.server = server;
  }

  static async open(dir: string, host = '127.0.0.1'): Promise<TestStore> {
    const store = await Store.open(join(dir, 'store.git'));
    const server = await serve({
      store,
      reader: store.reader,
      policy: { judgeRef: () => undefined, check: async () => [] },
      authenticate: hashedTokens([[TOKEN, { name: NODE, role: 'node', node: NODE }]]),
      onPush: () => {},
      host,
      port: 0,
      log: pino({ level: 'silent' }),
      health: () => ({ status: 'healthy' }),
    });
    return new TestStore(store, server);
  }

  /** @returns the commit, now the tip of the node's branch */
  commit(kind: RendererKind, network: Network): Promise<string> {
    return this.commitFiles(renderTree(identity(kind), network));
  }

  async commitFiles(files: ReadonlyMap<string, string>): Promise<string> {
    const ref = `refs/heads/node/${NODE}`;
    const tip = await this.store.reader.ref(ref);
    const batch = new Batch();
    const mark = batch.commit({
      parents: tip === undefined ? [] : [tip],
      files,
      replace: true,
      author: { name: 'test', email: 'test@example.org' },
      subject: 'a test',
      trailers: [],
    });
    batch.move(ref, mark, tip ?? null);
    const [oid] = await this.store.write(batch);
    return oid ?? '';
  }

  async close(): Promise<void> {
    await this.server.close();
    await this.store.close();
  }
}

export interface AgentEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly log: string;
  readonly outcome: Outcome | undefined;
}

export interface AgentRun {
  readonly dir: string;
  readonly root: string;
  readonly url: string;
  readonly commit: string;
  readonly expectedRecord: string | null;
  readonly apply?: AgentJob['apply'];
  readonly probes?: string[];
  readonly leaveOut?: string[];
  readonly peers?: string[];
  /** Checkpoint at which the agent dies. */
  readonly killAt?: string;
  readonly deadlineSeconds?: number;
}

/** Runs the agent as a child process, as a Job would. */
export function runAgent(options: AgentRun): Promise<AgentEnd> {
  const args = ['apply', '--job', writeJob(options), '--root', options.root, '--offline'];
  return startAgent(args, options.dir, options.killAt).end;
}

/** @returns the job file's path */
export function writeJob(options: AgentRun): string {
  const { dir, commit, expectedRecord, url, apply, probes, leaveOut, peers, deadlineSeconds } = options;
  const job: AgentJob = {
    version: 1,
    name: `multinic-agent-${NODE}-20250121103200`,
    node: NODE,
    commit: oid(commit),
    expectedRecord: expectedRecord === null ? null : oid(expectedRecord),
    url: `${url}/git`,
    tokenFile: join(dir, 'token'),
    apply: apply ?? 'live',
    ...(probes && { probes }),
    ...(leaveOut && { leaveOut }),
    ...(peers && { peers }),
    storeWaitSeconds: 0.5,
    deadlineSeconds: deadlineSeconds ?? 60,
  };
  writeFileSync(join(dir, 'token'), `${TOKEN}\n`);
  writeFileSync(join(dir, 'job.json'), JSON.stringify(job));
  return join(dir, 'job.json');
}

export function cleanUpHost(dir: string, root: string, killAt?: string): Promise<AgentEnd> {
  return startAgent(['cleanup', '--root', root, '--offline'], dir, killAt).end;
}

export function startAgent(
  args: readonly string[],
  dir: string,
  killAt?: string,
): { process: ChildProcess; end: Promise<AgentEnd> } {
  const outcome = join(dir, 'outcome.json');
  rmSync(outcome, { force: true });
  const env = { ...process.env, ...(killAt === undefined ? {} : { MULTINIC_KILL_AT: killAt }) };
  const { promise, resolve } = Promise.withResolvers<AgentEnd>();
  const child = execFile(
    process.execPath,
    [PROGRAM, 'agent', ...args, '--outcome', outcome],
    { env },
    (_error, _stdout, log) => {
      resolve({ code: child.exitCode, signal: child.signalCode, log, outcome: readOutcome(outcome) });
    },
  );
  return { process: child, end: promise };
}

export function readOutcome(file: string): Outcome | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Outcome;
  } catch {
    return undefined;
  }
}
