import { join } from 'node:path';

/** URL and process ID of a running controller. */
export interface Endpoint {
  readonly url: string;
  readonly pid: number;
}

/** Path of the file that has the `Endpoint` while the controller runs. @param dir the home */
export function endpointFile(dir: string): string {
  return join(dir, 'controller.json');
}
