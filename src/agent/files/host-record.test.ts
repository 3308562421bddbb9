import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Folder, nic } from '../../../test/support/agent.ts';
import { HostRecord, type Pending } from './host-record.ts';
import { openRoot, RECORD } from './managed-files.ts';

const PENDING: Pending = {
  bootId: 'b',
  startedAt: '2026-01-01T00:00:00.000Z',
  reload: true,
  others: ['-4 route add 10.5.0.0/16 via 10.0.0.9 dev ens6 proto 12'],
  files: [],
  links: { before: [], after: [] },
  machine: { links: [], routes: [] },
  applied: null,
};

test('a restore script that an earlier version armed finds its lines in the record', () => {
  using folder = new Folder();
  new HostRecord(openRoot(folder.path)).begin(PENDING);
  const text = readFileSync(join(folder.path, RECORD), 'utf8');
  expect(text).toContain('"startedAt": "2026-01-01T00:00:00.000Z"');
  expect(text).toContain('"reload": true');
  expect(new HostRecord(openRoot(folder.path)).pending).toEqual(PENDING);
});

test('a host with routing has a record of version 2, and any other host one that earlier agents read', () => {
  using folder = new Folder();
  const record = new HostRecord(openRoot(folder.path));
  const version = (): unknown =>
    (JSON.parse(readFileSync(join(folder.path, RECORD), 'utf8')) as { version: unknown }).version;
  const link = { name: 'multinic1', mac: nic(1).mac, up: true, mtu: 1500, addresses: [] };
  record.begin({ ...PENDING, links: { before: [link], after: [link] } });
  expect(version()).toBe(1);
  const routing = { rules: ['-4 from 192.0.2.10 lookup 20001 priority 20002'], routes: [], sysctls: {} };
  const routed: Pending = { ...PENDING, links: { before: [link], after: [{ ...link, routing }] } };
  record.begin(routed);
  expect(version()).toBe(2);
  expect(new HostRecord(openRoot(folder.path)).pending).toEqual(routed);
});

test('a record that is written can be read again, however many routes and names it has', () => {
  using folder = new Folder();
  const record = new HostRecord(openRoot(folder.path));
  /** A record of this many bytes; most of its characters take two bytes. */
  const bytesOf = (others: readonly string[]): number => {
    record.begin({ ...PENDING, others });
    return Buffer.byteLength(readFileSync(join(folder.path, RECORD)));
  };
  const limit = 16 * 1024 * 1024;
  const half = 'é'.repeat(4 * 1024 * 1024);
  const rest = limit - bytesOf([half, '']);
  expect(bytesOf([half, 'x'.repeat(rest)])).toBe(limit);
  expect(new HostRecord(openRoot(folder.path)).pending?.others).toHaveLength(2);
  // One byte more is refused, and the record is as before.
  expect(() => bytesOf([half, 'x'.repeat(rest + 1)])).toThrow(
    expect.objectContaining({ code: 'RecordTooLarge' }),
  );
  expect(() => bytesOf(['é'.repeat(limit - 2048)])).toThrow(
    expect.objectContaining({ code: 'RecordTooLarge' }),
  );
  expect(new HostRecord(openRoot(folder.path)).pending?.others).toHaveLength(2);
});
