// Imitates the pod of a Job on a machine without a container runtime. It has the image's programs (above all its `ip`),
// the host's network, the host's root at another place, own mount and PID namespaces, and the Job's capabilities alone.
import { dirname, join } from 'node:path';
import { cached, type Log } from '../nodes/cache.ts';
import { run } from '../nodes/command.ts';
import { needCommands } from '../nodes/packages.ts';

export const NODE = '/opt/node/node';
export const PROGRAM = '/opt/multinic/multinic.js';
export const HOST_ROOT = '/run/host';

/** Where a machine has the image's files. */
const IMAGE = '/opt/image';
/** Content of our Dockerfile without git, which only the controller needs: Debian's base, packages, libraries of Node.js. */
const SUITE = 'trixie';
const PACKAGES = ['util-linux', 'iproute2', 'libstdc++6'];

/** $1 is the folder of the job; the pod's command follows. */
const SCRIPT = `
set -e
job=$1
shift
mount --make-rprivate /
cd ${IMAGE}
for folder in opt run tmp var; do mount -t tmpfs tmpfs $folder; done
mkdir -p .${HOST_ROOT} .${dirname(NODE)} .${dirname(PROGRAM)} ".$job"
mount --rbind / .${HOST_ROOT}
for folder in ${dirname(NODE)} ${dirname(PROGRAM)} "$job"; do mount --bind "$folder" ".$folder"; done
for folder in dev sys; do mount --rbind /$folder $folder; done
mount -t proc proc proc
# As container runtimes have it.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
set +e
chroot . setpriv --bounding-set=-all,+net_admin,+sys_admin,+sys_chroot "$@"
# The first process of a PID namespace cannot be killed from within: so the agent is not it.
exit $?
`;

/** Mounts that a machine needs for pods, with the paths there and here. Builds the image's files if they are missing. */
export async function podMounts(log: Log): Promise<Record<string, string>> {
  const image = await cached('pod', [SUITE, ...PACKAGES], log, async (dir) => {
    await needCommands(['mmdebstrap'], log);
    const options = ['--variant=minbase', '--quiet', `--include=${PACKAGES.join(',')}`];
    await run('mmdebstrap', [...options, SUITE, dir], { timeoutMs: 900_000 });
  });
  return {
    [IMAGE]: image,
    [dirname(NODE)]: dirname(process.execPath),
    [dirname(PROGRAM)]: join(import.meta.dirname, '../../dist'),
  };
}

/**
 * The command that runs another command in a pod, with its stderr on stdout.
 * @param job folder at the same path on the machine and in the pod
 */
export function inPod(job: string, command: readonly string[]): string[] {
  const shell = ['sh', '-c', `exec 2>&1${SCRIPT}`, 'pod', job];
  return ['unshare', '--mount', '--pid', '--fork', '--kill-child', ...shell, ...command];
}
