import { join } from 'node:path';

/** Where a running controller is reached. */
export interface Endpoint {
  readonly url: string;
  readonly pid: number;
}

/** Holds an `Endpoint` while the controller runs. @param dir the home */
export function endpointFile(dir: string): string {
  return join(dir, 'controller.json');
}
