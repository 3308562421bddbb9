// NetworkManager with its ifcfg-rh plugin, which Debian leaves out: its own source, built in a system of its own. The
// daemon too, because Debian's exports to plugins only what those need that it has.
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cached, type Log } from './cache.ts';
import { run } from './command.ts';
import { needCommands } from './packages.ts';

const PACKAGES = [
  'dpkg-dev',
  'gcc',
  'gettext',
  'libc6-dev',
  'libdbus-1-dev',
  'libglib2.0-dev',
  'libgnutls28-dev',
  'libndp-dev',
  'libsystemd-dev',
  'libudev-dev',
  'meson',
  'perl',
  'pkg-config',
  'python3',
  'uuid-dev',
  'xsltproc',
];

const OPTIONS = [
  '--prefix=/usr',
  '--sysconfdir=/etc',
  '--localstatedir=/var',
  '--libexecdir=lib/NetworkManager',
  '-Dcrypto=gnutls',
  '-Ddbus_conf_dir=/usr/share/dbus-1/system.d',
  '-Difcfg_rh=true',
  '-Dmore_asserts=0',
  '-Dsuspend_resume=systemd',
  ...['libaudit', 'session_tracking', 'systemdsystemunitdir', 'tests', 'udev_dir'].map(
    (key) => `-D${key}=no`,
  ),
  ...[
    'concheck',
    'ebpf',
    'firewalld_zone',
    'ifupdown',
    'introspection',
    'libpsl',
    'modem_manager',
    'nmcli',
    'nmtui',
    'ovs',
    'polkit',
    'ppp',
    'qt',
    'selinux',
    'session_tracking_consolekit',
    'vapi',
    'wext',
    'wifi',
  ].map((key) => `-D${key}=false`),
  '-Dreadline=none',
];

const BUILD = `
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list > /etc/apt/sources.list.d/source.list
apt-get --quiet update
mkdir /build
cd /build
apt-get --quiet source network-manager
cd network-manager-*/
meson setup build ${OPTIONS.join(' ')}
plugin=src/core/settings/plugins/ifcfg-rh
nice -n 19 ninja -C build src/core/NetworkManager $plugin/libnm-settings-plugin-ifcfg-rh.so
plugins=$(sed -n 's/^#define NMPLUGINDIR "\\(.*\\)"$/\\1/p' build/config-extra.h)
install -D --strip build/src/core/NetworkManager --target-directory=/result/usr/sbin
install -D --strip build/$plugin/*.so --target-directory=/result$plugins
install -D --mode=644 $plugin/nm-ifcfg-rh.conf --target-directory=/result/usr/share/dbus-1/system.d
`;

/** @returns a folder of files to be laid over those of Debian's package, of the same version */
export function networkManagerWithIfcfg(suite: string, log: Log): Promise<string> {
  return cached(`networkmanager-ifcfg-${suite}`, [suite, ...PACKAGES, BUILD], log, async (dir) => {
    await needCommands(['mmdebstrap'], log);
    const system = join(dir, 'build-system');
    const include = `--include=${PACKAGES.join(',')}`;
    const options = { timeoutMs: 1_800_000 };
    await run('mmdebstrap', ['--variant=minbase', '--quiet', include, suite, system], options);
    // bash opens files of /proc. The mount ends with the command.
    const inside = 'mount -t proc proc "$0/proc"; exec chroot "$0" sh -ec "$1"';
    await run('unshare', ['--mount', 'sh', '-ec', inside, system, BUILD], options);
    await cp(join(system, 'result'), dir, { recursive: true });
    await rm(system, { recursive: true });
  });
}
