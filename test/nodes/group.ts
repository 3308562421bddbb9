// A control group for everything that one daemon or machine starts: whatever a process does (fork, setsid,
// its own PID namespace), it is found and ended through its group, also by a later run.
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from './wait.ts';
import { LabError } from '../support/lab-error.ts';

const MOUNT = '/sys/fs/cgroup';

export class Group {
  /** One folder for each controller. */
  readonly dirs: readonly string[];

  constructor(dirs: readonly string[]) {
    this.dirs = dirs;
  }

  /**
   * The group is below that of this process, so that its limits hold here too.
   * @param path such as `multinic-lab/0/worker-1`
   */
  static async create(path: string): Promise<Group> {
    const dirs = (await ownGroups()).map((own) => join(own, path));
    for (const dir of dirs) {
      await mkdir(dir, { recursive: true });
      if (dir.startsWith(join(MOUNT, 'cpuset'))) await inheritCpuset(dir);
    }
    return new Group(dirs);
  }

  /** A command that enters the group and then becomes the given one. */
  wrap(command: readonly string[]): [string, ...string[]] {
    const enter = 'IFS=:; for dir in $1; do echo $$ > "$dir/cgroup.procs" || exit 1; done; shift; exec "$@"';
    return ['/bin/sh', '-c', enter, 'sh', this.dirs.join(':'), ...command];
  }

  /** Ends all processes at once, and removes the group. */
  async remove(): Promise<void> {
    await waitFor(
      `the end of all processes of ${this.dirs[0]}`,
      async () => {
        const pids = await this.processes();
        for (const pid of pids) kill(pid);
        return pids.length === 0;
      },
      { timeoutMs: 20_000, everyMs: 50 },
    );
    for (const dir of this.dirs) await removeTree(dir);
  }

  private async processes(): Promise<number[]> {
    const each = await Promise.all(this.dirs.map(processesBelow));
    return [...new Set(each.flat())];
  }
}

/** The folders of the groups that this process is in. */
async function ownGroups(): Promise<string[]> {
  const lines = (await readFile('/proc/self/cgroup', 'utf8')).trim().split('\n');
  const groups = lines.flatMap((line) => {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    return controllers === '' ? [] : [join(MOUNT, controllers.replace(/^name=/, ''), path)];
  });
  if (groups.length === 0) {
    throw new LabError(
      'CgroupV1Needed',
      'this machine has control groups of version 2 only, with which the lab was never tried; boot it with systemd.unified_cgroup_hierarchy=0',
    );
  }
  return groups;
}

/** A new cpuset has no processors, and no process can enter it. */
async function inheritCpuset(dir: string): Promise<void> {
  const parent = join(dir, '..');
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const inherited = await readFile(join(parent, file), 'utf8');
    if (inherited.trim() === '') await inheritCpuset(parent);
    await writeFile(join(dir, file), await readFile(join(parent, file), 'utf8'));
  }
}

async function processesBelow(dir: string): Promise<number[]> {
  const own = await readFile(join(dir, 'cgroup.procs'), 'utf8').catch(() => '');
  const below = await Promise.all((await childGroups(dir)).map(processesBelow));
  // 0: a process of a PID namespace that we cannot see.
  return [...own.split('\n').map(Number).filter(Boolean), ...below.flat()];
}

async function removeTree(dir: string): Promise<void> {
  for (const child of await childGroups(dir)) await removeTree(child);
  // A group stays busy for some milliseconds after its last process.
  await waitFor(
    `the removal of ${dir}`,
    async () => {
      await rmdir(dir).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      return true;
    },
    { timeoutMs: 5_000, everyMs: 20 },
  );
}

async function childGroups(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(dir, entry.name));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process ended between the list and the signal.
  }
}
