// Expressions of the chart's dashboard.

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** @param text JSON of a Grafana dashboard */
export function dashboardPanels(text: string): { readonly title: string; readonly expression: string }[] {
  const { panels } = JSON.parse(text) as { panels: readonly Panel[] };
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ title, expression: expr })),
  );
}
