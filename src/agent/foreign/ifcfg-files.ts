// The ifcfg files of a host, as their readers choose them.
import type { ReadFolder } from './boot-folders.ts';
import { shellValues } from './ini-entries.ts';

/** The shell assignments of an ifcfg file. */
export interface Ifcfg {
  /** Path on the host. */
  readonly file: string;
  readonly values: ReadonlyMap<string, string>;
}

export const IFCFG_FOLDER = 'etc/sysconfig/network-scripts';

/**
 * Whether a file is an ifcfg file: its name has no suffix of an editor's or a package manager's copy. NetworkManager
 * reads copies with other suffixes (`.rpmsave`).
 */
export function isIfcfg(name: string): boolean {
  return /^ifcfg-(?!.*(\.(rpmnew|orig|bak|rej|augnew|augtmp)|~)$)/.test(name);
}

/** ifcfg files in the order of their names, without the copies that no program reads. */
export function readIfcfgs(read: ReadFolder): Ifcfg[] {
  return [...read(IFCFG_FOLDER)]
    .filter(([name]) => isIfcfg(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, content]) => ({ file: `${IFCFG_FOLDER}/${name}`, values: shellValues(content) }));
}

/** Whether the value of a switch such as ONBOOT means off. A missing value does not. */
export function isNo(value = ''): boolean {
  return /^(no|false|n|f|0)$/i.test(value);
}

/** Whether the value of a switch such as VLAN means on. A missing value does not. */
export function isYes(value = ''): boolean {
  return /^(yes|true|t|y|1)$/i.test(value);
}
