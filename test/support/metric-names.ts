// Metrics of test/formats/formats.yaml, as a query asks for them.

const PARTS = ['_bucket', '_count', '_sum'];

/** Labels by the name of the metric. @param listed `NAME TYPE` and `NAME{LABEL}` */
export function metricsOf(listed: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const metrics = new Map<string, Set<string>>();
  for (const line of listed) {
    const [name = '', type] = line.split(' ');
    if (type === undefined) continue;
    for (const part of type === 'histogram' ? PARTS : ['']) metrics.set(name + part, new Set());
  }
  for (const line of listed) {
    const [, name = '', label = ''] = /^(\w+)\{(\w+)\}$/.exec(line) ?? [];
    metrics.get(name)?.add(label);
  }
  return metrics;
}
