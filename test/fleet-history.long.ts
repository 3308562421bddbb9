// What the API says of changes: the history of the fleet, one change, differences with the host, and previews.

import { expect, test } from 'vitest';
import { LocalRun, NODES } from './support/local.ts';

const [ONE, TWO, THREE] = NODES;

interface Entry {
  kind: string;
  commit: string;
}
interface Change {
  groups: { change: string; nodes: { node: string; commit: string }[] }[];
  movedOn: string[];
}

async function post(local: LocalRun, path: string, body: object): Promise<unknown> {
  const response = await fetch(`${local.url}/api/v1${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await local.token()}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return response.json();
}

test('a change says which nodes follow it and which moved on; the history has pushes too', async () => {
  await using local = await LocalRun.start();
  const [first] = (await local.api<{ entries: Entry[] }>('/history')).entries;
  await local.editConfig(({ nodeConfigs: [one] }) => {
    one!.interfaces![0]!.mtu = 1400;
  });
  await local.settled();
  const [second] = (await local.api<{ entries: Entry[] }>('/history')).entries;
  expect(await local.api<Change>(`/changes/${second!.commit}`)).toMatchObject({
    groups: [{ change: 'multinic0 mtu 1500 -> 1400', nodes: [{ node: ONE }] }],
    movedOn: [],
  });
  const before = await local.api<Change>(`/changes/${first!.commit}`);
  expect(before.movedOn).toEqual([ONE]);
  expect(before.groups.flatMap(({ nodes }) => nodes.map(({ node }) => node)).toSorted()).toEqual([
    TWO,
    THREE,
  ]);
  // An entry that wants the same network makes no commit of the branch, so its node follows the first change.
  await local.editConfig(({ nodeConfigs: [, two] }) => {
    two!.interfaces![0]!.portId = 'another-port';
  });
  await local.settled();
  const [third] = (await local.api<{ entries: Entry[] }>('/history')).entries;
  expect(third!.commit).not.toBe(second!.commit);
  expect(await local.api<Change>(`/changes/${third!.commit}`)).toMatchObject({ groups: [], movedOn: [] });

  const copy = await local.clone();
  await copy.revert(ONE, 'HEAD');
  const { entries } = await local.api<{ entries: Entry[] }>('/history?limit=1');
  expect(entries).toMatchObject([{ kind: 'push', principal: 'operator', nodes: [ONE], nodeCount: 1 }]);
  expect(await post(local, `/nodes/${ONE}/rollback`, { dryRun: true })).toMatchObject({ dryRun: true });
});

test('a difference between a commit and a record of the host has files of the host only', async () => {
  await using local = await LocalRun.start();
  const { commit, outcome } = await local.api<{ commit: string; outcome: { oid: string } }>(`/nodes/${ONE}`);
  expect(await local.api(`/nodes/${ONE}/diff?from=${commit}&to=${outcome.oid}`)).toEqual({ diff: '' });
  expect(await local.api(`/nodes/${ONE}/diff?from=${outcome.oid}&to=${commit}`)).toEqual({ diff: '' });
});

test('the preview of a confirmation names the nodes that wait for it', async () => {
  await using local = await LocalRun.prepare();
  for (const node of [ONE, TWO])
    await local.editHost(node, (host) => {
      host.uppers = [{ name: 'bond0', lower: 'ens6' }];
    });
  await local.launch({ args: ['--stop-after', '1', '--jobs', '1'] });
  const waiting = async (): Promise<string[]> =>
    ((await local.status())?.nodes ?? [])
      .filter(({ reason }) => reason === 'ChangeStopped')
      .map(({ node }) => node ?? '');
  await local.until('a change is stopped', async () => (await waiting()).length > 0);
  const { main } = (await local.status())!;
  expect(await post(local, '/confirm', { target: main, dryRun: true })).toMatchObject({
    dryRun: true,
    nodes: (await waiting()).map((node) => ({ node, change: 'gets the change' })),
  });
});
