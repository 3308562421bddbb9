import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { MultinicError } from '../../api/errors.ts';
import { gitEnvironment } from './git.ts';
import type { Oid } from '../model/store-port.ts';

export interface GitObject {
  readonly oid: Oid;
  readonly type: string;
  /** Size of the whole object, even if `data` has fewer bytes. */
  readonly size: number;
  /** The object's bytes; empty in an answer to `info`. */
  readonly data: Buffer;
}

interface Request {
  readonly command: 'info' | 'contents';
  readonly spec: string;
  /** Maximum number of bytes of the object that the caller takes. */
  readonly keep: number;
  readonly resolve: (object: GitObject | undefined) => void;
  readonly reject: (error: Error) => void;
  /** How many processes died with this request unanswered. */
  deaths: number;
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

const LINE_END = 0x0a;
const MAX_DEATHS = 2;

/**
 * One long-lived `git cat-file --batch-command`: all requests of one turn of the event loop go out together, and one
 * command flushes them. A child that dies is replaced, and its unanswered requests are sent again.
 */
export class CatFile {
  readonly #dir: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #pending: Request[] = [];
  #unsent: Request[] = [];
  #child: Child | undefined;
  /** The system's code if the newest child could not start: `ENOENT`, there is no git. */
  #startError: string | undefined;
  /** A child that could not start, until Node reports the error. */
  #failed: Child | undefined;
  #chunks: Buffer[] = [];
  #received = 0;
  /** Bytes that the answer at the front needs; one until the object's header is here. */
  #needed = 1;
  /** Bytes of an answered object that are still to come and are discarded. */
  #unwanted = 0;
  #closed = false;
  /** Another child takes over when this one has answered everything. */
  #renewing = false;

  constructor(dir: string, env: Readonly<Record<string, string>>) {
    this.#dir = dir;
    this.#env = env;
  }

  /**
   * ID, type and size of the object that a revision expression names; undefined: there is none. git reads the object's
   * header alone.
   */
  info(spec: string): Promise<GitObject | undefined> {
    return this.#ask('info', spec, 0);
  }

  /** @param keep maximum number of bytes of the object to read; the rest is discarded and never held in memory */
  contents(spec: string, keep = Infinity): Promise<GitObject | undefined> {
    return this.#ask('contents', spec, keep);
  }

  /**
   * Lets another child answer the requests that come after those under way. git keeps each pack open that it has read,
   * also a deleted one, which takes its place on the disk for as long.
   */
  renew(): void {
    this.#renewing = true;
    this.#renewIfIdle();
  }

  close(): void {
    this.#closed = true;
    const child = this.#end();
    if (this.#pending.length > 0) child?.kill();
    this.#rejectAll();
  }

  #renewIfIdle(): void {
    if (!this.#renewing || this.#pending.length > 0) return;
    this.#renewing = false;
    this.#end();
  }

  /** Ends the child, which reads its input to the end first. */
  #end(): Child | undefined {
    const child = this.#child;
    this.#child = undefined;
    child?.stdin.end();
    return child;
  }

  #ask(command: Request['command'], spec: string, keep: number): Promise<GitObject | undefined> {
    if (this.#closed) return Promise.reject(closedError());
    if (spec.includes('\n') || spec.includes('\0')) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      const request: Request = { command, spec, keep, resolve, reject, deaths: 0 };
      this.#pending.push(request);
      if (this.#unsent.push(request) === 1) queueMicrotask(() => this.#send());
    });
  }

  #send(): void {
    if (this.#closed || this.#failed !== undefined || this.#unsent.length === 0) return;
    const lines = this.#unsent.map(({ command, spec }) => `${command} ${spec}\n`);
    this.#unsent = [];
    this.#child ??= this.#start();
    this.#child?.stdin.write(`${lines.join('')}flush\n`);
  }

