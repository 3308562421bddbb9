import { join } from 'node:path';

/** Address of a running controller, and the process or the pod that it is. */
export interface Endpoint {
  readonly url: string;
  readonly pid: number;
  /** The leader's pod in a cluster. The address is the pod's own, and the token is valid while the pod leads. */
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
