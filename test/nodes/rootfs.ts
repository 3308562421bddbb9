// The root file systems of nodes: Debian with systemd, udev and a network manager, as packages install it, and little
// more than what keeps a container from working on the kernel of this machine. `netplan` is a node with networkd and
// containerd; the others have no containers: `netplan-bullseye` and `netplan-trixie` are what Debian had before and after,
// `netplan-and-networkmanager` has NetworkManager running beside networkd, `networkmanager` has NetworkManager as RHEL has
// it, `networkmanager-ifcfg` with its profiles in ifcfg files, as RHEL 8 and its kin.
import { readFileSync } from 'node:fs';
import { access, chmod, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from './command.ts';
import { cached, type Log } from './cache.ts';
import { networkManagerWithIfcfg } from './ifcfg-rh.ts';
import { needCommands } from './packages.ts';

export type RootfsKind =
  | 'netplan'
  | 'netplan-bullseye'
  | 'netplan-trixie'
  | 'netplan-and-networkmanager'
  | 'networkmanager'
  | 'networkmanager-node'
  | 'networkmanager-ifcfg';

/** Network manager of a kind of machine, and its kind of files. */
export type Manager = 'netplan' | 'networkmanager' | 'networkmanager-ifcfg';

/** The layer that all machines of a kind share. */
export interface Rootfs {
  /** A read-only lower layer. */
  readonly dir: string;
  readonly manager: Manager;
}

const NETPLAN_PACKAGES = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'udev',
  'netplan.io',
  'iproute2',
  'kmod',
  'procps',
  'ca-certificates',
];

const CONTAINER_PACKAGES = [
  'iptables',
  'nftables',
  'conntrack',
  'containerd',
  'runc',
  'containernetworking-plugins',
];

const NODE_PACKAGES = [...NETPLAN_PACKAGES, ...CONTAINER_PACKAGES];

const NETWORKMANAGER_PACKAGES = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'udev',
  'network-manager',
  'iproute2',
  'kmod',
  'procps',
  'ca-certificates',
];

/** Units that change the state of the whole kernel, which belongs to this machine and not to a node. */
const MASKED = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'console-getty.service',
  'dev-hugepages.mount',
  'dev-mqueue.mount',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'kmod-static-nodes.service',
  'modprobe@.service',
  'proc-sys-fs-binfmt_misc.automount',
  'proc-sys-fs-binfmt_misc.mount',
  'sys-fs-fuse-connections.mount',
  'sys-kernel-config.mount',
  'sys-kernel-debug.mount',
  'sys-kernel-tracing.mount',
  'systemd-binfmt.service',
  'systemd-modules-load.service',
  'systemd-pstore.service',
  'systemd-sysctl.service',
  'systemd-timesyncd.service',
];

const FILES: Readonly<Record<string, string>> = {
  // nspawn mounts the controllers read-only; a kubelet makes groups in them, and its volumes want shared mounts.
  '/etc/systemd/system/node-setup.service': `[Unit]
Description=What a virtual machine has and a container lacks
DefaultDependencies=no
Before=basic.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for dir in /sys/fs/cgroup/*/; do mount -o remount,rw,bind "$dir"; done; mount --make-rshared /'
[Install]
WantedBy=basic.target
`,
  // Only net devices belong to the namespace. All other devices belong to this machine and must not be triggered.
  '/etc/systemd/system/systemd-udev-trigger.service.d/net-only.conf': `[Service]
ExecStart=
ExecStart=-/usr/bin/udevadm trigger --type=devices --subsystem-match=net --action=add
`,
  // Programs in pods often ignore SIGTERM, and a shutdown then waits for them, 90 s by default.
  '/etc/systemd/system.conf.d/node.conf': '[Manager]\nDefaultTimeoutStopSec=3s\n',
  // A container has no disk to check, and journald needs no /dev/kmsg.
  '/etc/systemd/journald.conf.d/node.conf': '[Journal]\nReadKMsg=no\nStorage=volatile\n',
};

const PERMANENT_MAC = '/usr/local/lib/permanent-mac.so';

const NETWORKMANAGER_FILES: Readonly<Record<string, string>> = {
  // NetworkManager's own rules would ignore veths, which a machine's NICs are not.
  '/etc/udev/rules.d/85-nm-unmanaged.rules': '',
  '/etc/systemd/system/NetworkManager.service.d/permanent-mac.conf': `[Service]
Environment=LD_PRELOAD=${PERMANENT_MAC}
`,
};

/**
 * A stand-in for the helper of Red Hat's initscripts, which Debian lacks: the same choice among the ifcfg files that have
 * a NIC's MAC, that of the name which the NIC has already, else the last one. A veth has no driver, which the real rule
 * asks for.
 */
