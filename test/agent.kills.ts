// A kill at each step of a run of the agent. agent.matrix.ts has every occurrence of each step.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { STEPS, type Step } from '../src/agent/run/steps.ts';
import { cleanUpHost, fileIdentities, hostFiles, machine } from './support/agent.ts';
import { HostOfTwoCommits, NOWHERE, ROUTED, ROUTED_OTHERWISE } from './support/host-of-two-commits.ts';

// Each instant once, in the order of a run.
const CHANGE = STEPS.indexOf('arm');
const BEFORE_THE_CHANGE = STEPS.slice(0, CHANGE);
const WITHIN: Partial<Record<Step, readonly string[]>> = {
  write: ['write.file', 'write.file#3'],
  activate: ['activate.link', 'activate.link#4'],
};
const IN_ITS_MIDST = STEPS.slice(CHANGE)
  .filter((step) => step !== 'restore')
  .flatMap((step) => [step, ...(WITHIN[step] ?? [])]);
const WHILE_RESTORING = [
  'restore.file',
  'restore.file#2',
  'restore.link',
  'restore.link#2',
  'recover.disarm',
];

let host: HostOfTwoCommits;
let root: string;
/** Files and machine after a run that nothing interrupted. */
let fresh: Record<string, string>;
beforeAll(async () => {
  host = await HostOfTwoCommits.open();
  fresh = await host.finalState();
});
afterAll(() => host[Symbol.asyncDispose]());
beforeEach(() => {
  root = host.renew();
});

test('killed before the change: the host is untouched', async () => {
  const old = hostFiles(root);
  for (const instant of BEFORE_THE_CHANGE) {
    await host.killAt(instant);
    expect(hostFiles(root)).toEqual(old);
  }
  await host.settles(fresh);
});

test.each(IN_ITS_MIDST)(
  'killed at %s: the next run leaves the host wholly old or wholly new, and a later run makes it new',
  async (instant) => {
    const old = hostFiles(root);
    await host.killAt(instant);
    expect((await host.advance({ url: NOWHERE })).outcome).toMatchObject({
      result: 'Failed',
      step: 'checkout',
    });
    expect([old, fresh]).toContainEqual(hostFiles(root));
    await host.settles(fresh);
  },
);

test.each(WHILE_RESTORING)('killed, and the run that undoes it is killed at %s', async (instant) => {
  const old = hostFiles(root);
  await host.killAt('activate.link#4');
  const end = await host.advance({ url: NOWHERE, killAt: `agent.${instant}` });
  expect(end.signal).toBe('SIGKILL');
  await host.advance({ url: NOWHERE });
  expect(hostFiles(root)).toEqual(old);
  await host.settles(fresh);
});

test('killed at finish: the next run reports the change and does not undo it', async () => {
  await host.killAt('finish');
  const changed = fileIdentities(root);
  const killed = await host.advance({ killAt: 'agent.recover.disarm' });
  expect(killed.signal).toBe('SIGKILL');
  expect((await host.advance()).outcome).toMatchObject({ result: 'Applied', written: [] });
  expect(hostFiles(root)).toEqual(fresh);
  const path = 'etc/netplan/90-multinic0.yaml';
  expect(fileIdentities(root)[path]).toBe(changed[path]);
});

test('rules, tables and settings are old or new as a whole, wherever links change', async () => {
  await using routed = await HostOfTwoCommits.open(ROUTED, ROUTED_OTHERWISE);
  const end = await routed.finalState();
  expect(end['host.yaml']).toContain('-4 default via 192.168.100.1 table 20000');
  let kills = 0;
  for (let nth = 1; ; nth += 1) {
    const own = routed.renew();
    const old = hostFiles(own);
    expect(old['host.yaml']).toContain('lookup 20001 priority 20002');
    const { signal } = await routed.advance({ killAt: `agent.activate.link#${nth}` });
    if (signal !== 'SIGKILL') break;
    await routed.advance({ url: NOWHERE });
    expect([old, end]).toContainEqual(hostFiles(own));
    await routed.settles(end);
    kills = nth;
  }
  // A change of three NICs sets at least their addresses, rules, routes and settings.
  expect(kills).toBeGreaterThan(8);
}, 300_000);

test('a cleanup that is killed', async () => {
  for (const instant of ['agent.write.file#2', 'agent.activate.link#2', 'agent.finish']) {
    expect((await cleanUpHost(host.folder.path, root, instant)).signal).toBe('SIGKILL');
  }
  expect((await cleanUpHost(host.folder.path, root)).outcome?.result).toBe('Applied');
  expect(parse(readFileSync(join(root, 'host.yaml'), 'utf8'))).toEqual(machine(4));
});
