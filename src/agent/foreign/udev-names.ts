// Finds the name that udev gives a NIC at boot, from rules, from `.link` files, and from ifcfg files by the helper
// rename_device.
import type { ReadFolder } from './boot-folders.ts';
import type { Ifcfg } from './ifcfg-files.ts';
import { udevRules } from './ini-entries.ts';
import {
  globMatches,
  mergedFiles,
  systemdFileFor,
  valuesOf,
  type BootNic,
  type SystemdFile,
} from './systemd-files.ts';

/** A name, and the file that gives it. */
export interface GivenName {
  readonly file: string;
  /** Absent: the NIC gets the kernel's name, or a name by one of udev's policies. */
  readonly name?: string;
  /** The `.link` file, if a `.link` file gives the name. */
  readonly link?: SystemdFile;
}

export const RULES_FOLDERS = [
  'etc/udev/rules.d',
  'run/udev/rules.d',
  'usr/lib/udev/rules.d',
  'lib/udev/rules.d',
];

/** The rules file in which udev takes the name of a .link file, unless an earlier rule gave a name. */
const NET_SETUP_LINK = '80-net-setup-link.rules';

/**
 * Finds the name of a NIC. The last rule that gives a name wins; a .link file's name counts only if no earlier rule
 * gave one.
 */
export function givenName(nic: BootNic, ifcfgs: readonly Ifcfg[], read: ReadFolder): GivenName | undefined {
  const file = systemdFileFor('.link', nic, read);
  const link = file && linkName(file);
  let given: GivenName | undefined;
  for (const { name, file: path, content } of mergedFiles(RULES_FOLDERS, read)) {
    if (name === NET_SETUP_LINK) given ??= link;
    for (const rule of udevRules(content)) {
      // netplan's own rules are for NICs with a driver.
      if (/DRIVERS=="\?\*"/.test(rule) && nic.driver === undefined) continue;
      const renamed = /PROGRAM==?"[^"]*\/rename_device"/.test(rule) ? renameDevice(nic, ifcfgs) : undefined;
      if (renamed !== undefined) given = renamed;
      const named = /\bNAME:?="([^"$%]+)"/.exec(rule)?.[1];
      if (named !== undefined && isFor(rule, nic)) given = { file: path, name: named };
    }
  }
  return given ?? link;
}

/**
 * The name that a .link file gives. A policy in the file comes before its name, and the agent cannot know whether the
 * policy finds a name.
 */
function linkName(link: SystemdFile): GivenName {
  const name = valuesOf(link.entries, 'Link.Name').at(-1);
  const policies = valuesOf(link.entries, 'Link.NamePolicy');
  return { file: link.file, link, ...(name !== undefined && policies.length === 0 && { name }) };
}

/**
 * Whether a rule is for a NIC: the rule compares an address or a kernel's name, and each of its comparisons fits the
 * NIC.
 */
function isFor(rule: string, { mac, names }: BootNic): boolean {
  const addresses = patternsOf(rule, 'ATTRS?\\{address\\}');
  const kernel = patternsOf(rule, 'KERNEL');
  if (addresses.length === 0 && kernel.length === 0) return false;
  return (
    addresses.every((patterns) => patterns.some((each) => globMatches(each.toLowerCase(), mac))) &&
    kernel.every((patterns) => patterns.some((each) => names.some((name) => globMatches(each, name))))
  );
}

/** The alternatives of each comparison of a key in a rule. */
function patternsOf(rule: string, key: string): string[][] {
  return [...rule.matchAll(new RegExp(`\\b${key}=="([^"]*)"`, 'g'))].map(([, value = '']) =>
    value.split('|'),
  );
}

/**
 * Chooses as initscripts' helper does: the file with a name that the NIC has already, or else the last file. ONBOOT
 * does not count.
 */
function renameDevice({ mac, names }: BootNic, ifcfgs: readonly Ifcfg[]): GivenName | undefined {
  const candidates = ifcfgs.flatMap(({ file, values }): GivenName[] => {
    const name = values.get('DEVICE');
    const own = values.get('HWADDR')?.toLowerCase() === mac;
    return own && name !== undefined ? [{ file, name }] : [];
  });
  return candidates.find(({ name }) => names.includes(name ?? '')) ?? candidates.at(-1);
}
