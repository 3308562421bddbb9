import { needCommands } from '../nodes/packages.ts';

/** Tests that mount and trace: as root, with what is missing installed or named. */
export default async function root(): Promise<void> {
  await needCommands(['mount', 'strace'], console.log);
}
