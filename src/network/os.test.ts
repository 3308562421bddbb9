import { expect, test } from 'vitest';
import { osOfImage } from './os.ts';

test.each([
  ['Ubuntu 18.04.6 LTS', 'ubuntu', 18, 'netplan'],
  ['Ubuntu 22.04.4 LTS', 'ubuntu', 22, 'netplan'],
  ['Ubuntu 24.10', 'ubuntu', 24, 'netplan'],
  ['Debian GNU/Linux 10 (buster)', 'debian', 10, 'netplan'],
  ['Debian GNU/Linux 12 (bookworm)', 'debian', 12, 'netplan'],
  ['CentOS Stream 8', 'rhel', 8, 'ifcfg'],
  ['CentOS Stream 9', 'rhel', 9, 'keyfile'],
  ['Red Hat Enterprise Linux 8.10 (Ootpa)', 'rhel', 8, 'ifcfg'],
  ['Red Hat Enterprise Linux 9.4 (Plow)', 'rhel', 9, 'keyfile'],
  ['Rocky Linux 8.9 (Green Obsidian)', 'rhel', 8, 'ifcfg'],
  ['Rocky Linux 10.0 (Red Quartz)', 'rhel', 10, 'keyfile'],
  ['AlmaLinux 9.3 (Shamrock Pampas Gallinule)', 'rhel', 9, 'keyfile'],
  ['Oracle Linux Server 8.9', 'rhel', 8, 'ifcfg'],
])('%s', (image, family, major, renderer) => {
  expect(osOfImage(image)).toEqual({ family, major, renderer });
});

test.each([
  ['CentOS Linux 7 (Core)', 'rhel', 7],
  ['Red Hat Enterprise Linux Server 7.9 (Maipo)', 'rhel', 7],
  ['Oracle Linux Server 7.9', 'rhel', 7],
  ['CentOS release 6.10', 'rhel', 6],
  ['Ubuntu 17.10', 'ubuntu', 17],
  ['Ubuntu 16.04.7 LTS', 'ubuntu', 16],
  ['Debian GNU/Linux 9 (stretch)', 'debian', 9],
])('%s is too old: its systemd takes no restore timer', (image, family, major) => {
  expect(osOfImage(image)).toEqual({ family, major, lacks: expect.stringContaining('systemd') });
});

test.each([
  'Red Hat Enterprise Linux CoreOS 414.92.202310',
  'Flatcar Container Linux by Kinvolk 3510.2.1',
  'Ubuntu Core 22',
  'Debian GNU/Linux trixie/sid',
  'Windows Server 2022',
  '',
])('no renderer for %j', (image) => {
  expect(osOfImage(image)).toBeUndefined();
});
