import type { Person } from './store-port.ts';

/** The committer of everything that we write. Pushes cannot use its address. */
export const CONTROLLER: Person = { name: 'multinic-agent', email: 'controller@multinic.io' };

/** Whether an address is the controller's, or becomes it where brackets and blanks are cleaned away. */
export function isControllerAddress(email: string): boolean {
  return email.replaceAll(/[\s<>]/g, '').toLowerCase() === CONTROLLER.email;
}
