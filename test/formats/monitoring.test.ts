// The dashboard and the alerts of the chart ask for metrics that the program has. test/cluster/monitoring.cluster.ts
// parses the expressions as Prometheus does.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { dashboardPanels } from '../support/dashboard.ts';
import { metricsOf } from '../support/metric-names.ts';

const CHART = join(import.meta.dirname, '../../deploy/helm');
const { metrics } = parse(readFileSync(join(import.meta.dirname, 'formats.yaml'), 'utf8')) as {
  metrics: readonly string[];
};
const known = metricsOf(metrics);

/** Words of an expression that can only be metrics: no label and no function of theirs has both forms. */
function metricsIn(expression: string): string[] {
  const bare = expression.replaceAll(/"[^"]*"|\$\w+|\{\{.*?\}\}/g, '');
  return [...bare.matchAll(/\b[a-z]+(?:_[a-z0-9]+)+\b(?! *\()/g)].map(([word]) => word);
}

function read(path: string): string {
  return readFileSync(join(CHART, path), 'utf8');
}

const alerts = [...read('templates/prometheusrule.yaml').matchAll(/alert: (\w+)\n +expr: (.+)\n/g)].map(
  ([, name = '', expression = '']) => [name, expression] as const,
);
const panels = dashboardPanels(read('files/dashboard.json')).map(
  ({ title, expression }) => [title, expression] as const,
);

describe.each([
  ['alert', alerts],
  ['panel', panels],
])('each %s', (_, expressions) => {
  test('is found', () => expect(expressions.length).toBeGreaterThan(9));

  test.each(expressions)('%s asks for existing metrics', (_, expression) => {
    const asked = metricsIn(expression);
    expect(asked).not.toEqual([]);
    expect(asked.filter((name) => !known.has(name))).toEqual([]);
  });
});

test('a metric that does not exist is found', () => {
  expect(
    metricsIn('max(multinc_nodes{state="a_b"}) > sum by (le) (rate(multinic_x_bucket[$__rate_interval]))'),
  ).toEqual(['multinc_nodes', 'multinic_x_bucket']);
  expect(['multinc_nodes', 'multinic_run_seconds_bucket'].map((name) => known.has(name))).toEqual([
    false,
    true,
  ]);
});
