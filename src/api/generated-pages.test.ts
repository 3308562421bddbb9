import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { generatePages } from '../../scripts/generate.ts';

test.each([...generatePages()])('docs/%s has what npm run generate writes', (name, text) => {
  expect(readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')).toBe(text);
});
