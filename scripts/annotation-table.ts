import type { Annotation } from '../src/api/annotations.ts';

/** Rows of a table of the docs. */
export function annotationTable(annotations: Readonly<Record<string, Annotation<unknown>>>): string {
  const rows = Object.values(annotations).map(
    ({ key, on, values, means }) => `| \`${key}\` | ${on.join(', ')} | ${values} | ${means} |`,
  );
  return ['| Annotation | On | Value | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
