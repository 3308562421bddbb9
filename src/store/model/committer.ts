import type { Person } from './store-port.ts';

/** The committer of every commit that the controller writes. The push policy refuses the address in pushed commits. */
export const CONTROLLER: Person = { name: 'multinic-agent', email: 'controller@multinic.io' };

/** Whether an address is the controller's, also after brackets and blanks are removed. */
export function isControllerAddress(email: string): boolean {
  return email.replaceAll(/[\s<>]/g, '').toLowerCase() === CONTROLLER.email;
}
