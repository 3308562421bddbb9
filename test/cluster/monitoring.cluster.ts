// The chart's alerts and its dashboard, as helm renders them, read by the parser of Prometheus. Needs Go, and no cluster.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { run } from '../nodes/command.ts';
import { dashboardPanels } from '../support/dashboard.ts';
import { metricsOf } from '../support/metric-names.ts';
import { helmProgram, promqlProgram } from './programs.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const BUILD_MS = 1_800_000;
/** Labels that Prometheus adds to whatever it scrapes. */
const TARGET = ['instance', 'job'];

interface Reading {
  readonly error: string;
  readonly type: string;
  readonly metrics: readonly { readonly name: string; readonly labels: readonly string[] }[];
  readonly groups: readonly string[];
}

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: { readonly summary: string; readonly description: string };
}

let dir: string;
let helm: string;
let promql: string;
let formats: Readonly<Record<string, readonly string[]>>;
let known: ReadonlyMap<string, ReadonlySet<string>>;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-monitoring-'));
  helm = join(await helmProgram(console.log), 'helm');
  promql = join(await promqlProgram(console.log), 'promql');
  formats = parse(await readFile(join(REPOSITORY, 'test/formats/formats.yaml'), 'utf8')) as typeof formats;
  known = metricsOf(formats['metrics']!);
}, BUILD_MS);

afterAll(() => rm(dir, { recursive: true, force: true }));

/** @returns what is wrong with each expression, beginning with its name */
async function complaints(
  expressions: readonly (readonly [name: string, expression: string])[],
): Promise<string[]> {
  // Grafana replaces this variable before it sends a query.
  const texts = expressions.map(([, text]) => text.replaceAll('$__rate_interval', '5m'));
  const readings = JSON.parse(await run(promql, [], { input: JSON.stringify(texts) })) as Reading[];
  expect(readings).toHaveLength(expressions.length);
  return expressions.flatMap(([name], index) => wrongIn(readings[index]!).map((text) => `${name}: ${text}`));
}

function wrongIn({ error, type, metrics, groups }: Reading): string[] {
  if (error !== '') return [error];
  const labels = [...TARGET, ...metrics.flatMap(({ name }) => [...(known.get(name) ?? [])])];
  return [
    ...(type === 'vector' ? [] : [`it is no vector but a ${type}`]),
    ...metrics.filter(({ name }) => !known.has(name)).map(({ name }) => `no metric ${name}`),
    ...metrics.flatMap(({ name, labels: selected }) =>
      selected
        .filter((label) => !TARGET.includes(label) && known.get(name)?.has(label) !== true)
        .map((label) => `${name} has no label ${label}`),
    ),
    ...groups.filter((label) => !labels.includes(label)).map((label) => `no label ${label}`),
  ];
}

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels: object };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly groups?: readonly { readonly rules: readonly Alert[] }[] };
}

async function render(...settings: readonly string[]): Promise<Rendered[]> {
  const chart = join(REPOSITORY, 'deploy/helm');
  const sets = settings.flatMap((setting) => ['--set', setting]);
  const text = await run(helm, ['template', 'multinic-agent', chart, '--namespace', 'nics', ...sets]);
  return parseAllDocuments(text).flatMap((document) => (document.toJS() as Rendered | null) ?? []);
}

async function alertsOf(...settings: readonly string[]): Promise<readonly Alert[]> {
  const objects = await render('prometheusRule.enabled=true', ...settings);
  return objects.find(({ kind }) => kind === 'PrometheusRule')!.spec!.groups![0]!.rules;
}

async function alertNamed(name: string, ...settings: readonly string[]): Promise<Alert> {
  return (await alertsOf(...settings)).find(({ alert }) => alert === name)!;
}

