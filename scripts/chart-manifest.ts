/** Chart.yaml with the program's version as the chart's version and as its appVersion. */
export function chartManifest(text: string, version: string): string {
  const withVersion = replacedOnce(text, /^version: .*$/gm, `version: ${version}`);
  return replacedOnce(withVersion, /^appVersion: .*$/gm, `appVersion: '${version}'`);
}

/** @throws Error if the pattern is not there exactly once, so that no file silently stays as it was */
export function replacedOnce(text: string, pattern: RegExp, by: string): string {
  const found = [...text.matchAll(pattern)].length;
  if (found !== 1) throw new Error(`${pattern.source} is there ${found} times and must be there once`);
  return text.replace(pattern, () => by);
}
