import { needCommands } from '../nodes/packages.ts';

/** Tests that mount, trace and check shell scripts: as root, with what is missing installed or named. */
export default async function root(): Promise<void> {
  await needCommands(['ip', 'mount', 'shellcheck', 'strace'], console.log);
}
