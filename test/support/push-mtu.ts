// A push of another MTU over HTTP, as a person does it: clone, edit, commit, push.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { remoteUrl, TOKENS } from './http.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const PERSON = { name: 'Alice', email: 'alice@example.org' };

export interface MtuPush {
  /** URL of the server. */
  readonly url: string;
  /** Time of the commit, milliseconds since 1970. */
  readonly at: number;
  readonly node: string;
  readonly mtu: number;
}

/** @throws the refusal of the server */
export async function pushMtu({ url, at, node, mtu }: MtuPush): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'multinic-push-'));
  const date = new Date(at).toISOString();
  const env = Object.fromEntries(
    ['AUTHOR', 'COMMITTER'].flatMap((role) => [
      [`GIT_${role}_NAME`, PERSON.name],
      [`GIT_${role}_EMAIL`, PERSON.email],
      [`GIT_${role}_DATE`, date],
    ]),
  );
  const git = (...args: string[]) => execa('git', args, { cwd: dir, env });
  try {
    await git('clone', '-q', '--single-branch', '-b', `node/${node}`, remoteUrl(url, TOKENS.write), '.');
    const { stdout: text } = await git('show', `HEAD:${FILE}`);
    await writeFile(join(dir, FILE), `${text.replace(/mtu: \d+/, `mtu: ${mtu}`)}\n`);
    await git('commit', '-qam', `mtu ${mtu}`);
    await git('push', '-q', 'origin', `HEAD:node/${node}`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
