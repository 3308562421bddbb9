import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openRoot, RECORD } from './managed-files.ts';
import type { Root } from './root.ts';

const PATH = 'etc/netplan/90-multinic0.yaml';
let dir: string;
let root: Root;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'multinic-root-'));
  mkdirSync(join(dir, 'host/etc'), { recursive: true });
  mkdirSync(join(dir, 'outside'));
  root = openRoot(join(dir, 'host'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const inHost = (path: string): string => join(dir, 'host', path);

describe('links on the host', () => {
  test.each([
    ['absolute', '/srv/netplan'],
    ['relative', '../srv/netplan'],
    ['far too far up', '../../../../../../srv/netplan'],
  ])('an %s link on the way leads inside the root', (_, target) => {
    symlinkSync(target, inHost('etc/netplan'));
    root.write(PATH, 'content', 0o600);
    expect(readFileSync(inHost('srv/netplan/90-multinic0.yaml'), 'utf8')).toBe('content');
    expect(root.read(PATH)).toEqual({ content: 'content', mode: 0o600 });
    expect(readdirSync(join(dir, 'outside'))).toEqual([]);
  });

  test('a link to a real folder outside does not lead there', () => {
    symlinkSync(join(dir, 'outside'), inHost('etc/netplan'));
    root.write(PATH, 'content', 0o600);
    expect(readdirSync(join(dir, 'outside'))).toEqual([]);
    expect(root.list('etc/netplan')).toEqual(['90-multinic0.yaml']);
  });

  test('a link in the place of a file is neither read nor followed', () => {
    mkdirSync(inHost('etc/netplan'));
    writeFileSync(join(dir, 'outside/secret'), 'secret');
    symlinkSync(join(dir, 'outside/secret'), inHost(PATH));
    expect(() => root.read(PATH)).toThrow(/is a link, so it is not ours/);
    root.write(PATH, 'content', 0o600);
    expect(readFileSync(join(dir, 'outside/secret'), 'utf8')).toBe('secret');
    expect(root.read(PATH)?.content).toBe('content');
  });

  test('backups stay in the root too', () => {
    root.write(PATH, 'content', 0o600);
    symlinkSync(join(dir, 'outside'), inHost('etc/netplan/backup'));
    const copy = root.backup(PATH, new Date());
    expect(readdirSync(join(dir, 'outside'))).toEqual([]);
    expect(root.readForeign(copy ?? '')?.content).toBe('content');
  });

  test('links that go round in circles are refused', () => {
    symlinkSync('/etc/b', inHost('etc/a'));
    symlinkSync('/etc/a', inHost('etc/b'));
    symlinkSync('/etc/a', inHost('etc/netplan'));
    expect(() => root.list('etc/netplan')).toThrow(expect.objectContaining({ code: 'LinkLoop' }));
  });
});

test.each([
  'etc/passwd',
  'etc/netplan/50-cloud-init.yaml',
  'etc/netplan/90-multinic1.yaml',
  'etc/netplan/backup/x',
])('%s is not ours to change', (path) => {
  const refused = expect.objectContaining({ code: 'UnmanagedPath' });
  expect(() => root.write(path, '', 0o600)).toThrow(refused);
  expect(() => root.remove(path)).toThrow(refused);
});

test.each(['../outside/x', '/etc/passwd', 'etc//x', 'etc/./x', 'etc/\0'])(
  '%j is no path of a host',
  (path) => {
    expect(() => root.resolve(path)).toThrow(expect.objectContaining({ code: 'InvalidPath' }));
  },
);

test('a folder, a device or a huge file is not ours', () => {
  mkdirSync(inHost(PATH), { recursive: true });
  expect(() => root.read(PATH)).toThrow(expect.objectContaining({ code: 'ForeignFile' }));
  rmSync(inHost(PATH), { recursive: true });
  writeFileSync(inHost(PATH), 'x'.repeat(64 * 1024 + 1));
  expect(() => root.read(PATH)).toThrow(/larger than 64 KiB/);
});

test('the mode is what was asked for, whatever the umask', () => {
  const before = process.umask(0o077);
  try {
    root.write('etc/systemd/network/70-multinic0.link', '', 0o644);
  } finally {
    process.umask(before);
  }
  expect(statSync(inHost('etc/systemd/network/70-multinic0.link')).mode & 0o777).toBe(0o644);
});

test('backups keep content and mode, differ in name within a second, and the newest five stay', () => {
  expect(root.backup(PATH, at(0))).toBeUndefined();
  for (let second = 0; second < 7; second += 1) {
    root.write(PATH, `content ${second}`, 0o600);
    root.backup(PATH, at(second));
  }
  root.write(PATH, 'once more', 0o600);
  expect(root.backup(PATH, at(6))).toBe('etc/netplan/backup/90-multinic0.yaml.20250121T103206Z-2');
  expect(readdirSync(inHost('etc/netplan/backup'))).toEqual([
    '90-multinic0.yaml.20250121T103203Z',
    '90-multinic0.yaml.20250121T103204Z',
    '90-multinic0.yaml.20250121T103205Z',
    '90-multinic0.yaml.20250121T103206Z',
    '90-multinic0.yaml.20250121T103206Z-2',
  ]);
  const newest = inHost('etc/netplan/backup/90-multinic0.yaml.20250121T103206Z');
  expect(readFileSync(newest, 'utf8')).toBe('content 6');
  expect(statSync(newest).mode & 0o777).toBe(0o600);
});

test('what a killed run left half-written is cleared, and nothing else', () => {
  mkdirSync(inHost('etc/netplan/backup'), { recursive: true });
  writeFileSync(inHost('.multinic-tmp-0123'), '');
  writeFileSync(inHost('etc/netplan/.multinic-tmp-1234'), '');
  writeFileSync(inHost('etc/netplan/backup/.multinic-tmp-5678'), '');
  writeFileSync(inHost('etc/netplan/50-cloud-init.yaml'), '');
  root.removeTemporary(['', 'etc/netplan']);
  expect(readdirSync(inHost('')).filter((name) => name.startsWith('.'))).toEqual([]);
  expect(readdirSync(inHost('etc/netplan'), { recursive: true }).sort()).toEqual([
    '50-cloud-init.yaml',
    'backup',
  ]);
});

test('a file that cannot be written leaves no half of it, and says why', () => {
  mkdirSync(inHost(`${RECORD}/in-the-way`), { recursive: true });
  expect(() => root.write(RECORD, 'content', 0o600)).toThrow(expect.objectContaining({ code: 'HostIo' }));
  expect(readdirSync(inHost('var/lib/multinic'))).toEqual(['record.json']);
});

function at(second: number): Date {
  return new Date(Date.UTC(2025, 0, 21, 10, 32, second));
}