const RENAME_DEVICE = `#!/bin/sh
mac=$(cat "/sys/class/net/$INTERFACE/address")
for file in /etc/sysconfig/network-scripts/ifcfg-*; do
  HWADDR= DEVICE=
  . "$file"
  [ "$(echo "$HWADDR" | tr A-F a-f)" = "$mac" ] && [ -n "$DEVICE" ] || continue
  chosen=$DEVICE
  [ "$DEVICE" = "$INTERFACE" ] && break
done
printf %s "$chosen"
`;

const IFCFG_FILES: Readonly<Record<string, string>> = {
  '/etc/NetworkManager/NetworkManager.conf': '[main]\nplugins=ifcfg-rh,keyfile\n',
  '/etc/udev/rules.d/60-net.rules':
    'ACTION=="add", SUBSYSTEM=="net", ATTR{type}=="1", PROGRAM="/lib/udev/rename_device", RESULT=="?*", NAME="$result"\n',
};

export const NETPLAN_GENERATOR = '/usr/libexec/netplan/generate';
/** The path in netplan 0.101. */
export const OLD_NETPLAN_GENERATOR = '/usr/lib/netplan/generate';
type Generator = typeof NETPLAN_GENERATOR | typeof OLD_NETPLAN_GENERATOR;

/**
 * A veth has no permanent MAC, which netplan's output matches on. The wrapper has the generator do its work under its
 * own argv[0] (as a systemd generator it behaves otherwise) and then matches on the MAC that there is.
 */
const generatorWrapper = (generator: Generator): string => `#!/bin/bash
root= previous=
for argument; do
  case $previous in --root-dir|-r) root=$argument;; esac
  case $argument in --root-dir=*) root=\${argument#*=};; esac
  previous=$argument
done
(exec -a "$0" ${generator}.real "$@")
result=$?
for file in "$root"/run/systemd/network/*netplan*; do
  [ -f "$file" ] && sed -i 's/^PermanentMACAddress=/MACAddress=/' "$file"
done
exit $result
`;

/** Builds the missing root file systems. */
export async function nodeRootfs(log: Log, kind: RootfsKind = 'netplan'): Promise<Rootfs> {
  return { dir: await BUILDERS[kind](log), manager: managerOf(kind) };
}

function managerOf(kind: RootfsKind): Manager {
  if (kind === 'networkmanager-ifcfg') return kind;
  return kind.startsWith('networkmanager') ? 'networkmanager' : 'netplan';
}

const BUILDERS: Readonly<Record<RootfsKind, (log: Log) => Promise<string>>> = {
  netplan: (log) => netplanRootfs('node-bookworm', 'bookworm', NODE_PACKAGES, NETPLAN_GENERATOR, log),
  'netplan-bullseye': (log) =>
    netplanRootfs('node-bullseye', 'bullseye', NETPLAN_PACKAGES, OLD_NETPLAN_GENERATOR, log),
  'netplan-trixie': (log) => netplanRootfs('node-trixie', 'trixie', NETPLAN_PACKAGES, NETPLAN_GENERATOR, log),
  'netplan-and-networkmanager': netplanAndNetworkManagerRootfs,
  networkmanager: networkManagerRootfs,
  'networkmanager-node': networkManagerNodeRootfs,
  'networkmanager-ifcfg': ifcfgRootfs,
};

function netplanRootfs(
  name: string,
  suite: Suite,
  packages: readonly string[],
  generator: Generator,
  log: Log,
): Promise<string> {
  const wrapper = generatorWrapper(generator);
  const recipe = [suite, ...packages, ...MASKED, JSON.stringify(FILES), wrapper];
  return cached(name, recipe, log, async (dir) => {
    await install(dir, suite, packages, log);
    await disableContainerd(dir);
    await wrapGenerator(dir, generator);
  });
}

async function wrapGenerator(dir: string, generator: Generator): Promise<void> {
  const path = join(dir, generator);
  await access(path);
  await rename(path, `${path}.real`);
  await write(path, generatorWrapper(generator), 0o755);
}

/** A host that networkd configures, where somebody installed NetworkManager too and left it at its defaults. */
function netplanAndNetworkManagerRootfs(log: Log): Promise<string> {
  const recipe = [...NETWORKMANAGER_RECIPE, 'netplan.io', generatorWrapper(NETPLAN_GENERATOR)];
  return cached(`node-${NETWORKMANAGER_SUITE}-both`, recipe, log, async (dir) => {
    await installNetworkManager(dir, log, ['netplan.io']);
    await wrapGenerator(dir, NETPLAN_GENERATOR);
  });
}

