// Kills at every occurrence of every instant in every scenario, and at random instants of the controller, git and agents.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import {
  AGENT_INSTANTS,
  CONTROLLER_INSTANTS,
  expectRecovers,
  processesOf,
  rebootAll,
  runOnce,
  startOnce,
  tips,
  twoEdits,
} from './support/controller-crash.ts';
import { LocalRun, NODES } from './support/local.ts';

const [ONE, , THREE] = NODES;

interface Scenario {
  readonly name: string;
  /** Generations of the CR at the end. */
  readonly generations: number;
  prepare(): Promise<LocalRun>;
}

let pushed: LocalRun;

beforeAll(async () => {
  pushed = await withPush();
});
afterAll(async () => {
  await pushed[Symbol.asyncDispose]();
});

/** A person's revert landed while the node was paused; the node is resumed now. */
async function withPush(): Promise<LocalRun> {
  const local = await LocalRun.prepare(inject('configuredHome'));
  const inventory = await readFile(join(local.dir, 'inventory.yaml'), 'utf8');
  await local.launch();
  await local.settled();
  await local.run('pause', ONE);
  const copy = await local.clone();
  await copy.revert(ONE, 'HEAD');
  await local.stop();
  await writeFile(join(local.dir, 'inventory.yaml'), inventory);
  return local;
}

async function edited(edit: typeof twoEdits): Promise<LocalRun> {
  const local = await LocalRun.prepare(inject('configuredHome'));
  const config = await local.config();
  edit(config.spec);
  await local.writeConfig(config);
  return local;
}

const SCENARIOS: readonly Scenario[] = [
  { name: 'a first import', generations: 1, prepare: () => LocalRun.prepare() },
  { name: 'two edits', generations: 2, prepare: () => edited(twoEdits) },
  {
    name: 'the removal of a node',
    generations: 2,
    prepare: () =>
      edited((spec) => {
        spec.nodeConfigs = spec.nodeConfigs.filter(({ attachedNodeName }) => attachedNodeName !== THREE);
      }),
  },
  { name: 'a pending push', generations: 1, prepare: () => LocalRun.prepare(pushed.dir) },
];

/** Runs that are killed at the nth occurrence, for each n until a run survives. @returns how many were killed */
async function killAtEach(scenario: Scenario, instant: string): Promise<number> {
  const agents = instant.startsWith('agent.');
  for (let nth = 1; ; nth += 1) {
    await using local = await scenario.prepare();
    const before = await refsOf(local);
    const { code, signal } = await runOnce(local, `${instant}#${nth}`);
    if (agents ? code === 0 : signal !== 'SIGKILL') {
      if (code !== 0) throw new Error(`nobody was killed, and yet the run ended with ${code ?? signal}`);
      return nth - 1;
    }
    const after = await refsOf(local);
    if (agents) await rebootAll(local);
    const { generations } = scenario;
    await expectRecovers(local, { before: [before, after], generations, agentsWhole: !agents });
  }
}

/** A first import begins without a store. */
function refsOf(local: LocalRun): Promise<Map<string, string>> {
  return tips(local).catch(() => new Map<string, string>());
}

describe.each(SCENARIOS)('$name', (scenario) => {
  /** Instants that only a change of main, or of branches by the mirror, passes. */
  const notWithPush = ['mirror.main', 'mirror.branches'];
  const instants = CONTROLLER_INSTANTS.filter(
    (instant) => scenario.name !== 'a pending push' || !notWithPush.includes(instant),
  );

  test.each(instants)('the controller is killed at each %s', async (instant) => {
    expect(await killAtEach(scenario, instant)).toBeGreaterThan(0);
  });

  test('the agents are killed at each instant', async () => {
    const killed: Record<string, number> = {};
    for (const instant of AGENT_INSTANTS) killed[instant] = await killAtEach(scenario, instant);
    expect(Object.entries(killed).filter(([, count]) => count === 0)).toEqual([]);
  });
});

type Child = ReturnType<typeof startOnce>['child'];

async function killAll(pids: readonly number[]): Promise<number> {
  let killed = 0;
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
      killed += 1;
    } catch {
      // The process has ended meanwhile.
    }
  }
  return killed;
}

async function killEverything(local: LocalRun, child: Child): Promise<number> {
  const others = [...(await processesOf(local, 'git')), ...(await processesOf(local, 'agent'))];
  return Number(child.kill('SIGKILL')) + (await killAll(others));
}

describe('kills at random instants, on one home', () => {
  const ROUNDS = 20;

  /** Each round makes an edit, kills at a random instant, and then expects a run that succeeds. */
  async function rounds(kill: (local: LocalRun, child: Child) => Promise<number>): Promise<number> {
    await using local = await LocalRun.prepare(inject('configuredHome'));
    let killed = 0;
    for (let round = 1; round <= ROUNDS; round += 1) {
      const config = await local.config();
      for (const entry of config.spec.nodeConfigs) entry.interfaces![0]!.mtu = 1300 + round;
      await local.writeConfig(config);
      const before = await tips(local);
      const { child, end } = startOnce(local);
      const over = new AbortController();
      void end.then(() => over.abort());
      await pause(100 + Math.random() * 900, undefined, { signal: over.signal }).catch(() => undefined);
      killed += await kill(local, child);
      await end;
      const after = await tips(local);
      await rebootAll(local);
      await expectRecovers(local, { before: [before, after], generations: round + 1, agentsWhole: false });
    }
    return killed;
  }

  test('the controller alone', async () => {
    expect(await rounds(async (_, child) => Number(child.kill('SIGKILL')))).toBeGreaterThan(ROUNDS / 2);
  });

  test('its git children alone', async () => {
    expect(await rounds(async (local) => killAll(await processesOf(local, 'git')))).toBeGreaterThan(
      ROUNDS / 4,
    );
  });

  test('its agents alone', async () => {
    expect(await rounds(async (local) => killAll(await processesOf(local, 'agent')))).toBeGreaterThan(0);
  });

  test('all of them at once, as in a power cut', async () => {
    expect(await rounds(killEverything)).toBeGreaterThan(ROUNDS / 2);
  });
});
