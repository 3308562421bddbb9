// Settings of the operator for the pods of agents.

import * as z from 'zod';

const texts = z.record(z.string(), z.string());

const PodSettings = z.strictObject({
  resources: z.looseObject({}).exactOptional(),
  priorityClassName: z.string().min(1).exactOptional(),
  labels: texts.exactOptional(),
  annotations: texts.exactOptional(),
});
export type PodSettings = z.infer<typeof PodSettings>;

/** @param text JSON, as the chart writes it into the environment and the arguments of the controller @throws Error */
export function readPodSettings(text: string): PodSettings {
  return PodSettings.parse(JSON.parse(text));
}
