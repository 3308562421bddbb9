import type { Annotation } from '../src/api/annotations.ts';

/** The table of annotations in the docs. */
export function annotationTable(annotations: Readonly<Record<string, Annotation<unknown>>>): string {
  const rows = Object.values(annotations).map(
    ({ key, on, values, means }) => `| \`${key}\` | ${on.join(', ')} | ${values} | ${means} |`,
  );
  return ['| Annotation | On | Value | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
