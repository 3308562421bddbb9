// Smart HTTP: finds out which of git's two services a request wants, checks the caller's right to it, and runs git.
import type { IncomingMessage, ServerResponse } from 'node:http';
import PQueue from 'p-queue';
import { MultinicError } from '../../api/errors.ts';
import { gitEnvironment } from '../git/git.ts';
import { readBody } from '../http/body.ts';
import type { ByteAccount } from '../http/byte-budget.ts';
import { pipeGit } from '../http/child.ts';
import { FLUSH, pkt } from '../http/pktline.ts';
import { onlyBranch, shown } from '../http/visible.ts';
import { confine } from '../http/wants.ts';
import type { Principal, Reader } from '../model/store-port.ts';
import { PUSH_LIMIT } from '../push/process.ts';
import type { PushReceiver } from '../push/receiver.ts';

/** Largest body of a fetch: several times a fetch that names every branch of a large store. */
const FETCH_BODY_LIMIT = 4 * 1024 * 1024;
/** Limits of a node's fetch, which names one commit, the tip. */
const NODE_BODY = { limit: 64 * 1024, timeoutMs: 10_000 };
/**
 * Largest push that is still read to its end and then refused: a client reads the reason only after it has sent
 * everything.
 */
const PUSH_DRAIN = 8 * PUSH_LIMIT;
/** Number of git children at the same time; each may use a whole core. */
const CHILDREN = 8;
const WAITING = 512;

type Service = 'git-upload-pack' | 'git-receive-pack';

interface GitRequest {
  readonly service: Service;
  /** The request asks for the refs, as the first request of every fetch and push. */
  readonly advertise: boolean;
}

const PATH = /^\/git(?:\/multinic\.git)?\/(info\/refs|git-upload-pack|git-receive-pack)$/;

/** @throws MultinicError `NotFound`, `MethodNotAllowed`, `Forbidden` for clients of the dumb protocol */
function parse(request: IncomingMessage, url: URL): GitRequest {
  const [, path] = PATH.exec(url.pathname) ?? [];
  if (path === undefined)
    throw new MultinicError('NotFound', 'there is no repository here: its URL ends with /git');
  const method = path === 'info/refs' ? 'GET' : 'POST';
  if (request.method !== method)
    throw new MultinicError('MethodNotAllowed', `use ${method}`, { data: { allow: [method] } });
  if (path !== 'info/refs') return { service: path as Service, advertise: false };
  const service = url.searchParams.get('service');
  if (service === 'git-upload-pack' || service === 'git-receive-pack') return { service, advertise: true };
  throw new MultinicError('Forbidden', 'only the smart HTTP protocol is spoken: use git 1.6.6 or later');
}

/**
 * @throws MultinicError `Forbidden`, for the advertisement too: a client does not show the reason of a refused POST.
 */
function authorise(service: Service, principal: Principal): void {
  if (service === 'git-receive-pack' && principal.role !== 'write')
    throw new MultinicError(
      'Forbidden',
      `${principal.name} may only read: push with a token that has the role write`,
    );
}

function headers(service: Service, part: 'advertisement' | 'result'): Record<string, string> {
  return { 'Content-Type': `application/x-${service}-${part}`, 'Cache-Control': 'no-cache' };
}

/**
 * Passes `Git-Protocol` to git if it is a known version, because the header is the caller's text. A node stays at
 * version 0: version 2 has another form of wants, and serves any object that a want names.
 */
function protocolOf(request: IncomingMessage, branch: string | undefined): Record<string, string> {
  const header = request.headers['git-protocol'];
  const [, version] = /^version=([12])$/.exec(typeof header === 'string' ? header : '') ?? [];
  return branch !== undefined || version === undefined ? {} : { GIT_PROTOCOL: `version=${version}` };
}

/** Serves one store to git clients. */
export class GitService {
  readonly #dir: string;
  readonly #reader: Reader;
  readonly #receiver: PushReceiver;
  readonly #children = new PQueue({ concurrency: CHILDREN });

  constructor(dir: string, reader: Reader, receiver: PushReceiver) {
    this.#dir = dir;
    this.#reader = reader;
    this.#receiver = receiver;
  }

  /** @throws MultinicError before the answer has begun; later failures end the connection */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    principal: Principal,
    account: ByteAccount,
  ): Promise<void> {
    const { service, advertise } = parse(request, url);
    authorise(service, principal);
    if (service === 'git-receive-pack' && !advertise) {
      const body = await readBody(request, { limit: PUSH_LIMIT, drain: PUSH_DRAIN, account });
      const report = await this.#queued(() => this.#receiver.receive(principal, body));
      response.writeHead(200, headers(service, 'result')).end(report);
      return;
    }
    const branch = onlyBranch(principal);
    let input: Buffer = Buffer.alloc(0);
    if (!advertise) {
      const limits = branch === undefined ? { limit: FETCH_BODY_LIMIT } : NODE_BODY;
      const { bytes } = await readBody(request, { ...limits, account });
      input = branch === undefined ? bytes : await confine(bytes, branch, this.#reader);
    }
    const args = [service.slice('git-'.length), '--stateless-rpc'];
    if (advertise) args.push('--http-backend-info-refs');
    await this.#queued(() =>
      pipeGit(response, {
        args: [...args, this.#dir],
        env: gitEnvironment(shown(branch), protocolOf(request, branch)),
        input,
        headers: headers(service, advertise ? 'advertisement' : 'result'),
        prelude: advertise ? Buffer.concat([pkt(`# service=${service}\n`), FLUSH]) : Buffer.alloc(0),
      }),
    );
  }

  /** Resolves when no child runs. */
  async idle(): Promise<void> {
    await this.#children.onIdle();
  }

  async #queued<T>(job: () => Promise<T>): Promise<T> {
    if (this.#children.size >= WAITING)
      throw new MultinicError('Busy', `${WAITING} requests are waiting already: try again in a few seconds`);
    return this.#children.add(job);
  }
}
