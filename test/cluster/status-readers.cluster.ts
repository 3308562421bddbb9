// How other programs read the status of a CR: kstatus (Flux, kapp, `kubectl wait` of tools) and Argo CD with the health
// check that the docs give, each with its own code. Needs Go, and no cluster.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { GROUPS } from '../../src/api/api-groups.ts';
import { conditionsOf } from '../../src/controller/condition.ts';
import { run } from '../nodes/command.ts';
import { STATUS_ROWS, type StatusRow } from '../support/status-rows.ts';
import { healthProgram } from './programs.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const GENERATION = 3;

interface Reading {
  readonly kstatus: string;
  readonly argo: string;
  readonly message: string;
}

/** The CR of a row in the form of the API server. */
function objectOf({ nodes, invalid, behind }: StatusRow): object {
  const judged = Object.entries(nodes).map(([name, node]) => ({
    attachedNodeId: `i-${name}`,
    attachedNodeName: name,
    ...node,
  }));
  const problems = invalid && [{ path: 'spec', code: 'InvalidSpec' as const, message: 'mend it' }];
  const observedGeneration = behind ? GENERATION - 1 : GENERATION;
  const conditions = conditionsOf(judged, problems, []).map((each) => ({ ...each, observedGeneration }));
  return {
    apiVersion: 'multinic.okestro.io/v1',
    kind: 'MultiNicBizConfig',
    metadata: { name: 'cr', namespace: 'ns', generation: GENERATION },
    status: { observedGeneration, conditions },
  };
}

async function read(objects: readonly object[], lua: string): Promise<Reading[]> {
  const program = join(await healthProgram(console.log), 'health');
  return JSON.parse(await run(program, [], { input: JSON.stringify({ objects, lua }) })) as Reading[];
}

const checks: string[] = [];
let readings: Reading[];

beforeAll(async () => {
  const file = await readFile(join(REPOSITORY, 'deploy/argo-cd/health.yaml'), 'utf8');
  const { data } = parse(file) as { data: Record<string, string> };
  checks.push(...GROUPS.map((group) => data[`resource.customizations.health.${group}_MultiNicBizConfig`]!));
  readings = await read(STATUS_ROWS.map(objectOf), checks[0]!);
}, 900_000);

describe('kstatus and Argo CD read', () => {
  test.each(STATUS_ROWS.map((row, index) => [row.name, row, index] as const))('%s', (_, row, index) => {
    expect(readings[index]).toMatchObject({ kstatus: row.kstatus, argo: row.argo });
    expect(readings[index]!.message).not.toBe('');
  });
});

test('a CR that no controller has seen is not healthy for Argo CD', async () => {
  const object = { kind: 'MultiNicBizConfig', metadata: { name: 'cr', generation: 1 }, spec: {} };
  expect((await read([object], checks[0]!))[0]!.argo).toBe('Progressing');
});

test('the health check is the same for both groups', () => {
  expect(checks[1]).toBe(checks[0]);
});
