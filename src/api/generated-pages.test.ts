import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { chartManifest } from '../../scripts/chart-manifest.ts';
import { generateChart, generatePages } from '../../scripts/generate.ts';

test.each([...(await generatePages())])('docs/%s has what npm run generate writes', (name, text) => {
  expect(readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')).toBe(text);
});

test.each([...generateChart()])('deploy/helm/%s has what npm run generate writes', (name, text) => {
  expect(readFileSync(new URL(`../../deploy/helm/${name}`, import.meta.url), 'utf8')).toBe(text);
});

test('every value of the chart is described', () => {
  const readme = generateChart().get('README.md')!;
  expect(readme.split('\n').filter((line) => line.endsWith('|  |'))).toEqual([]);
  expect(readme).toContain('| controller.replicas | int | `1` | With 2 and');
});

test('the chart and its program have the version of package.json', () => {
  const text = "name: a\nversion: 0.1.0\nappVersion: '0.1.0'\nkubeVersion: '>=1.20.0-0'\n";
  expect(chartManifest(text, '2.0.0')).toBe(text.replaceAll('0.1.0', '2.0.0'));
  expect(() => chartManifest('name: a\n', '2.0.0')).toThrow(/is there 0 times/);
});
