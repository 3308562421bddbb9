// Finds the renderer for an OS by the text that a kubelet reports as osImage.

import type { OsFamily, RendererKind } from './node.ts';

export interface Os {
  readonly family: OsFamily;
  readonly major: number;
  /** Absent: the OS, as shipped, lacks something that the agent needs. */
  readonly renderer?: RendererKind;
  /** The missing part, as a clause of a message. */
  readonly lacks?: string;
}

const UBUNTU = /^Ubuntu (\d+)\.\d+/;
const DEBIAN = /^Debian GNU\/Linux (\d+)/;
/** Red Hat's CoreOS has an OpenShift version in this place, and configures NICs in another way. */
const RHEL =
  /^(?:Red Hat Enterprise Linux(?: Server)?(?: release)?|CentOS(?: Linux| Stream)?(?: release)?|Rocky Linux|AlmaLinux|Oracle Linux(?: Server)?) (\d+)\b/;

/**
 * @param osImage `Ubuntu 22.04.4 LTS`, `Rocky Linux 8.9 (Green Obsidian)`
 * @returns undefined for an OS that we do not know
 */
export function osOfImage(osImage: string): Os | undefined {
  for (const [pattern, family] of PATTERNS) {
    const version = major(pattern, osImage);
    if (version !== undefined) return { family, major: version, ...TABLES[family](version) };
  }
  return undefined;
}

const PATTERNS: readonly (readonly [RegExp, OsFamily])[] = [
  [UBUNTU, 'ubuntu'],
  [DEBIAN, 'debian'],
  [RHEL, 'rhel'],
];

/** The restore timer is armed over D-Bus by TimersMonotonic, which came with systemd 237. */
const OLD_SYSTEMD =
  'its systemd is older than 237 and takes no restore timer, so nothing is ever changed there';

const TABLES: Readonly<Record<OsFamily, (major: number) => Pick<Os, 'renderer' | 'lacks'>>> = {
  // netplan came with 17.10; the first long-term release that has it is 18.04.
  ubuntu: (version) => (version < 18 ? { lacks: OLD_SYSTEMD } : { renderer: 'netplan' }),
  debian: (version) => (version < 10 ? { lacks: OLD_SYSTEMD } : { renderer: 'netplan' }),
  // RHEL 7 has systemd 219, and a NetworkManager (1.18) without `nmcli general reload`.
  rhel: (version) => (version < 8 ? { lacks: OLD_SYSTEMD } : { renderer: version < 9 ? 'ifcfg' : 'keyfile' }),
};

function major(pattern: RegExp, osImage: string): number | undefined {
  const digits = pattern.exec(osImage.trim())?.[1];
  return digits === undefined ? undefined : Number(digits);
}