  /** @returns undefined when the system has no descriptors left: Node makes no pipes then, and says why later */
  #start(): Child | undefined {
    const child = spawn('git', ['-C', this.#dir, 'cat-file', '--batch-command', '--buffer'], {
      env: gitEnvironment({ 'core.warnAmbiguousRefs': 'false' }, this.#env),
      stdio: ['pipe', 'pipe', 'ignore'],
      // Ctrl-C must not reach the child, which ends with its input.
      detached: true,
    });
    this.#startError = undefined;
    child.on('error', (error: NodeJS.ErrnoException) => {
      this.#startError = error.code;
      this.#died(child);
    });
    child.on('close', () => this.#died(child));
    this.#chunks = [];
    this.#received = 0;
    this.#needed = 1;
    this.#unwanted = 0;
    if ((child.stdin as Writable | undefined) === undefined) {
      this.#failed = child;
      return undefined;
    }
    child.stdout.on('data', (chunk: Buffer) => {
      // The rest of an object may still come from a child that was replaced.
      if (this.#child === child) this.#receive(chunk);
    });
    // EPIPE: the child is gone, and its `close` event deals with that.
    child.stdin.on('error', () => undefined);
    return child;
  }

  #receive(arrived: Buffer): void {
    const chunk = arrived.subarray(this.#passOver(arrived.length));
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#received += chunk.length;
    if (this.#received < this.#needed) return;
    let buffer = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    for (;;) {
      const taken = this.#answer(buffer);
      if (taken === 0) break;
      buffer = buffer.subarray(taken);
      buffer = buffer.subarray(this.#passOver(buffer.length));
    }
    this.#chunks = buffer.length === 0 ? [] : [buffer];
    this.#received = buffer.length;
    this.#renewIfIdle();
  }

  /** @returns how many of the next bytes belong to an object that was answered already */
  #passOver(available: number): number {
    const passed = Math.min(available, this.#unwanted);
    this.#unwanted -= passed;
    return passed;
  }

  /** Answers the request at the front if its whole answer is here; returns the bytes used. */
  #answer(buffer: Buffer): number {
    this.#needed = 1;
    const lineEnd = buffer.indexOf(LINE_END);
    const request = this.#pending[0];
    if (lineEnd === -1 || request === undefined) {
      this.#needed = buffer.length + 1;
      return 0;
    }
    const header = /^([0-9a-f]{40}) ([a-z]+) (\d+)$/.exec(buffer.toString('latin1', 0, lineEnd));
    if (header === null) {
      this.#pending.shift();
      request.resolve(undefined);
      return lineEnd + 1;
    }
    const [, oid, type = '', digits] = header as unknown as [string, Oid, string, string];
    const size = Number(digits);
    const start = lineEnd + 1;
    const end = start + Math.min(size, request.keep);
    if (buffer.length < end) {
      this.#needed = end;
      return 0;
    }
    this.#pending.shift();
    // A copy: a slice would keep the whole chunk alive for as long as a caller keeps a small object.
    request.resolve({ oid, type, size, data: Buffer.from(buffer.subarray(start, end)) });
    // A line feed ends the object.
    if (request.command === 'contents') this.#unwanted = start + size + 1 - end;
    return end;
  }

  #died(child: Child): void {
    if (this.#child !== child && this.#failed !== child) return;
    this.#child = undefined;
    this.#failed = undefined;
    for (const request of this.#pending) request.deaths += 1;
    if (this.#pending.some(({ deaths }) => deaths > MAX_DEATHS)) {
      this.#rejectAll();
      return;
    }
    this.#unsent = [...this.#pending];
    this.#send();
  }

  #rejectAll(): void {
    this.#unsent = [];
    const error = this.#closed
      ? closedError()
      : this.#startError === 'ENOENT'
        ? new MultinicError('GitMissing', 'git is not on the PATH: install git (2.39 or later)')
        : new MultinicError(
            'StoreUnreadable',
            this.#startError === undefined
              ? `git cat-file cannot read ${this.#dir}; check that git is 2.39 or later and that this is a store`
              : `git cat-file does not start (${this.#startError}); give the process more file descriptors or memory`,
            { data: { dir: this.#dir } },
          );
    for (const request of this.#pending.splice(0)) request.reject(error);
  }
}

function closedError(): MultinicError {
  return new MultinicError('StoreClosed', 'the store was closed while it was read; open it again');
}
