// The settings of the kernel for a NIC with source routing: one file a NIC, which systemd-sysctl reads at boot and udev
// when the NIC comes. All renderers write it.

import { indexOfName, type Interface } from './interface.ts';
import type { Files } from './renderer.ts';
import { routingOf } from './source-routing.ts';
import { HEADER } from './vocabulary.ts';

export const SYSCTL_FOLDER = 'etc/sysctl.d';
const FILE = /^etc\/sysctl\.d\/90-multinic-(multinic[0-9]+)\.conf$/;

/** Empty: the NIC needs no settings. */
export function sysctlFile(nic: Interface): Files {
  const { sysctls } = routingOf(nic);
  if (sysctls.size === 0) return new Map();
  const lines = [...sysctls].map(([key, value]) => `${key} = ${value}\n`).join('');
  return new Map([[`${SYSCTL_FOLDER}/90-multinic-${nic.name}.conf`, `${HEADER}\n${lines}`]]);
}

/** The NIC whose settings a path has. */
export function nameOfSysctlFile(path: string): string | undefined {
  const name = FILE.exec(path)?.[1];
  return name !== undefined && indexOfName(name) !== undefined ? name : undefined;
}
