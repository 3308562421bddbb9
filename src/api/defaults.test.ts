import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { BACKUP_DEFAULTS, DEFAULTS, LEASE_DEFAULTS } from './defaults.ts';
import { AgentJob } from './job.ts';

const ROOT = new URL('../../', import.meta.url);

function read(file: string): string {
  return readFileSync(new URL(file, ROOT), 'utf8');
}

describe('the defaults of the program', () => {
  test("are those of the chart's values.yaml", () => {
    const { agent, controller, backup } = parse(read('deploy/helm/values.yaml')) as {
      agent: object;
      controller: { lease: object };
      backup: object;
    };
    expect(agent).toMatchObject(DEFAULTS);
    expect(controller.lease).toEqual(LEASE_DEFAULTS);
    expect(backup).toMatchObject(BACKUP_DEFAULTS);
  });

  test.each(['jobs', 'stopAfter', 'maxRemoval', 'apply'] as const)('docs/kubernetes.md has %s', (name) => {
    expect(read('docs/kubernetes.md')).toContain(`| \`agent.${name}\` | ${DEFAULTS[name]} |`);
  });

  test('docs/kubernetes.md has the seconds', () => {
    const { deadline, startLimit, jobTtl } = DEFAULTS;
    const row = `| \`agent.{deadline,startLimit,jobTtl}\` | ${deadline}, ${startLimit}, ${jobTtl} |`;
    expect(read('docs/kubernetes.md')).toContain(row);
  });

  test('are those of a job file that names none', () => {
    const { apply, deadlineSeconds } = AgentJob.pick({ apply: true, deadlineSeconds: true }).parse({});
    expect({ apply, deadline: deadlineSeconds }).toEqual({ apply: 'live', deadline: DEFAULTS.deadline });
  });
});
