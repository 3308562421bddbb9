// Everything that the system tests build once on a machine. A run first says what is missing, and builds it during the tests.
import { baseImage } from '../cluster/base-image.ts';
import { pauseImage } from '../cluster/image.ts';
import { etcdProgram, helmProgram, KUBERNETES, kubernetesPrograms } from '../cluster/programs.ts';
import { podMounts } from '../support/live-pod.ts';
import { missingBuilds, type Log } from '../nodes/cache.ts';
import { needCommands } from '../nodes/packages.ts';
import { nodeRootfs, type RootfsKind } from '../nodes/rootfs.ts';

interface Build {
  readonly title: string;
  /** On two processors that do nothing else, packages and modules fetched from nearby. */
  readonly seconds: number;
  readonly make: (log: Log) => Promise<unknown>;
}

const rootfs = (title: string, kind: RootfsKind, seconds: number): Build => ({
  title,
  seconds,
  make: (log) => nodeRootfs(log, kind),
});

/** Two lanes, one for each processor; each begins with the build that tests need first. */
const LANES: readonly (readonly Build[])[] = [
  [
    rootfs('nodes with netplan', 'netplan', 65),
    { title: "a pod's files", seconds: 25, make: podMounts },
    rootfs('nodes with NetworkManager', 'networkmanager', 65),
    rootfs('Debian 11', 'netplan-bullseye', 65),
    rootfs('Debian 13', 'netplan-trixie', 65),
    rootfs('netplan beside NetworkManager', 'netplan-and-networkmanager', 65),
    rootfs('NetworkManager with ifcfg files', 'networkmanager-ifcfg', 525),
    rootfs('cluster nodes with NetworkManager', 'networkmanager-node', 125),
  ],
  [
    {
      title: `Kubernetes ${KUBERNETES.newest}`,
      seconds: 800,
      make: (log) => kubernetesPrograms(KUBERNETES.newest, log),
    },
    { title: 'etcd', seconds: 70, make: etcdProgram },
    { title: 'the image of a pause', seconds: 2, make: pauseImage },
    { title: 'the base image', seconds: 60, make: baseImage },
    { title: 'helm', seconds: 205, make: helmProgram },
  ],
];

const quiet: Log = () => undefined;

/** Builds that this machine lacks, by lane. */
export function lacking(): Promise<Build[][]> {
  return Promise.all(
    LANES.map(async (lane) => {
      const missing: Build[] = [];
      for (const build of lane)
        if ((await missingBuilds(() => build.make(quiet))).length > 0) missing.push(build);
      return missing;
    }),
  );
}

/** In one sentence, what is built and about how long that takes. */
export function describeBuilds(lanes: readonly (readonly Pick<Build, 'title' | 'seconds'>[])[]): string {
  const all = lanes.flat();
  if (all.length === 0) return 'Nothing has to be built: this machine has everything that the tests want.';
  const minutes = (builds: readonly Pick<Build, 'seconds'>[]): number =>
    Math.max(1, Math.round(builds.reduce((sum, { seconds }) => sum + seconds, 0) / 60));
  const titles = all.map((build) => `${build.title} (${minutes([build])} min)`);
  const longest = Math.max(...lanes.map((lane) => minutes(lane)));
  return `Built beside the tests, once on this machine, in about ${longest} minutes: ${titles.join(', ')}.`;
}

/** Installs all missing commands before the lanes need them at the same time. */
export function installCommands(log: Log): Promise<void> {
  const always = ['buildah', 'gcc', 'go', 'ip', 'linux.uml', 'mmdebstrap', 'mount', 'nsenter'] as const;
  return needCommands([...always, 'openssl', 'ping', 'strace', 'systemd-nspawn', 'tar'], log);
}

/** Runs the lanes in parallel and the builds of a lane in turn. A failed build is named, and the next build begins. */
export async function buildAll(lanes: readonly (readonly Build[])[], log: Log): Promise<void> {
  await Promise.all(
    lanes.map(async (lane) => {
      for (const { title, make } of lane)
        await make(log).catch((error: unknown) =>
          log(`${title} could not be built: ${error instanceof Error ? error.message : String(error)}`),
        );
    }),
  );
}
