import { join } from 'node:path';

/** Address of a running controller, and the process or the pod that it is. */
export interface Endpoint {
  readonly url: string;
  readonly pid: number;
  /** The pod of a leader in a cluster: the address is its own, and the token is valid while it leads. */
  readonly leader?: {
    readonly pod: string;
    readonly namespace: string;
    readonly token: string;
    readonly ca: string;
  };
}

/** Path of the file that has the `Endpoint` while the controller runs. @param dir the home */
export function endpointFile(dir: string): string {
  return join(dir, 'controller.json');
}
