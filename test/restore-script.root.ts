// The script of the host's own restore, judged by shellcheck: restore.sh alone, and with the data of a change.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Pending } from '../src/agent/files/host-record.ts';
import { restoreScript } from '../src/agent/live/restore-script.ts';
import { Folder, nic } from './support/agent.ts';

const PENDING: Pending = {
  bootId: 'b',
  startedAt: '2026-01-01T00:00:00.000Z',
  reload: false,
  profiles: { [nic(0).mac]: '580c9022-04e9-3acb-a492-f4ec1686e2f1' },
  others: ['-4 route add 10.5.0.0/16 via 10.0.0.9 dev ens5 proto 12', 'neigh add 10.0.0.9 dev eth0'],
  files: [
    { path: 'etc/netplan/90-multinic0.yaml', before: null, after: 'a' },
    { path: 'etc/netplan/91-multinic1.yaml', before: { content: "it's old\n", mode: 0o600 }, after: null },
  ],
  links: {
    before: [
      {
        name: 'ens5',
        mac: nic(0).mac,
        up: true,
        mtu: 1500,
        addresses: ['10.0.0.1/24'],
        ipv6: { acceptRa: 1, addrGenMode: 0 },
      },
    ],
    after: [{ name: 'multinic0', mac: nic(0).mac, up: true, mtu: 9000, addresses: ['10.0.0.2/24'] }],
  },
  machine: { links: [], routes: [] },
  applied: null,
};

const complaints = (file: string, ...options: string[]): string => {
  try {
    return execFileSync('shellcheck', ['-s', 'sh', ...options, file], { encoding: 'utf8' });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
};

test('restore.sh', () => {
  expect(complaints(join(import.meta.dirname, '../src/agent/live/restore.sh'))).toBe('');
});

test('the script of a change', () => {
  using folder = new Folder();
  const file = join(folder.path, 'restore.sh');
  writeFileSync(file, restoreScript(PENDING));
  // The directive of restore.sh stands at the head of a file only.
  expect(complaints(file, '--exclude=SC2317,SC2329')).toBe('');
});
