import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { generateChart, generatePages } from '../../scripts/generate.ts';

test.each([...generatePages()])('docs/%s has what npm run generate writes', (name, text) => {
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
