import { needCommands } from '../nodes/packages.ts';

/** Prepares the tests that need root: installs missing commands, or names them. */
export default async function root(): Promise<void> {
  await needCommands(['ip', 'mount', 'shellcheck', 'strace'], console.log);
}
