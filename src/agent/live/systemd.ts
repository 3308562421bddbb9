// The host's systemd over the system bus: its own private socket hangs up on a peer whose process it cannot see, so
// `systemctl` and `systemd-run` do not work from a pod.
import { run, type Command } from './host-command.ts';

const MANAGER = [
  'org.freedesktop.systemd1',
  '/org/freedesktop/systemd1',
  'org.freedesktop.systemd1.Manager',
] as const;

export class Systemd {
  readonly #inHost: (command: Command) => Command;

  constructor(inHost: (command: Command) => Command) {
    this.#inHost = inHost;
  }

  /** A method of the manager, with its arguments as busctl has them. */
  call(method: string, ...args: readonly string[]): ReturnType<typeof run> {
    return run(this.#inHost(['busctl', '--timeout=10', '--', 'call', ...MANAGER, method, ...args]));
  }

  /** @returns `active`, `activating`, `failed` …; undefined: it has no such unit */
  async state(unit: string): Promise<string | undefined> {
    const { code, stdout } = await this.call('GetUnit', 's', unit);
    const path = /^o "(.*)"/.exec(stdout)?.[1];
    if (code !== 0 || path === undefined) return undefined;
    const property = [
      'org.freedesktop.systemd1',
      path,
      'org.freedesktop.systemd1.Unit',
      'ActiveState',
    ] as const;
    const read = await run(this.#inHost(['busctl', '--timeout=10', 'get-property', ...property]));
    return /^s "(.*)"/.exec(read.stdout)?.[1];
  }
}

/** As busctl writes the property ExecStart of a shell's command. */
export function execStart(script: string): string[] {
  return ['ExecStart', 'a(sasb)', '1', '/bin/sh', '3', '/bin/sh', '-c', script, 'false'];
}
