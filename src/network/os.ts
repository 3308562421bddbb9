// Which renderer an OS wants, from the text that a kubelet reports as osImage.

import type { OsFamily, RendererKind } from './node.ts';

export interface Os {
  readonly family: OsFamily;
  readonly major: number;
  readonly renderer: RendererKind;
}

const UBUNTU = /^Ubuntu (\d+)\.\d+/;
const DEBIAN = /^Debian GNU\/Linux (\d+)/;
/** Red Hat's CoreOS has an OpenShift version in this place, and configures NICs in another way. */
const RHEL =
  /^(?:Red Hat Enterprise Linux(?: Server)?(?: release)?|CentOS(?: Linux| Stream)?(?: release)?|Rocky Linux|AlmaLinux|Oracle Linux(?: Server)?) (\d+)\b/;

/**
 * @param osImage `Ubuntu 22.04.4 LTS`, `Rocky Linux 8.9 (Green Obsidian)`
 * @returns undefined for an OS that we have no renderer for
 */
export function osOfImage(osImage: string): Os | undefined {
  const ubuntu = major(UBUNTU, osImage);
  // netplan came with 17.10; the first long-term release that has it is 18.04.
  if (ubuntu !== undefined)
    return ubuntu < 18 ? undefined : { family: 'ubuntu', major: ubuntu, renderer: 'netplan' };
  const debian = major(DEBIAN, osImage);
  if (debian !== undefined)
    return debian < 10 ? undefined : { family: 'debian', major: debian, renderer: 'netplan' };
  const rhel = major(RHEL, osImage);
  if (rhel === undefined || rhel < 7) return undefined;
  return { family: 'rhel', major: rhel, renderer: rhel < 9 ? 'ifcfg' : 'keyfile' };
}

function major(pattern: RegExp, osImage: string): number | undefined {
  const digits = pattern.exec(osImage.trim())?.[1];
  return digits === undefined ? undefined : Number(digits);
}
