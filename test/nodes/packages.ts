// Commands that this machine must have. Missing ones are installed on Debian, and named elsewhere.
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './command.ts';
import { LabError } from '../support/lab-error.ts';

/** Debian's package for each command that the lab calls. */
const PACKAGE_OF = {
  buildah: 'buildah',
  chromium: 'chromium',
  flock: 'util-linux',
  gcc: 'build-essential',
  go: 'golang-go',
  ip: 'iproute2',
  'linux.uml': 'user-mode-linux',
  mmdebstrap: 'mmdebstrap',
  mount: 'mount',
  nft: 'nftables',
  nsenter: 'util-linux',
  openssl: 'openssl',
  ping: 'iputils-ping',
  shellcheck: 'shellcheck',
  strace: 'strace',
  'systemd-nspawn': 'systemd-container',
  tar: 'tar',
} as const;

export type Command = keyof typeof PACKAGE_OF;

/**
 * Makes sure that these commands exist.
 * @throws MultinicError `NotRoot`, `CommandsMissing`
 */
export async function needCommands(commands: readonly Command[], log: (line: string) => void): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new LabError(
      'NotRoot',
      'these tests make mounts, namespaces and bridges on this machine: run as root',
    );
  }
  const missing = await absent(commands);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((command) => PACKAGE_OF[command]))];
  if ((await findCommand('apt-get')) === undefined) {
    throw new LabError(
      'CommandsMissing',
      `missing: ${missing.join(', ')}, and there is no apt-get; install what Debian calls ${packages.join(', ')}`,
    );
  }
  log(`installing ${packages.join(', ')}`);
  await aptInstall(packages);
  const still = await absent(commands);
  if (still.length > 0) {
    throw new LabError(
      'CommandsMissing',
      `apt-get installed ${packages.join(', ')}, but ${still.join(', ')} is not on PATH; add /usr/sbin to PATH`,
    );
  }
}

/** @returns the path of a command, if it is on PATH */
async function findCommand(name: string): Promise<string | undefined> {
  for (const dir of (process.env['PATH'] ?? '').split(':')) {
    const path = join(dir, name);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}

async function absent(commands: readonly Command[]): Promise<Command[]> {
  const found = await Promise.all(commands.map(findCommand));
  return commands.filter((_, index) => found[index] === undefined);
}

async function aptInstall(packages: readonly string[]): Promise<void> {
  const options = { timeoutMs: 600_000, env: { DEBIAN_FRONTEND: 'noninteractive' } };
  // Waits for the lock of another apt-get instead of failing.
  const apt = (...args: string[]) => run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], options);
  const install = () => apt('install', '--yes', '--no-install-recommends', ...packages);
  // The package lists are updated only if the installation fails, because an update takes long.
  await install().catch(async () => {
    await apt('update');
    await install();
  });
}
