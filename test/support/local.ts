// `multinic local` as its users run it: the bundle as a child process on a folder of its own, the CLI, and
// people who clone and push with plain git. Everything waits for what it names, with a bound; nothing sleeps.
//
//   await using local = await LocalRun.start();
//   await local.editConfig((spec) => { spec.nodeConfigs[0]!.interfaces![0]!.mtu = 1400; });
//   await local.settled();
//   const copy = await local.clone();
//   const commit = await copy.revert('k8s-worker-01', 'HEAD');
//   await local.applied('k8s-worker-01', commit);

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import { inject } from 'vitest';
import { parse, stringify } from 'yaml';
import type { StatusReport } from '../../src/controller/status-report.ts';
import type { NodeView } from '../../src/controller/config-status.ts';
import { git, type GitResult } from './http.ts';
import { processes } from './processes.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const BUNDLE = join(ROOT, 'dist/multinic.js');
const TEMPLATE = join(ROOT, 'fixtures/local');
const TIMEOUT_MS = 30_000;
/** Interval between two questions. A shorter one would take the CPU from the controller that the test waits for. */
const POLL_MS = 50;

/** The three nodes of fixtures/local: netplan, ifcfg, keyfile. */
export const NODES = ['k8s-worker-01', 'k8s-worker-02', 'k8s-worker-03'] as const;
export const CONFIG = 'production-cluster-network';

export interface TestInterface {
  portId?: string;
  macAddress?: string;
  address?: string;
  cidr?: string;
  mtu?: number;
  name?: string;
}

export interface TestEntry {
  attachedNodeId?: string;
  attachedNodeName?: string;
  interfaces?: TestInterface[];
}

export interface TestSpec {
  providerId?: string;
  specHash?: string;
  nodeConfigs: TestEntry[];
}

export interface TestConfig {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace: string; annotations?: Record<string, string> };
  spec: TestSpec;
}

export interface StartOptions {
  /** Further arguments of `multinic local`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A home in a temporary folder and, while it runs, the controller on it. */
export class LocalRun implements AsyncDisposable {
  readonly dir: string;
  #child: ChildProcess | undefined;
  #output = '';
  #url = '';
  #token: string | undefined;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** A copy of fixtures/local, or of another home at rest, without a controller: edit it, then `launch`. */
  static async prepare(from = TEMPLATE): Promise<LocalRun> {
    const dir = join(await mkdtemp(join(tmpdir(), 'multinic-local-')), 'home');
    await cp(from, dir, { recursive: true });
    return new LocalRun(dir);
  }

  /** A home of an archive, with its links as they are, without a controller. */
  static async unpack(archive: string): Promise<LocalRun> {
    const dir = join(await mkdtemp(join(tmpdir(), 'multinic-local-')), 'home');
    await mkdir(dir);
    await execa('tar', ['-xzf', archive, '-C', dir, '--no-same-owner']);
    return new LocalRun(dir);
  }

  /** A controller on a copy of fixtures/local whose three nodes are configured. */
  static async start(options: StartOptions = {}): Promise<LocalRun> {
    const local = await LocalRun.prepare(inject('configuredHome'));
    await local.launch(options);
    await local.settled();
    return local;
  }

