import { describe, expect, test } from 'vitest';
import { identity } from '../../test/support/agent.ts';
import type { InventoryNode } from './home-port.ts';
import { describeIdentity, identityOf, sameIdentity } from './node-identity.ts';

const SOURCE = identity('netplan').source;

function judged(osImage: string, annotations: Record<string, string> = {}, before = false): unknown {
  const node: InventoryNode = {
    name: 'worker-1',
    systemUUID: 'i-0123456789abcdef0',
    machineId: identity('ifcfg').machineId,
    osImage,
    bootID: '',
    ready: true,
    paused: false,
    annotations,
  };
  try {
    const claim = { nodeId: 'i-0123456789abcdef0', source: SOURCE };
    const { os, renderer } = identityOf(node, claim, before ? identity('ifcfg') : undefined);
    return { ...os, renderer };
  } catch (error) {
    return (error as Error).message;
  }
}

const RENDERER = 'multinic.io/renderer';

describe('RHEL 7', () => {
  const IMAGE = 'CentOS Linux 7 (Core)';

  test.each([false, true])('is refused with the reason and a way out (it has a branch: %s)', (before) => {
    expect(judged(IMAGE, {}, before)).toMatch(
      /CentOS Linux 7 \(Core\)": its systemd is older than 237.*; give it a newer OS .* take it out/,
    );
  });

  test('is let through by the annotation, where somebody gave it a newer systemd', () => {
    expect(judged(IMAGE, { [RENDERER]: 'ifcfg' })).toEqual({ family: 'rhel', major: 7, renderer: 'ifcfg' });
  });
});

describe('an OS that we do not know', () => {
  test('is refused with the annotation as the remedy', () => {
    expect(judged('SUSE Linux Enterprise Server 15 SP5')).toContain(`annotate the node with ${RENDERER}=`);
  });

  test.each([
    ['SUSE Linux Enterprise Server 15 SP5', 'keyfile', { family: 'rhel', major: 15, renderer: 'keyfile' }],
    ['Debian GNU/Linux trixie/sid', 'netplan', { family: 'debian', major: 1, renderer: 'netplan' }],
  ])('%s is let through by it', (image, renderer, expected) => {
    expect(judged(image, { [RENDERER]: renderer })).toEqual(expected);
  });
});

describe('two identities', () => {
  const before = identity('netplan');
  const { source, os } = before;

  test.each([
    ['identity changed', { name: 'other' }],
    ['new machine', { systemUUID: '11111111-2222-4333-8444-555555555555', machineId: 'other' }],
    ['identity changed', { nodeId: 'other' }],
    ['renderer keyfile', { renderer: 'keyfile' } as const],
    ['rhel 22', { os: { ...os, family: 'rhel' } } as const],
    ['ubuntu 24', { os: { ...os, major: 24 } }],
    ['now of multinic-system/test', { source: { ...source, group: 'other.io' } }],
    ['now of other/test', { source: { ...source, namespace: 'other' } }],
    ['now of multinic-system/other', { source: { ...source, name: 'other' } }],
  ])('differ: %s by %j', (words, change) => {
    expect(sameIdentity(before, { ...before, ...change })).toBe(false);
    expect(describeIdentity(before, { ...before, ...change })).toBe(words);
  });

  test('are the same', () => {
    expect(sameIdentity(before, structuredClone(before))).toBe(true);
    expect(sameIdentity(before, { ...before, machineId: 'other' })).toBe(false);
    expect(sameIdentity(before, { ...before, systemUUID: 'other' })).toBe(false);
    expect(describeIdentity(before, before)).toBe('identity changed');
  });
});
