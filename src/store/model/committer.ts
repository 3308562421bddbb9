import type { Person } from './store-port.ts';

/** The committer of everything that we write. Pushes cannot use its address. */
export const CONTROLLER: Person = { name: 'multinic-agent', email: 'controller@multinic.io' };