  /** Starts the controller and returns as soon as it listens. */
  async launch({ args = [], env = {} }: StartOptions = {}): Promise<void> {
    const from = this.#output.length;
    const child = spawn(process.execPath, [BUNDLE, 'local', this.dir, '--port', '0', ...args], {
      env: { ...process.env, NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const hear = (chunk: Buffer): void => void (this.#output += chunk.toString());
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    this.#child = child;
    await this.until('the controller listens', () => {
      if (child.exitCode !== null) throw new Error(this.#output);
      return / works on /.test(this.#output.slice(from)) || child.signalCode !== null;
    });
    if (child.signalCode !== null) return;
    this.#url = (
      JSON.parse(await readFile(join(this.dir, 'controller.json'), 'utf8')) as { url: string }
    ).url;
  }

  /** The controller while it runs. */
  get process(): ChildProcess {
    if (this.#child === undefined) throw new Error('no controller runs');
    return this.#child;
  }

  /** Address of the controller. */
  get url(): string {
    return this.#url;
  }

  /** Output of the controller since its start. */
  get output(): string {
    return this.#output;
  }

  /** Sends SIGTERM, and waits for the end. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async restart(options: StartOptions = {}): Promise<void> {
    await this.stop();
    await this.launch(options);
  }

  /** Kills the controller alone, with SIGKILL: its children go on. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Waits for a controller that ends by itself (a checkpoint). @returns the signal that ended it */
  async ended(): Promise<NodeJS.Signals | null> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return null;
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.signalCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.agentsEnded().catch(() => undefined);
    await rm(dirname(this.dir), { recursive: true, force: true, maxRetries: 5 });
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#child?.kill(signal);
    await this.ended();
  }

  /** Agents outlive their controller, and soon end by themselves. */
  async agentsEnded(): Promise<void> {
    const jobs = join(this.dir, 'jobs');
    const running = async (): Promise<boolean> =>
      (await processes()).some(({ command }) => command.includes(jobs));
    await this.until('its agents have ended', async () => !(await running()));
  }

  /** Runs the CLI on this home. */
  async cli(...args: string[]): Promise<Ran> {
    const ended = await execa(process.execPath, [BUNDLE, ...args], {
      cwd: this.dir,
      env: { MULTINIC_DIR: this.dir, NO_COLOR: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
      reject: false,
    });
    return { code: ended.exitCode ?? -1, stdout: ended.stdout, stderr: ended.stderr };
  }

  /** Runs the CLI. @returns its output @throws if it fails */
  async run(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.cli(...args);
    if (code !== 0) throw new Error(`multinic ${args.join(' ')}: exit code ${code}\n${stdout}\n${stderr}`);
    return stdout;
  }

  async token(): Promise<string> {
    this.#token ??= (
      parse(await readFile(join(this.dir, 'tokens.yaml'), 'utf8')) as { operator: string }
    ).operator;
    return this.#token;
  }

  /** Reads /api/v1/status of the running controller; undefined: it has made no pass yet. */
  async status(): Promise<StatusReport | undefined> {
    const response = await fetch(`${this.#url}/api/v1/status`, {
      headers: { authorization: `Bearer ${await this.token()}` },
    });
    return response.ok ? ((await response.json()) as StatusReport) : undefined;
  }

  /** Reads a path below /api/v1 of the running controller. @throws if it is refused */
  async api<T = unknown>(path: string): Promise<T> {
    const response = await fetch(`${this.#url}/api/v1${path}`, {
      headers: { authorization: `Bearer ${await this.token()}` },
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async node(name: string): Promise<NodeView> {
    const view = (await this.status())?.nodes.find((each) => each.node === name);
    if (view === undefined) throw new Error(`status has no node ${name}`);
    return view;
  }

  /** Polls until a condition holds. @throws after the time limit, with the controller's newest output */
  async until(what: string, so: () => boolean | Promise<boolean>, timeoutMs = TIMEOUT_MS): Promise<void> {
    for (const end = Date.now() + timeoutMs; !(await so()); await pause(POLL_MS)) {
      if (Date.now() > end)
        throw new Error(`not within ${timeoutMs} ms: ${what}\n${this.#output.slice(-3000)}`);
    }
  }

  /** Waits for a status that fulfils the condition. */
  async untilStatus(
    what: string,
    so: (report: StatusReport) => boolean,
    timeoutMs?: number,
  ): Promise<StatusReport> {
    let report: StatusReport | undefined;
    const asked = async (): Promise<boolean> => {
      report = await this.status();
      return report !== undefined && so(report);
    };
    await this.until(what, asked, timeoutMs).catch((error: unknown) => {
      throw new Error(`${what}: ${JSON.stringify(report?.nodes, undefined, 1)}`, { cause: error });
    });
    return report!;
  }

  /** Waits until main is mirrored to its tip, and no node has work left. */
  async settled(timeoutMs?: number): Promise<StatusReport> {
    let main = '';
    return this.untilStatus(
      'settled',
      (report) => {
        const still = report.main === main && !report.nodes.some(moving);
        main = report.main;
        return still;
      },
      timeoutMs,
    );
  }

  /** Waits until the node's branch is at this commit and the host has it. */
  async applied(node: string, commit: string, timeoutMs?: number): Promise<NodeView> {
    const report = await this.untilStatus(
      `${node} has ${commit}`,
      ({ nodes }) =>
        nodes.some(
          (view) => view.node === node && view.state === 'Configured' && view.desiredCommit === commit,
        ),
      timeoutMs,
    );
    return report.nodes.find((view) => view.node === node)!;
  }

  /** Path of a CR's file. */
  async config(name = CONFIG): Promise<TestConfig> {
    return parse(await readFile(this.#configFile(name), 'utf8')) as TestConfig;
  }

  /** Writes a CR's file as an editor does, so that a running controller notices it. */
  async writeConfig(config: TestConfig): Promise<void> {
    const file = this.#configFile(config.metadata.name);
    await writeFile(`${file}.new~`, stringify(config));
    await rename(`${file}.new~`, file);
  }

  /** Edits a CR and waits until main has the edit and every node is settled. @returns main's new commit */
  async editConfig(edit: (spec: TestSpec, config: TestConfig) => void, name = CONFIG): Promise<string> {
    const config = await this.config(name);
    edit(config.spec, config);
    return this.changes(() => this.writeConfig(config));
  }

  async removeConfig(name = CONFIG): Promise<void> {
    await rm(this.#configFile(name));
  }

  /** Runs an action that makes a commit on main, and waits until it is mirrored and no node has work left. */
  async changes(act: () => Promise<unknown>): Promise<string> {
    const before = await this.ref('refs/heads/main');
    await act();
    let main: string | undefined;
    await this.until('main has a commit for it, and a pass was over it', async () => {
      const seen = (await this.status())?.main;
      // The pass before may be told of late.
      if (seen === undefined || seen === before) return false;
      main = await this.ref('refs/heads/main');
      return seen === main;
    });
    await this.settled();
    return main!;
  }

  #configFile(name: string): string {
    return join(this.dir, 'crs', `${name}.yaml`);
  }

  /** Content of a file on a node's host; undefined: the file does not exist. */
  async hostFile(node: string, path: string): Promise<string | undefined> {
    return readFile(join(this.hostRoot(node), path), 'utf8').catch(() => undefined);
  }

  hostRoot(node: string): string {
    return join(this.dir, 'nodes', node, 'root');
  }

  /** Edits a machine's host.yaml: detach a NIC, reboot, install anew. */
  async editHost(node: string, edit: (host: TestHost) => void): Promise<void> {
    const file = join(this.hostRoot(node), 'host.yaml');
    const host = parse(await readFile(file, 'utf8')) as TestHost;
    edit(host);
    await writeFile(`${file}.new~`, stringify(host));
    await rename(`${file}.new~`, file);
  }

  /** Runs git in the bare store. @throws if git fails */
  async git(...args: string[]): Promise<string> {
    const ended = await git(join(this.dir, 'store.git'), ...args);
    if (ended.code !== 0) throw new Error(`git ${args.join(' ')}: ${ended.stderr}`);
    return ended.stdout;
  }

  async ref(name: string): Promise<string | undefined> {
    const ended = await git(join(this.dir, 'store.git'), 'rev-parse', '--verify', '-q', name);
    return ended.code === 0 ? ended.stdout : undefined;
  }

  async tip(node: string): Promise<string> {
    return this.git('rev-parse', `refs/heads/node/${node}`);
  }

  /** Tips of all outcome branches, by node, which show which runs were recorded. */
  async outcomes(): Promise<Record<string, string>> {
    const text = await this.git(
      'for-each-ref',
      '--format=%(refname:lstrip=3) %(objectname)',
      'refs/heads/outcome/',
    );
    return Object.fromEntries(text.split('\n').map((line) => line.split(' ') as [string, string]));
  }

  /** Subjects of a branch's commits, newest first. */
  async subjects(branch: string): Promise<string[]> {
    return (await this.git('log', '--first-parent', '--format=%s', branch)).split('\n');
  }

  /** `http://multinic:TOKEN@127.0.0.1:PORT/git` of the running controller. */
  async remote(): Promise<string> {
    return `${this.#url.replace('://', `://multinic:${await this.token()}@`)}/git`;
  }

  /** Makes a person's clone with plain git over HTTP. */
  async clone(): Promise<Copy> {
    const dir = await mkdtemp(join(dirname(this.dir), 'copy-'));
    const copy = new Copy(dir, this);
    await copy.git('clone', '-q', await this.remote(), '.');
    return copy;
  }
}

function moving({ state, reason, waitsFor }: NodeView): boolean {
  if (reason === 'WaitsForAddress') return waitsFor !== 'person';
  return state === 'InProgress' || (state === 'Pending' && (reason === 'Queued' || reason === 'Adopt'));
}

export interface TestHost {
  machineId: string;
  bootId: string;
  links: { name: string; mac: string; up: boolean; mtu: number; addresses?: string[] }[];
  uppers?: { name: string; lower: string }[];
}

/** A person's working copy of the store: Alice's. */
export class Copy {
  readonly dir: string;
  readonly #local: LocalRun;

  constructor(dir: string, local: LocalRun) {
    this.dir = dir;
    this.#local = local;
  }

  tryGit(...args: string[]): Promise<GitResult> {
    return git(this.dir, ...args);
  }

  /** Runs git. @throws if git fails */
  async git(...args: string[]): Promise<string> {
    const ended = await git(this.dir, ...args);
    if (ended.code !== 0) throw new Error(`git ${args.join(' ')}: ${ended.stdout}\n${ended.stderr}`);
    return ended.stdout;
  }

  /** Checks out the present branch of a node. */
  async switch(node: string): Promise<void> {
    await this.git('remote', 'set-url', 'origin', await this.#local.remote());
    await this.git('fetch', '-q');
    await this.git('switch', '-q', '-C', `node/${node}`, `origin/node/${node}`);
  }

  /** Reverts a commit of a node's branch (a revision such as `HEAD`) and pushes. @returns the new tip */
  async revert(node: string, revision: string): Promise<string> {
    await this.switch(node);
    await this.git('revert', '--no-edit', revision);
    return this.push(node);
  }

  /** Edits a file of a node's branch, commits and pushes. @returns the new tip */
  async edit(
    node: string,
    path: string,
    change: (text: string) => string,
    subject = `edit ${path}`,
  ): Promise<string> {
    await this.switch(node);
    const file = join(this.dir, path);
    await writeFile(file, change(await readFile(file, 'utf8')));
    await this.git('commit', '-qam', subject);
    return this.push(node);
  }

  async push(node: string): Promise<string> {
    await this.git('push', '-q', 'origin', `node/${node}`);
    return this.git('rev-parse', 'HEAD');
  }
}
