// Runs a command in the leader's pod, as `kubectl exec` does, with files as its standard input and output.

import { Exec, type V1Status } from '@kubernetes/client-node';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { MultinicError } from '../api/errors.ts';
import { readReason } from '../api/reasons/reasons.ts';
import type { KubeClient } from './client.ts';
import { leaderOf } from './leader-connection.ts';

export interface ExecOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly command: readonly string[];
  readonly stdout: Writable;
  /** Must have as many bytes as the command reads: the end of the stream does not reach every version's pod. */
  readonly stdin?: Readable;
}

const CONTAINER = 'controller';
/** Bytes that wait for the connection, at most. */
const MAX_BUFFERED = 4 * 1024 * 1024;

/** @throws MultinicError `NoController`, `NoExec`, or the code that the command printed */
export async function execInLeader(options: ExecOptions): Promise<void> {
  const { client, namespace, command, stdout } = options;
  const pod = await leaderOf(client, namespace);
  const stderr = new PassThrough();
  let said = '';
  stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const stdin = options.stdin === undefined ? null : new PassThrough();
  const ended = Promise.withResolvers<V1Status>();
  const exec = new Exec(client.config);
  const socket = await exec
    .exec(namespace, pod, CONTAINER, [...command], stdout, stderr, stdin, false, ended.resolve)
    .catch((cause: unknown) => {
      throw new MultinicError(
        'NoExec',
        `no command can be run in ${pod} (${(cause as { message?: string }).message ?? 'refused'}): it takes create on pods/exec in ${namespace}`,
        { cause },
      );
    });
  socket.on('close', () =>
    ended.reject(new MultinicError('NoExec', `the connection to ${pod} broke off: run the command again`)),
  );
  if (stdin !== null) await pump(options.stdin!, stdin, () => socket.bufferedAmount);
  const { status } = await ended.promise;
  socket.close();
  if (status === 'Success') return;
  throw remoteError(said, pod);
}

async function pump(from: Readable, to: Writable, waiting: () => number): Promise<void> {
  for await (const chunk of from) {
    to.write(chunk);
    while (waiting() > MAX_BUFFERED) await pause(10);
  }
}

/** The error that the command printed: `error: MESSAGE (CODE)`. */
function remoteError(said: string, pod: string): MultinicError {
  const [, message, code] = /^error: ([^]*) \((\w+)\)\s*$/m.exec(said) ?? [];
  if (message !== undefined && code !== undefined)
    return new MultinicError(readReason(code), `${pod}: ${message}`);
  return new MultinicError(
    'NoExec',
    `the command failed in ${pod}: ${said.trim() || 'it printed no reason'}`,
  );
}
