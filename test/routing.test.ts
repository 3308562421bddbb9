// Routing from the CR to the branches: where source routing is resolved, when it is resolved again, and what is warned of.

import { expect, test } from 'vitest';
import { LocalRun, NODES, type TestSpec } from './support/local.ts';

const [ONE, TWO] = NODES;
const DROP_IN = 'etc/systemd/network/10-netplan-multinic1.network.d/multinic1-routing.conf';
const NETPLAN_1 = 'etc/netplan/91-multinic1.yaml';

/** A home whose nodes get commits and no runs. */
async function paused(): Promise<LocalRun> {
  const local = await LocalRun.start();
  await local.run('pause', '--all');
  return local;
}

/** Puts the second NIC of the first node into the subnet of its first NIC. */
const twins =
  (fields: object = {}) =>
  (spec: TestSpec): void => {
    const entry = spec.nodeConfigs.find(({ attachedNodeName }) => attachedNodeName === ONE)!;
    Object.assign(entry.interfaces![1]!, { address: '192.168.100.77', cidr: '192.168.100.77/24' }, fields);
  };

const file = (local: LocalRun, path: string): Promise<string> =>
  local.git('show', `node/${ONE}:${path}`).then(
    (text) => `${text}\n`,
    () => 'none',
  );

const warned = async (local: LocalRun): Promise<boolean> =>
  JSON.stringify(await local.status()).includes('source routing is off');

test('auto is resolved by a commit, and again by a rerender; a switch alone changes and ends nothing', async () => {
  await using local = await paused();
  const two = await local.tip(TWO);
  await local.editConfig(twins());
  const tip = await local.tip(ONE);
  expect(await file(local, DROP_IN)).toContain(
    '\n[RoutingPolicyRule]\nFrom=192.168.100.77/32\nTable=20001\nPriority=20002\n',
  );
  expect(await file(local, DROP_IN.replaceAll('multinic1', 'multinic0'))).toContain(
    'From=192.168.100.10/32\n',
  );
  expect(await file(local, NETPLAN_1)).not.toContain('Source routing');
  expect(await local.tip(TWO)).toBe(two);
  expect(await warned(local)).toBe(false);
  expect(await local.run('show', ONE)).toContain('multinic1: source routing on (auto)\n');

  await local.editConfig((_spec, config) => {
    Object.assign(config.metadata, { annotations: { 'multinic.io/source-routing': 'off' } });
  });
  expect(await local.tip(ONE)).toBe(tip);
  await local.until('the switch is warned of', () => warned(local));

  await local.run('rerender', ONE);
  expect(await local.tip(ONE)).not.toBe(tip);
  expect(await file(local, DROP_IN)).toBe('none');
  await local.settled();
  expect((await local.node(ONE)).held).toBeUndefined();

  await local.editConfig(twins({ sourceRouting: true }));
  expect(await file(local, DROP_IN)).toContain('From=192.168.100.77/32\n');
  expect(await file(local, NETPLAN_1)).toContain('# Source routing: on\n');
  expect(await local.git('log', '-1', '--format=%s%n%b', `node/${ONE}`)).toContain(
    'multinic1 source routing off (auto) -> on',
  );
});

test('a rollback takes the rules back, and its difference shows lines that a person understands', async () => {
  await using local = await paused();
  const before = await local.tip(ONE);
  await local.editConfig(twins({ gateway: '192.168.100.1' }));
  const routed = await local.tip(ONE);
  const diff = await local.git('diff', `${before}..${routed}`, '--', DROP_IN);
  for (const line of [
    '+From=192.168.100.77/32',
    '+Table=20001',
    '+SuppressPrefixLength=0',
    '+Gateway=192.168.100.1',
  ])
    expect(diff.split('\n')).toContain(line);
  await local.run('rollback', ONE, '--to', before);
  expect(await file(local, DROP_IN)).toBe('none');
  expect(await local.git('diff', `${before}..node/${ONE}`)).toBe('');
});

test('a CR that asks for what cannot work changes nothing on its node, and names field and remedy', async () => {
  await using local = await paused();
  const before = await local.tip(ONE);
  await local.editConfig(twins({ gateway: '192.168.200.1' }));
  expect(await local.tip(ONE)).toBe(before);
  const view = JSON.stringify(await local.node(ONE));
  expect(view).toContain('gateway: 192.168.200.1 is in no subnet of the NIC (192.168.100.77/24)');
});
