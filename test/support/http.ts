// A store of two nodes behind a real server, and its clients: git, and single HTTP requests.
import { NodeBranchPolicy } from '../../src/history/policy.ts';
import { oid } from './oid.ts';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import { hashedTokens } from '../../src/store/http/auth.ts';
import { Batch } from '../../src/store/model/batch.ts';
import { serve } from '../../src/store/server/serve.ts';
import type { ServeOptions, StoreServer } from '../../src/store/server/serve.ts';
import type { Oid, Push, PushPolicy } from '../../src/store/model/store-port.ts';
import { OWN_TREE } from '../../src/store/model/tree-bounds.ts';
import { Store } from '../../src/store/store.ts';
import { LabError } from './lab-error.ts';

export const TOKENS = { read: 'token-read', write: 'token-write', node: 'token-node', other: 'token-other' };
export const NODE_REF = 'refs/heads/node/worker-1';
export const OTHER_REF = 'refs/heads/node/worker-2';

let stopped = '';

/** Refuses commits whose subject asks for it. The policy of history has tests of its own. */
export const subjectPolicy: PushPolicy = {
  judgeRef: (push, tip) => new NodeBranchPolicy().judgeRef(push, tip),
  async check(push, objects) {
    const { subject } = await objects.commit(push.new);
    const files = await objects.files(push.new, '', OWN_TREE);
    if (subject === 'crash the policy') throw new TypeError('a defect');
    if (subject === 'stop the server' && stopped !== push.new) {
      stopped = push.new;
      process.kill(process.pid, 'SIGSTOP');
    }
    if (subject === 'refuse') {
      throw new LabError(
        'SubjectSaysNo',
        `worker says \u001b[31m${files.get('etc/mtu') ?? ''}\nchange the subject: git commit --amend`,
      );
    }
    return [`${push.ref.split('/').at(-1)}: MTU \u001b[31m${files.get('etc/mtu')?.trim()}`];
  },
};

export interface TestServer {
  readonly folder: string;
  readonly store: Store;
  readonly server: StoreServer;
  readonly pushes: Push[];
  /** Remote URL with a token as its password. */
  remote(token: string): string;
  close(): Promise<void>;
}

/** Writes main, two nodes with a file each, and an outcome of the first. */
export async function fillStore(store: Store): Promise<void> {
  const batch = new Batch();
  const author = { name: 'Tester', email: 'tester@example.org' };
  for (const node of ['worker-1', 'worker-2']) {
    const birth = batch.commit({
      parents: [],
      files: new Map([['node.yaml', `name: ${node}\n`]]),
      author,
      subject: `${node}: born`,
      trailers: [['Change', 'birth']],
    });
    const spec = batch.commit({
      parents: [birth],
      files: new Map([['etc/mtu', '1500\n']]),
      author,
      subject: `${node}: add multinic0`,
      trailers: [['Change', 'spec']],
    });
    batch.move(`refs/heads/node/${node}`, spec, null);
    const outcome = batch.commit({
      parents: [],
      files: new Map([['outcome', `${node} was applied\n`]]),
      author,
      subject: `${node}: applied`,
      trailers: [],
    });
    batch.move(`refs/heads/outcome/${node}`, outcome, null);
  }
  await store.write(batch);
}

/** Serves a store to the callers of TOKENS. */
export function serveStore(store: Store, options: Partial<ServeOptions> = {}): Promise<StoreServer> {
  return serve({
    store,
    reader: store.reader,
    policy: subjectPolicy,
    authenticate: hashedTokens([
      [TOKENS.read, { name: 'reader', role: 'read' }],
      [TOKENS.write, { name: 'alice', role: 'write' }],
      [TOKENS.node, { name: 'node worker-1', role: 'node', node: 'worker-1' }],
      [TOKENS.other, { name: 'node worker-2', role: 'node', node: 'worker-2' }],
    ]),
    onPush: () => undefined,
    host: '127.0.0.1',
    port: 0,
    log: pino({ level: process.env['TEST_LOG'] ?? 'silent' }),
    health: () => ({ status: 'healthy' }),
    ...options,
  });
}

/** Remote URL with a token as its password. */
export function remoteUrl(url: string, token: string): string {
  return `${url.replace('://', `://git:${token}@`)}/git`;
}

export async function startServer(options: Partial<ServeOptions> = {}): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-http-'));
  const store = await Store.open(join(folder, 'store.git'));
  await fillStore(store);
  const pushes: Push[] = [];
  const server = await serveStore(store, { onPush: (push) => pushes.push(push), ...options });
  return {
    folder,
    store,
    server,
    pushes,
    remote: (token) => remoteUrl(server.url, token),
    close: async () => {
      await server.close();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const GIT_ENV = {
  PATH: process.env['PATH'] ?? '',
  HOME: tmpdir(),
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: 'Alice',
  GIT_AUTHOR_EMAIL: 'alice@example.org',
  GIT_COMMITTER_NAME: 'Alice',
  GIT_COMMITTER_EMAIL: 'alice@example.org',
  LC_ALL: 'C',
};

export interface GitResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs git as a person would. Never throws. */
export async function git(cwd: string, ...args: string[]): Promise<GitResult> {
  const ended = await execa('git', args, { cwd, env: GIT_ENV, extendEnv: false, reject: false });
  return { code: ended.exitCode ?? -1, stdout: ended.stdout, stderr: ended.stderr };
}

/** A working copy of one branch. */
export async function clone(test: TestServer, token: string, name: string): Promise<string> {
  const { code, stderr } = await git(test.folder, 'clone', '-q', test.remote(token), name);
  if (code !== 0) throw new Error(stderr);
  return join(test.folder, name);
}

/** Commits one file on the branch that is checked out. */
export async function commitFile(copy: string, path: string, text: string, subject: string): Promise<Oid> {
  await mkdir(dirname(join(copy, path)), { recursive: true });
  await writeFile(join(copy, path), text);
  await git(copy, 'add', path);
  await git(copy, 'commit', '-qm', subject);
  return oid((await git(copy, 'rev-parse', 'HEAD')).stdout);
}

export async function request(
  test: TestServer,
  path: string,
  options: {
    token?: string;
    method?: string;
    headers?: Record<string, string>;
    body?: Uint8Array | string;
  } = {},
): Promise<{ status: number; headers: Headers; text: string; bytes: Buffer }> {
  const response = await fetch(`${test.server.url}${path}`, {
    method: options.method ?? 'GET',
    headers: {
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { body: Buffer.from(options.body) }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, text: bytes.toString('latin1'), bytes };
}
