import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Folder } from '../../../test/support/agent.ts';
import { openRoot } from '../files/managed-files.ts';
import { DeadMan } from '../live/dead-man.ts';
import { run, type InHost } from './host-command.ts';
import { LiveBoot } from '../live/live-boot.ts';
import { NetworkManager } from '../live/network-manager.ts';
import { Systemd } from './systemd.ts';

/** Exit codes by which `chroot` says that the command is missing on the host, may not be run, or lacks a library. */
const ending = (code: number): InHost => {
  const script = `echo "chroot: failed to run command" >&2; exit ${code}`;
  return () => ['chroot', '/', '/bin/sh', '-c', script];
};

describe('a command of the host that cannot start', () => {
  test.each([125, 126, 127])('ends with %i, and is reported as such', async (code) => {
    await expect(run(ending(code)(['x']))).rejects.toMatchObject({ code: 'CommandMissing' });
  });

  test('is no exit code of a command that runs', async () => {
    expect(await run(['/bin/sh', '-c', 'exit 126'])).toMatchObject({ code: 126 });
  });

  test('is no refusal of netplan', async () => {
    using folder = new Folder();
    mkdirSync(join(folder.path, 'usr/libexec/netplan'), { recursive: true });
    writeFileSync(join(folder.path, 'usr/libexec/netplan/generate'), '');
    const root = openRoot(folder.path);
    const host = [root, ending(126)] as const;
    const boot = new LiveBoot(...host, new NetworkManager(ending(126)), new Systemd(...host));
    await expect(boot.validate(['netplan'], join(folder.path, 'staging'))).rejects.toMatchObject({
      code: 'CommandMissing',
    });
  });

  test('is no missing plugin of NetworkManager', async () => {
    await expect(new NetworkManager(ending(127)).readsIfcfg()).rejects.toMatchObject({
      code: 'CommandMissing',
    });
  });

  test('leaves no script of a restore that was never armed', async () => {
    using folder = new Folder();
    const root = openRoot(folder.path);
    const pending = {
      bootId: '',
      startedAt: '',
      reload: false,
      others: [],
      files: [],
      links: { before: [], after: [] },
      machine: { links: [], routes: [] },
      applied: null,
    };
    const deadMan = new DeadMan(root, new Systemd(root, ending(127)));
    await expect(deadMan.arm(pending, 60)).rejects.toMatchObject({ code: 'CommandMissing' });
    expect(root.list('var/lib/multinic')).toEqual([]);
  });
});
