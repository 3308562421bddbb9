// A revert by plain git that changes another interface's file, because git takes the two files for a rename.

import { oid } from './support/oid.ts';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { NodeBranchPolicy } from '../src/history/policy.ts';
import { nodeRef } from '../src/network/node-ref.ts';
import { Fleet, HOUR_MS } from './support/fleet.ts';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';

test('is refused, and git revert without rename detection reverts the right file', async () => {
  await using fleet = await Fleet.open(['a']);
  const want = (macAddress: string, name: string, mtu: number): void =>
    fleet.write('cr', {
      nodeConfigs: [
        {
          attachedNodeId: 'i-a',
          attachedNodeName: 'a',
          interfaces: [{ macAddress, name, cidr: '10.0.0.10/24', mtu }],
        },
      ],
    });
  want(A, 'multinic0', 1500);
  await fleet.pass();
  const file = 'etc/netplan/90-multinic0.yaml';
  const text = (await fleet.reader.files((await fleet.branch('a')).tip.oid)).get(file)!;
  const edit = await fleet.push('a', { [file]: text.replace('mtu: 1500', 'mtu: 1400') }, 'smaller');
  fleet.now += 2 * HOUR_MS;
  want(B, 'multinic5', 1400);
  await fleet.pass();
  const tip = (await fleet.branch('a')).tip.oid;

  const copy = join(fleet.dir, 'copy');
  await execa('git', ['clone', '-q', '-b', 'node/a', join(fleet.dir, 'store.git'), copy]);
  const git = (...args: string[]) =>
    execa('git', ['-C', copy, '-c', 'user.name=Alice', '-c', 'user.email=alice@example.org', ...args], {
      env: { GIT_COMMITTER_DATE: `${fleet.now / 1000} +0000`, GIT_CONFIG_GLOBAL: '/dev/null' },
      reject: false,
      all: true,
    });
  // Before git 2.50 the usual strategy, ort, ignores the option.
  const careful = await git('revert', '--no-edit', '--strategy=recursive', '-X', 'no-renames', edit);
  expect(careful.all).toMatch(/CONFLICT \(modify\/delete\)/);
  await git('revert', '--abort');

  // Without it git merges the revert into the file of the other MAC, and says nothing.
  const careless = await git('revert', '--no-edit', edit);
  expect(careless.exitCode).toBe(0);
  const { stdout: made } = await git('rev-parse', 'HEAD');
  expect((await git('show', '--stat', '--format=%b', 'HEAD')).stdout).toMatch(/multinic5\.yaml/);
  await fleet.git(['fetch', '-q', copy, 'HEAD']);
  const push = {
    principal: { name: 'alice', role: 'write' },
    ref: nodeRef('a'),
    old: tip,
    new: oid(made),
  } as const;
  const policy = new NodeBranchPolicy(() => fleet.now);
  await expect(policy.check(push, fleet.reader)).rejects.toMatchObject({
    code: 'StrayRevert',
    message: expect.stringMatching(
      `says that it reverts ${edit.slice(0, 10)}, and changes multinic5 \\(${B}\\) besides.*git revert --strategy=recursive -X no-renames, or multinic rollback a`,
    ),
  });

  // A revert of the branch's newest commit still works.
  await git('reset', '-q', '--hard', tip);
  expect((await git('revert', '--no-edit', 'HEAD')).exitCode).toBe(0);
  const { stdout: right } = await git('rev-parse', 'HEAD');
  await fleet.git(['fetch', '-q', copy, 'HEAD']);
  await expect(policy.check({ ...push, new: oid(right) }, fleet.reader)).resolves.toEqual([
    `node/a: multinic5 (${B}): remove multinic5`,
    `node/a: multinic0 (${A}): add multinic0 10.0.0.10/24`,
  ]);
});