const NETWORKMANAGER_SUITE = 'bookworm';
const PERMANENT_MAC_SOURCE = join(import.meta.dirname, 'permanent-mac.c');
const NETWORKMANAGER_RECIPE = [
  NETWORKMANAGER_SUITE,
  ...NETWORKMANAGER_PACKAGES,
  ...MASKED,
  JSON.stringify([FILES, NETWORKMANAGER_FILES, readFileSync(PERMANENT_MAC_SOURCE, 'utf8')]),
];

function networkManagerRootfs(log: Log): Promise<string> {
  const name = `node-${NETWORKMANAGER_SUITE}-networkmanager`;
  return cached(name, NETWORKMANAGER_RECIPE, log, (dir) => installNetworkManager(dir, log));
}

async function installNetworkManager(dir: string, log: Log, more: readonly string[] = []): Promise<void> {
  await install(dir, NETWORKMANAGER_SUITE, [...NETWORKMANAGER_PACKAGES, ...more], log);
  for (const [path, content] of Object.entries(NETWORKMANAGER_FILES)) await write(join(dir, path), content);
  await needCommands(['gcc'], log);
  await run('gcc', ['-shared', '-fPIC', '-O2', '-o', join(dir, PERMANENT_MAC), PERMANENT_MAC_SOURCE, '-ldl']);
}

const NETWORKMANAGER_NODE_FILES: Readonly<Record<string, string>> = {
  // The container runtime owns the network of pods, as in every distribution that runs Kubernetes.
  '/etc/NetworkManager/conf.d/10-pods.conf':
    '[keyfile]\nunmanaged-devices=interface-name:veth*;interface-name:cni0;interface-name:kube-*\n',
};

function networkManagerNodeRootfs(log: Log): Promise<string> {
  const files = JSON.stringify(NETWORKMANAGER_NODE_FILES);
  const recipe = [...NETWORKMANAGER_RECIPE, ...CONTAINER_PACKAGES, files];
  return cached(`node-${NETWORKMANAGER_SUITE}-networkmanager-node`, recipe, log, async (dir) => {
    await installNetworkManager(dir, log, CONTAINER_PACKAGES);
    await disableContainerd(dir);
    for (const [path, content] of Object.entries(NETWORKMANAGER_NODE_FILES))
      await write(join(dir, path), content);
  });
}

/** Tests enable the unit when its configuration exists. */
async function disableContainerd(dir: string): Promise<void> {
  await rm(join(dir, 'etc/systemd/system/multi-user.target.wants/containerd.service'), { force: true });
}

async function ifcfgRootfs(log: Log): Promise<string> {
  const suite = 'bookworm';
  const base = await networkManagerRootfs(log);
  const networkManager = await networkManagerWithIfcfg(suite, log);
  const recipe = [base, networkManager, RENAME_DEVICE, JSON.stringify(IFCFG_FILES)];
  return cached(`node-${suite}-networkmanager-ifcfg`, recipe, log, async (dir) => {
    // cp instead of fs.cp, which ignores owners.
    for (const layer of [base, networkManager])
      await run('cp', ['-a', `${layer}/.`, dir], { timeoutMs: 600_000 });
    for (const [path, content] of Object.entries(IFCFG_FILES)) await write(join(dir, path), content);
    await write(join(dir, 'usr/lib/udev/rename_device'), RENAME_DEVICE, 0o755);
  });
}

type Suite = 'bullseye' | 'bookworm' | 'trixie';

/** The layout of Debian's installer since version 10; from 12 on the packages make it themselves. */
const MERGED_USR = '--setup-hook=/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh';

async function install(dir: string, suite: Suite, packages: readonly string[], log: Log): Promise<void> {
  await needCommands(['mmdebstrap'], log);
  const options = ['--variant=minbase', '--quiet', `--include=${packages.join(',')}`];
  if (suite === 'bullseye') options.push(MERGED_USR);
  await run('mmdebstrap', [...options, suite, dir], { timeoutMs: 900_000 });
  await chmod(dir, 0o755);
  for (const unit of MASKED) await link('/dev/null', join(dir, 'etc/systemd/system', unit));
  for (const [path, content] of Object.entries(FILES)) await write(join(dir, path), content);
  const setup = 'etc/systemd/system/basic.target.wants/node-setup.service';
  await link('/etc/systemd/system/node-setup.service', join(dir, setup));
  // An empty file, because systemd then takes the node's given ID and does not run a first boot.
  await write(join(dir, 'etc/machine-id'), '');
}

async function write(path: string, content: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content, { mode });
}

async function link(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await symlink(target, path);
}
