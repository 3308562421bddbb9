// A home of each earlier version, in which that version's own program brought nodes into every state. Today's program
// takes it over untouched, and goes on from there.

import { readdirSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { StatusReport } from '../src/controller/status-report.ts';
import { refsOf, stateOf, type HomeState } from './support/home-state.ts';
import { LocalRun, type Ran } from './support/local.ts';

const VERSIONS = join(import.meta.dirname, '../fixtures/versions');
const HELD = ['rhel-rolled-back', 'rocky-held', 'ubuntu-held'];
const IFCFG_0 = 'etc/sysconfig/network-scripts/ifcfg-multinic0';
const RECORD = 'var/lib/multinic/record.json';

/** Answers of the version's command line about a node. */
interface Told {
  readonly log: readonly object[];
  readonly show: object;
  readonly diff: string;
  readonly host: string;
}

const unpack = (version: string): Promise<LocalRun> =>
  LocalRun.unpack(join(VERSIONS, version, 'home.tar.gz'));
const json = async <T>(local: LocalRun, path: string): Promise<T> =>
  JSON.parse(await readFile(join(local.dir, path), 'utf8')) as T;

/** Refs of one node that one edit or command moves. */
const ofNode = (node: string): Record<string, number> => ({
  [`refs/heads/node/${node}`]: 1,
  [`refs/heads/outcome/${node}`]: 1,
});

/** Fields that today's status adds or words differently: texts for people, and the nodes that a node waits for. */
const NOTES = new Set(['message', 'waitsForPerson', 'waitsFor', 'waitingSince', 'interfaces', 'observation']);
const withoutNotes = (view: object): object =>
  Object.fromEntries(Object.entries(view).filter(([key]) => !NOTES.has(key)));

/** Clean nodes that no CR names: since 0.2 `status` shows them apart, under a state of their own. */
const CLEAN = ['rhel-cleaned'];

/** The facts and codes of a status, which stay. Texts for people may change. */
function factsOf({ nodes, configs, stopped, main }: StatusReport): object {
  return {
    main,
    stopped,
    nodes: nodes.flatMap((view) => (CLEAN.includes(view.node ?? '') ? [] : [withoutNotes(view)])),
    configs: configs.map(({ conditions, ...config }) => ({
      ...config,
      ready: conditions
        .filter(({ type }) => type === 'Ready')
        .map(({ status, reason, lastTransitionTime }) => ({ status, reason, lastTransitionTime })),
    })),
  };
}

describe.each(
  readdirSync(VERSIONS, { withFileTypes: true }).flatMap((each) => (each.isDirectory() ? [each.name] : [])),
)('version %s', (version) => {
  describe('is taken over untouched', () => {
    let local: LocalRun;
    let before: HomeState;
    let reported: StatusReport;
    let ended: Ran;
    beforeAll(async () => {
      local = await unpack(version);
      before = await stateOf(local);
      reported = await json(local, 'status/report.json');
      // Four takeovers: until nothing is left to do, in a lasting process, after a restart, and after a power cut.
      ended = await local.cli('local', local.dir, '--once');
      await local.launch();
      await local.settled();
      await local.restart();
      await local.settled();
      await local.kill();
      await local.launch();
      await local.settled();
    });
    afterAll(() => local[Symbol.asyncDispose]());

    test('has nodes in every state', () => {
      const states = new Set(reported.nodes.map(({ state, reason }) => `${state} ${reason ?? ''}`.trim()));
      expect([...states].sort()).toEqual([
        'Configured',
        'Configured Held',
        'Failed InvalidEntry',
        'Failed NeedsConfirm',
        'Failed NicInUse',
        'Pending InterfacesMissing',
        'Pending NoSuchNode',
        'Pending Paused',
        'Pending RemovalStopped',
      ]);
      expect(Object.keys(before.hosts).filter((path) => path.includes('/backup/')).length).toBeGreaterThan(2);
      expect(before.hosts[`ubuntu-interrupted/root/${RECORD}`]).toContain('"pending": {');
    });

    test('no ref moves, no run starts, no byte of a host changes', async () => {
      expect(ended.code).toBe(4);
      expect(await stateOf(local)).toEqual(before);
    });

    test('every node and CR has the state that it had, and held nodes are held', async () => {
      const now = await local.status();
      expect(factsOf(now!)).toEqual(factsOf(reported));
      expect(now!.nodes.map(({ node }) => node)).not.toContain('rhel-cleaned');
      expect(now!.historyOnly).toEqual(CLEAN);
      expect(now!.nodes.filter(({ held }) => held).map(({ node }) => node)).toEqual(HELD);
    });

    test('the status of the CRs keeps its facts for programs', async () => {
      const fresh = await unpack(version);
      for (const file of ['fleet.multinic.okestro.io', 'lab.multinic.io']) {
        const path = join('status/multinic-system', `${file}.yaml`);
        const statusIn = async ({ dir }: LocalRun): Promise<object> => {
          const { status } = parse(await readFile(join(dir, path), 'utf8')) as { status: Status };
          return {
            ...status,
            conditions: [],
            nodeStatuses: status.nodeStatuses.map(withoutNotes),
          };
        };
        expect(await statusIn(local)).toEqual(await statusIn(fresh));
      }
      await fresh[Symbol.asyncDispose]();
    });

    test('log, show and diff print the same facts', async () => {
      const { nodes } = await json<{ nodes: Record<string, Told> }>(local, 'told.json');
      expect(Object.keys(nodes)).toHaveLength(20);
      for (const [node, { log, show, diff, host }] of Object.entries(nodes)) {
        const path = `/nodes/${encodeURIComponent(node)}`;
        const [logged, shown, last, toHost] = await Promise.all([
          local.api(`${path}/log`),
          local.api(path),
          local.api<{ diff: string }>(`${path}/diff`),
          local.api<{ diff: string }>(`${path}/diff?host=true`),
        ]);
        expect({ log: logged, show: shown }).toMatchObject({ log, show });
        expect([last.diff.trimEnd(), toHost.diff.trimEnd()]).toEqual([diff, host]);
      }
      for (const node of ['ubuntu-held', 'rocky-failed']) {
        const { log, show, diff } = nodes[node]!;
        expect(JSON.parse(await local.run('log', node, '-o', 'json'))).toMatchObject({ items: log });
        expect(JSON.parse(await local.run('show', node, '-o', 'json'))).toMatchObject(show);
        expect(await local.run('diff', node)).toBe(diff);
      }
      const status = JSON.parse((await local.cli('status', '-o', 'json')).stdout) as StatusReport;
      expect(factsOf(status)).toEqual(factsOf(reported));
    });

    test('git finds nothing wrong with the store', async () => {
      expect(await local.git('fsck', '--strict')).not.toMatch(/error|missing|broken/);
    });
  });

  describe('is observed', () => {
    let local: LocalRun;
    let before: HomeState;
    const EDITED = 'ubuntu-plain';
    const file = 'etc/netplan/90-multinic0.yaml';
    beforeAll(async () => {
      local = await unpack(version);
      const text = (await local.hostFile(EDITED, file))!;
      await writeFile(join(local.hostRoot(EDITED), file), text.replace('mtu: 1500', 'mtu: 1300'));
      before = await stateOf(local);
      await local.launch();
      await local.settled();
    });
    afterAll(() => local[Symbol.asyncDispose]());

    test('all hosts: what somebody did before the upgrade is told, and nothing is repaired by itself', async () => {
      const asked = Date.now();
      await local.run('observe', '--all');
      const configured = (await local.status())!.nodes.flatMap(({ node, state }) =>
        state === 'Configured' ? [node!] : [],
      );
      expect(configured.length).toBeGreaterThan(5);
      await local.until('all are observed', () => observedSince(local, configured, asked), 90_000);
      await local.settled();
      const drift = await local.git('log', '-1', '--format=%s%n%b', `outcome/${EDITED}`);
      expect(drift).toMatch(/^ubuntu-plain: Drifted from [0-9a-f]{10} \(1 difference\)\n/);
      expect(drift).toContain(`${file} was changed: mtu 1300 instead of mtu 1500`);
      expect(drift).toContain('First-Observation: true');
      await local.untilStatus('it is told', ({ nodes }) =>
        nodes.some(
          ({ node, state, reason }) => node === EDITED && state === 'Failed' && reason === 'Drifted',
        ),
      );
      expect((await local.node(EDITED)).message).toContain('found by the first observation');
      const after = await stateOf(local);
      expect(after.hosts).toEqual(before.hosts);
      const moved = Object.keys(after.refs).filter((ref) => after.refs[ref] !== before.refs[ref]);
      expect(moved).toEqual([`refs/heads/outcome/${EDITED}`]);
    });

    test('and a person who asks has it put right; the next drift is repaired', async () => {
      await local.run('retry', EDITED);
      await local.untilStatus('it is right', ({ nodes }) =>
        nodes.some(({ node, state }) => node === EDITED && state === 'Configured'),
      );
      expect(await local.hostFile(EDITED, file)).toContain('mtu: 1500');
      await rm(join(local.hostRoot(EDITED), file));
      await local.run('observe', EDITED);
      await local.until('it is repaired', async () => (await local.hostFile(EDITED, file)) !== undefined);
    });
  });

  describe('goes on', () => {
    let local: LocalRun;
    beforeAll(async () => {
      local = await unpack(version);
      await local.launch();
      await local.settled();
    });
    afterAll(() => local[Symbol.asyncDispose]());

    /** Refs that an action moved, and by how many commits. */
    async function moves(act: () => Promise<unknown>): Promise<Record<string, number>> {
      const before = await refsOf(local);
      await act();
      await local.settled();
      const moved: Record<string, number> = {};
      for (const [ref, oid] of Object.entries(await refsOf(local))) {
        if (ref === 'refs/meta/mirrored' || before[ref] === oid) continue;
        moved[ref] = Number(await local.git('rev-list', '--first-parent', '--count', oid, `^${before[ref]}`));
      }
      return moved;
    }

    test("an edit of a CR is one commit and one run, for that edit's node alone", async () => {
      const edit = (): Promise<string> =>
        local.editConfig(({ nodeConfigs }) => {
          nodeConfigs.find(
            ({ attachedNodeName }) => attachedNodeName === 'ubuntu-plain',
          )!.interfaces![0]!.mtu = 1400;
        }, 'fleet');
      expect(await moves(edit)).toEqual({ 'refs/heads/main': 1, ...ofNode('ubuntu-plain') });
      expect(await local.hostFile('ubuntu-plain', 'etc/netplan/90-multinic0.yaml')).toContain('mtu: 1400');
      expect(await local.node('ubuntu-plain')).toMatchObject({ state: 'Configured' });
      for (const node of HELD) expect(await local.node(node)).toMatchObject({ node, held: true });
    });

    async function release(node: string): Promise<void> {
      await local.run('release', node);
      await local.applied(node, await local.tip(node));
    }

    test.each([
      ['ubuntu-held', 'etc/netplan/91-multinic1.yaml', /mtu: 1500/],
      ['rocky-held', IFCFG_0, /MTU=1500/],
      ['rhel-rolled-back', 'etc/systemd/network/70-multinic1.link', /Name=multinic1/],
    ])('release of %s applies the CR again', async (node, path, says) => {
      expect((await local.hostFile(node, path)) ?? '').not.toMatch(says);
      expect(await moves(() => release(node))).toEqual(ofNode(node));
      expect(
        await local.git('log', '-1', '--format=%(trailers:key=Ends-Hold,valueonly)', `node/${node}`),
      ).toMatch(/^[0-9a-f]{40}/);
      expect(await local.hostFile(node, path)).toMatch(says);
      expect((await local.node(node)).held).toBeUndefined();
    });

    test('a person can revert a commit of that version', async () => {
      const copy = await local.clone();
      const gone = 'etc/netplan/91-multinic1.yaml';
      expect(await local.hostFile('ubuntu-orphan', gone)).toBeUndefined();
      await local.applied('ubuntu-orphan', await copy.revert('ubuntu-orphan', 'HEAD'));
      expect(await local.hostFile('ubuntu-orphan', gone)).toContain('192.168.200.12/24');
    });

    test('a run that died under that version is undone by the next one, which applies its commit', async () => {
      await local.run('resume', 'ubuntu-interrupted');
      await local.applied('ubuntu-interrupted', await local.tip('ubuntu-interrupted'));
      expect(await local.hostFile('ubuntu-interrupted', RECORD)).toContain('"pending": null');
      expect(await local.run('log', 'ubuntu-interrupted', '--limit', '1')).toMatch(/Applied/);
      expect(await local.hostFile('ubuntu-interrupted', 'etc/netplan/91-multinic1.yaml')).toContain(
        'multinic1',
      );
    });

    test('a host that diverged is overwritten once a person confirms', async () => {
      await local.run('confirm', 'rocky-diverged');
      await local.applied('rocky-diverged', await local.tip('rocky-diverged'));
      expect(await local.hostFile('rocky-diverged', IFCFG_0)).toContain('MTU=1500');
    });

    test('a stopped removal goes on once a person confirms', async () => {
      await local.run('confirm');
      await local.untilStatus('nothing is stopped', ({ stopped }) => stopped.length === 0);
      await local.settled();
      expect(await local.hostFile('ubuntu-retired', 'etc/netplan/90-multinic0.yaml')).toBeUndefined();
    });
  });
});

/** Whether each of these hosts was looked at since. */
async function observedSince(local: LocalRun, nodes: readonly string[], since: number): Promise<boolean> {
  // A request writes the file at once.
  await local.run('observe', nodes[0]!);
  const { hosts } = await json<{ hosts: Record<string, { at?: number }> }>(local, 'observed.json');
  return nodes.every((node) => (hosts[node]?.at ?? 0) >= since);
}

interface Status {
  readonly conditions: object;
  readonly nodeStatuses: readonly { readonly message?: string }[];
}
