// The restore that comes if this process does not: a timer of the host's systemd, and a script that needs neither the
// image nor the pod.
import { randomBytes } from 'node:crypto';
import { MultinicError } from '../../api/errors.ts';
import { rendererOf } from '../../network/renderers.ts';
import { LOCK, RESTORE_SCRIPT as SCRIPT, RESTORE_UNIT as UNIT } from '../files/managed-files.ts';
import { fromCommands, inOrder } from '../host/foreign-state.ts';
import type { DeadManPort } from '../host/host.ts';
import type { Ipv6, Profiles } from '../host/machine.ts';
import { linkLocalOf, nameByMac, NO_LINK_LOCAL } from '../host/links.ts';
import { noAutoDefaultMac } from '../files/no-auto-default.ts';
import { isProfile } from '../plan/profiles.ts';
import type { Pending } from '../files/host-record.ts';
import type { Root } from '../files/root.ts';
import { execStart, type Systemd } from './systemd.ts';

/** The script waits so long for an agent that has the lock. */
const LOCK_WAIT_SECONDS = 300;

export class DeadMan implements DeadManPort {
  readonly #root: Root;
  readonly #systemd: Systemd;

  constructor(root: Root, systemd: Systemd) {
    this.#root = root;
    this.#systemd = systemd;
  }

  /** @throws MultinicError `RestoreNotArmed` */
  async arm(pending: Pending, seconds: number): Promise<void> {
    // A name of its own each run: systemd may remember the last one.
    const unit = `multinic-restore-${randomBytes(4).toString('hex')}`;
    this.#root.write(SCRIPT, restoreScript(pending), 0o700);
    this.#root.write(UNIT, `${unit}\n`, 0o600);
    // Whoever had the lock may have taken the script away.
    const script = `[ ! -e /${SCRIPT} ] || exec /bin/sh /${SCRIPT}`;
    const command = `exec flock -w ${LOCK_WAIT_SECONDS} /${LOCK} /bin/sh -c '${script}'`;
    // A timer is up to a minute late unless it is told how exact to be.
    const timer =
      `3 TimersMonotonic a(st) 1 OnActiveSec ${seconds * 1_000_000} AccuracyUSec t 100000 RemainAfterElapse b false`.split(
        ' ',
      );
    const { code, stderr } = await this.#systemd.call(
      'StartTransientUnit',
      'ssa(sv)a(sa(sv))',
      `${unit}.timer`,
      'fail',
      ...timer,
      '1',
      `${unit}.service`,
      '1',
      ...execStart(command),
    );
    if (code !== 0) {
      this.#forget();
      throw new MultinicError(
        'RestoreNotArmed',
        `the host's systemd takes no restore timer (${stderr.trim()}), and without one nothing is changed; look at D-Bus on the node`,
      );
    }
  }

  async disarm(): Promise<void> {
    const unit = this.#root.read(UNIT)?.content.trim();
    if (unit === undefined) return;
    await this.#systemd.call('StopUnit', 'ss', `${unit}.timer`, 'replace');
    this.#forget();
  }

  #forget(): void {
    this.#root.remove(UNIT);
    this.#root.remove(SCRIPT);
  }
}

/**
 * Plain sh with the host's `ip`: puts files and links back to what the record says they were. Idempotent; does nothing
 * when the change it is about was finished or undone. The record stays: the next agent finds that nothing is left to
 * undo, and says so.
 */
