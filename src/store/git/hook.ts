// The hooks that receive-pack runs for a push. A hook is shell, because a Node process doubles the cost of a push; it
// decides nothing, and asks the server over a socket that it inherits from receive-pack.
//
// No other process can open an inherited socket, and when the server dies, the hook reads end of file and refuses. The
// time-out is for a server that is suspended and not dead, because receive-pack holds the store's lock meanwhile.
import { access, chmod, constants, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Descriptors of the sockets, one socket for each hook. */
export const PRE_RECEIVE_FD = 3;
export const PREPARED_FD = 4;
/** Longest time that a hook waits for the server's answer, in seconds. */
export const HOOK_TIMEOUT_SECONDS = 60;

const HEAD = '#!/bin/sh\n# Written by multinic with each start: a change here does not last.';

const ask = (fd: number): string => `answer=$(timeout ${HOOK_TIMEOUT_SECONDS} cat <&${fd})
case $answer in
accept) exit 0 ;;
accept*) printf '%s\\n' "\${answer#accept?}" >&2; exit 0 ;;
refuse*) printf '%s\\n' "\${answer#refuse?}" >&2 ;;
*) echo 'multinic: the controller went away before it had judged this push: push again' >&2 ;;
esac
exit 1`;

// The hook sends only the place of the pushed objects; the server has read the commands itself.
const PRE_RECEIVE = `${HEAD}
for name in GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES; do
  eval "printf '%s=%s\\n' $name \\"\\\${$name-}\\""
done >&${PRE_RECEIVE_FD}
echo >&${PRE_RECEIVE_FD}
${ask(PRE_RECEIVE_FD)}
`;

// State `prepared`: the objects have left quarantine, the branches are locked, and they move next.
const REFERENCE_TRANSACTION = `${HEAD}
[ "$1" = prepared ] || exit 0
echo >&${PREPARED_FD}
${ask(PREPARED_FD)}
`;

// Refuses a push by path, which nobody judges, audits or fences. The server has receive-pack run its own hooks instead.
const REFUSAL = `${HEAD}
echo 'multinic: a push by path is neither checked nor audited: push over HTTP, to http://operator:TOKEN@HOST:PORT/git' >&2
exit 1
`;

/**
 * Folder for receive-pack's `core.hooksPath`. Every store has the folder from its birth, because git accepts every push
 * where a hook is missing.
 */
export const PUSH_HOOKS = 'multinic-hooks';

/** Writes the hooks into a folder of their own. */
export async function installHooks(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await installHook(directory, 'pre-receive', PRE_RECEIVE);
  await installHook(directory, 'reference-transaction', REFERENCE_TRANSACTION);
}

/** Writes the hook of the repository's own `core.hooksPath`, which a push by path meets. */
export async function installRefusal(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await installHook(directory, 'pre-receive', REFUSAL);
}

/** Writes a hook unless the same hook is there already. */
async function installHook(directory: string, name: string, script: string): Promise<void> {
  const path = join(directory, name);
  if (await isInstalled(path, script)) return;
  // Replace the hook at once by a rename: the previous controller may have a push running.
  const next = join(directory, `${name}.next`);
  await writeFile(next, script);
  await chmod(next, 0o755);
  await rename(next, path);
}

async function isInstalled(path: string, script: string): Promise<boolean> {
  try {
    // git ignores a hook that is not executable.
    await access(path, constants.X_OK);
    return (await readFile(path, 'utf8')) === script;
  } catch {
    return false;
  }
}

/** The values that a hook sends, by name; undefined while the question has not arrived whole. */
export function readQuestion(text: string): ReadonlyMap<string, string> | undefined {
  const end = text.startsWith('\n') ? 0 : text.indexOf('\n\n') + 1;
  if (end === 0 && !text.startsWith('\n')) return undefined;
  const lines = text.slice(0, end).split('\n').filter(Boolean);
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
  );
}

/** Whether a push may go on, with the lines that its pusher reads. */
export interface Verdict {
  readonly accepted: boolean;
  readonly lines: readonly string[];
}

export function formatAnswer({ accepted, lines }: Verdict): string {
  return [accepted ? 'accept' : 'refuse', ...lines, ''].join('\n');
}
