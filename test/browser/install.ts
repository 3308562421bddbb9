import { needCommands } from '../nodes/packages.ts';
import { chromiumPath } from './browser.ts';

/** Installs Debian's Chromium. A machine that has one needs no root. */
export default async function install(): Promise<void> {
  if (chromiumPath() === undefined) await needCommands(['chromium'], console.log);
}