export function restoreScript(pending: Pending): string {
  const { startedAt, files, links, profiles, others } = pending;
  const after = new Map(links.after.map(({ mac, addresses }) => [mac, addresses]));
  return `${[
    '#!/bin/sh',
    `# Restores this node's network as it was before ${startedAt}. Runs under flock on /${LOCK}.`,
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    `grep -qF ${quote(`"startedAt": "${startedAt}"`)} /var/lib/multinic/record.json || exit 0`,
    'ok=yes renamed=',
    ...NIC_BY_MAC,
    ...NAMED,
    ...AWAIT_NETWORKD,
    ...giveBack(others, links.before),
    ...files.toReversed().flatMap(({ path, before }) => restoreFile(`/${path}`, before)),
    ...links.before.flatMap(({ mac, ipv6 }) => (ipv6 === undefined ? [] : onNic(mac, setIpv6(mac, ipv6)))),
    // All step aside first, so that names that had changed places are free.
    ...links.before.flatMap(({ mac, name }, index) =>
      onNic(mac, [
        `[ "$n" = ${quote(name)} ] || { renamed=yes; ip link set "$n" down; ip link set "$n" name mnrestore${index}; }`,
      ]),
    ),
    ...links.before.flatMap(({ mac, name }) =>
      onNic(mac, [`[ "$n" = ${quote(name)} ] || named ${quote(name)} ${nameByMac(mac)} || ok=no`]),
    ),
    // networkd configures a NIC anew that it has a file for, and drops what others have.
    `[ -z "$renamed" ] || { sleep 0.1; ${others.length === 0 ? '' : 'give_back 2>/dev/null; '}await_networkd; }`,
    ...reloadManagers(files.map(({ path }) => path)),
    ...(profiles === undefined ? [] : settleProfiles(pending, profiles)),
    ...links.before.flatMap(({ mac, mtu, up, addresses, leases = [] }) => {
      const give = addresses.map(
        (address) =>
          `ip addr replace ${quote(address)} dev "$n"${address.includes(':') ? '' : ' brd +'} || ok=no`,
      );
      const given = (after.get(mac) ?? []).filter((each) => ![...addresses, ...leases].includes(each));
      return onNic(mac, [
        `ip link set "$n" mtu ${mtu} || ok=no`,
        `ip link set "$n" ${up ? 'up' : 'down'} || ok=no`,
        ...give,
        ...given.map((address) => `ip addr del ${quote(address)} dev "$n" 2>/dev/null`),
        // Where promote_secondaries is off, an address that leaves has taken those of its subnet along.
        ...give,
      ]);
    }),
    ...(others.length === 0 ? [] : ['give_back 2>/dev/null; sleep 3; give_back 2>/dev/null']),
    // Else the next agent does it all again.
    `[ $ok = no ] || rm -f /${SCRIPT}`,
    'sync',
    'exit 0',
  ].join('\n')}\n`;
}

/**
 * By the permanent MAC where there is one: a bond gives its members its own. The first, because VLANs come later. Of a
 * line only what is the link's own: those of its virtual functions follow it there.
 */
const NIC_BY_MAC = [
  'nic() {',
  '  links=$(ip -o link show)',
  String.raw`  own='^[^\]*\\ *link/ether'`,
  '  { echo "$links" | grep "$own [^ ]* .*permaddr $1" || echo "$links" | grep -v " permaddr " | grep "$own $1 "; } |',
  String.raw`    sed -n -e 's/^[0-9]*: \([^:@]*\).*/\1/p' -e q`,
  '}',
];

/**
 * Gives `$n` its name again, which udev (systemd 245 to 253) makes another name of it with each rename: the kernel takes
 * it for taken then. Where another NIC has it by now, that one keeps it, and this gets the second.
 */
const NAMED = [
  'named() {',
  '  for try in 1 2 3 4 5; do',
  '    ip link property del dev "$n" altname "$1" 2>/dev/null',
  '    ip link set "$n" name "$1" && return',
  '    [ ! -e "/sys/class/net/$1" ] || break',
  '    sleep 0.2',
  '  done',
  '  ip link property del dev "$n" altname "$2" 2>/dev/null',
  '  ip link set "$n" name "$2" && [ -e "/sys/class/net/$1" ]',
  '}',
];

/** Before the link comes up again. The kernel does not take away the link-local address that it makes, also on a link that is down. */
function setIpv6(mac: string, { acceptRa, addrGenMode }: Ipv6): string[] {
  const drop = `ip addr del ${linkLocalOf(mac)}/64 dev "$n" 2>/dev/null`;
  return [
    'c=/proc/sys/net/ipv6/conf/$n',
    `echo ${acceptRa} >"$c/accept_ra"`,
    `if [ "$(cat "$c/addr_gen_mode")" != ${addrGenMode} ]; then`,
    `  echo ${addrGenMode} >"$c/addr_gen_mode"`,
    addrGenMode === NO_LINK_LOCAL ? `  ${drop}` : `  [ -n "$(ip -o link show dev "$n" up)" ] || ${drop}`,
    'fi',
  ];
}

/** Commands on a NIC that is there, named `$n`. */
function onNic(mac: string, commands: readonly string[]): string[] {
  return [`if n=$(nic ${quote(mac)}) && [ -n "$n" ]; then`, ...commands.map((each) => `  ${each}`), 'fi'];
}

/** Called more than once: an address that has just come is no source of a route yet. What is there, or has another way by now, is refused. */
function giveBack(others: readonly string[], links: Pending['links']['before']): string[] {
  if (others.length === 0) return [];
  return [
    'give_back() {',
    ...links.map(({ mac }, index) => `  n${index}=$(nic ${quote(mac)})`),
    ...inOrder(fromCommands(others)).map((command) => `  ip ${withNames(command, links)}`),
    '}',
  ];
}

/** The words of a command of `ip`, quoted, with the names that these links have when it runs. */
function withNames(command: string, links: Pending['links']['before']): string {
  const words = command.split(/\s+/);
  return words
    .map((word, index) => {
      const at = words[index - 1] === 'dev' ? links.findIndex(({ name }) => name === word) : -1;
      return at === -1 ? quote(word) : `"$n${at}"`;
    })
    .join(' ');
}

/** As LiveHost.reload does it, for the managers whose files have changed, if the run came to it. */
function reloadManagers(paths: readonly string[]): string[] {
  const commands = [
    ...(paths.some(rendererOf('netplan').manages)
      ? ['timeout 60 netplan apply || ok=no', 'await_networkd']
      : []),
    ...(paths.some(isProfile) ? ['timeout 60 systemctl restart NetworkManager || ok=no'] : []),
  ];
  if (commands.length === 0) return [];
  return [
    `if grep -qF '"reload": true' /var/lib/multinic/record.json; then`,
    ...commands.map((each) => `  ${each}`),
    'fi',
  ];
}

/** `isSettled` of networkd.ts, and as long: what is given back in the midst of its work may go again, or come first. */
const AWAIT_NETWORKD = [
  'through() {',
  '  for l in /run/systemd/netif/links/*; do',
  '    [ -e "$l" ] || continue',
  `    grep -Eq '^OPER_STATE=(off|no-carrier|dormant)$' "$l" ||`,
  `      ! grep -Eq '^ADMIN_STATE=(pending|initialized|configuring)$' "$l" || return 1`,
  '  done',
  '}',
  'await_networkd() { for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do through && break; sleep 0.2; done; }',
];

/** As LiveHost.settle does it, less the looking. The links have their names again; a profile goes by uuid or file. */
function settleProfiles({ files, links }: Pending, profiles: Profiles): string[] {
  const paths = files.map(({ path }) => path);
  return [
    'uuid() { case "$1" in /*) timeout 10 nmcli -g UUID,FILENAME connection show | sed -n "s|:$1$||p" ;; *) echo "$1" ;; esac; }',
    // What NetworkManager made by itself asks for DHCP, which may never answer.
    'patience() { timeout 10 nmcli -g UUID,FILENAME connection show | grep -Eq "^$1:(/var)?/run/" && echo 0 || echo 5; }',
    'up() { timeout 10 nmcli --wait "$(patience "$1")" connection up uuid "$1" ifname "$2"; }',
    ...(paths.some((path) => noAutoDefaultMac(path) !== undefined)
      ? ['timeout 10 nmcli general reload conf']
      : []),
    ...paths.filter(isProfile).map((path) => `timeout 10 nmcli connection load ${quote(`/${path}`)}`),
    ...links.before.flatMap(({ mac }) => {
      const profile = profiles[mac];
      if (profile === undefined || profile === null) return [];
      // NetworkManager learns of a name later than the kernel.
      const up = `up "$(uuid ${quote(profile)})" "$n"`;
      return onNic(mac, [
        'ip link set "$n" up',
        `done=no; for try in 1 2 3; do ${up} && done=yes && break; sleep 1; done; [ $done = yes ] || ok=no`,
      ]);
    }),
  ];
}

function restoreFile(
  path: string,
  before: { readonly content: string; readonly mode: number } | null,
): string[] {
  if (before === null) return [`rm -f ${quote(path)} || ok=no`];
  const temporary = path.replace(/[^/]*$/, (name) => `.multinic-tmp-restore-${name}`);
  const content = Buffer.from(before.content).toString('base64');
  return [
    `printf %s ${quote(content)} | base64 -d > ${quote(temporary)} && chmod ${before.mode.toString(8)} ${quote(temporary)} && mv -f ${quote(temporary)} ${quote(path)} || ok=no`,
  ];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