describe('Prometheus and the list of metrics take', () => {
  test('every alert', async () => {
    expect(await complaints((await alertsOf()).map(({ alert, expr }) => [alert, expr]))).toEqual([]);
  });

  test('every panel of the dashboard', async () => {
    const objects = await render('grafanaDashboard.enabled=true');
    const { metadata, data } = objects.find(({ metadata: { name } }) => name === 'multinic-agent-dashboard')!;
    expect(metadata).toMatchObject({ namespace: 'nics', labels: { grafana_dashboard: '1' } });
    const panels = dashboardPanels(data!['multinic-agent.json']!);
    expect(panels.length).toBeGreaterThan(20);
    expect(await complaints(panels.map(({ title, expression }) => [title, expression]))).toEqual([]);
  });

  test.each([
    ['max(multinic_nodes', /^x: .*parse error/],
    ['rate(multinic_runs_total)', /^x: .*expected type range vector/],
    ['multinic_nodes{state="Failed"', /^x: .*parse error/],
    ['time()', /^x: it is no vector but a scalar$/],
    ['max(multinic_nodez)', /^x: no metric multinic_nodez$/],
    ['multinic_nodes{stat="Failed"}', /^x: multinic_nodes has no label stat$/],
    ['max by (sate) (multinic_nodes)', /^x: no label sate$/],
    ['multinic_nodes and on (pot) multinic_configs', /^x: no label pot$/],
  ])('and not %s', async (expression, complaint) => {
    const found = await complaints([
      ['good', 'max(multinic_configs)'],
      ['x', expression],
    ]);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(complaint);
  });
});

describe('alerts', () => {
  test('and the dashboard are made only when they are asked for', async () => {
    const names = (await render()).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names).toContain('Deployment multinic-agent-controller');
    expect(names.filter((name) => /PrometheusRule|dashboard/.test(name))).toEqual([]);
  });

  test('say what to do, with commands that exist', async () => {
    const alerts = await alertsOf();
    expect(alerts.map(({ alert }) => alert)).toEqual([
      'MultinicNoLeader',
      'MultinicPassTooOld',
      'MultinicNodesFailed',
      'MultinicConfigStalled',
      'MultinicChangeStopped',
      'MultinicRemovalsStopped',
      'MultinicDriftFight',
      'MultinicRepairsStopped',
      'MultinicObservationTooOld',
      'MultinicStoreSpaceLow',
      'MultinicCertificateExpires',
    ]);
    const commands = new Set(formats['commands']!.map((line) => line.split(' ').slice(0, 2).join(' ')));
    for (const { alert, labels, annotations } of alerts) {
      const { summary, description } = annotations;
      const named = [...description.matchAll(/`(multinic [a-z]+)/g)].map(([, command]) => command!);
      expect([alert, labels['severity']]).toEqual([alert, expect.stringMatching(/^(critical|warning)$/)]);
      expect([alert, description]).toEqual([alert, expect.stringMatching(/kubectl |`multinic /)]);
      expect([alert, named.filter((command) => !commands.has(command))]).toEqual([alert, []]);
      expect([alert, `${summary} ${description}`]).toEqual([
        alert,
        expect.not.stringContaining('<no value>'),
      ]);
    }
    expect(alerts.find(({ alert }) => alert === 'MultinicNodesFailed')!.annotations.summary).toBe(
      '{{ $value }} nodes of multinic-agent have failed.',
    );
  });

  test('of observations follow their interval, and are left out without one', async () => {
    const [alert] = (await alertsOf('agent.observeMinutes=30')).filter(({ expr }) =>
      expr.includes('observation'),
    );
    expect(alert).toMatchObject({ for: '60m', expr: expect.stringMatching(/ > 3600$/) });
    const none = await alertsOf('agent.observeMinutes=0');
    expect(none.filter(({ expr }) => expr.includes('observation'))).toEqual([]);
    expect(none.length).toBe((await alertsOf()).length - 1);
  });

  test('of backups are there with the backups, and follow their interval', async () => {
    const name = 'MultinicBackupTooOld';
    expect(await alertNamed(name)).toBeUndefined();
    const alert = await alertNamed(name, 'backup.enabled=true', 'backup.interval=6');
    expect(alert).toMatchObject({ expr: expect.stringMatching(/ > 43200$/) });
    expect(await complaints([[name, alert.expr]])).toEqual([]);
    expect(alert.annotations.description).toContain('multinic-agent-backup');
  });

  test('of the certificate name a Secret that others issue', async () => {
    const given = await alertNamed('MultinicCertificateExpires', 'tls.existingSecret=own');
    expect(given.annotations.description).toContain('Renew the Secret own;');
    const own = await alertNamed('MultinicCertificateExpires');
    expect(own.annotations.description).toContain('renews its own certificate');
  });
});
