// The host's systemd over the system bus. `systemctl` and `systemd-run` do not work from a pod: systemd closes its
// private socket when it cannot see the peer's process.
import { randomBytes } from 'node:crypto';
import { MultinicError } from '../../api/errors.ts';
import type { Root } from '../files/root.ts';
import { run, type InHost, until } from './host-command.ts';

const MANAGER = [
  'org.freedesktop.systemd1',
  '/org/freedesktop/systemd1',
  'org.freedesktop.systemd1.Manager',
] as const;
export const APPLY_SECONDS = 60;
const APPLY_LOG = 'run/multinic-apply.log';

export class Systemd {
  readonly #root: Root;
  readonly #inHost: InHost;

  constructor(root: Root, inHost: InHost) {
    this.#root = root;
    this.#inHost = inHost;
  }

  /** Calls a method of systemd's manager object. The arguments have busctl's form. */
  call(method: string, ...args: readonly string[]): ReturnType<typeof run> {
    return run(this.#inHost(['busctl', '--timeout=10', '--', 'call', ...MANAGER, method, ...args]));
  }

  /**
   * Runs a command to its end in a systemd unit of the host. The command goes on if this process dies, and its child
   * processes belong to the host.
   * @throws MultinicError `ApplyFailed`
   */
  async runUnit(command: string): Promise<void> {
    const unit = `multinic-apply-${randomBytes(4).toString('hex')}.service`;
    const start = await this.call(
      'StartTransientUnit',
      'ssa(sv)a(sa(sv))',
      unit,
      'fail',
      '3',
      'Type',
      's',
      'oneshot',
      'RemainAfterExit',
      'b',
      'true',
      ...execStart(`exec ${command} >/${APPLY_LOG} 2>&1`),
      '0',
    );
    let state: string | undefined;
    const ended = await until(APPLY_SECONDS * 1_000, async () => {
      state = await this.#state(unit);
      return state === 'active' || state === 'failed';
    });
    await this.call('StopUnit', 'ss', unit, 'replace');
    if (state === 'active') return;
    await this.call('ResetFailedUnit', 's', unit);
    const output = this.#root.readForeign(APPLY_LOG)?.content.trim() ?? '';
    const why = start.code !== 0 ? start.stderr : ended ? output : 'no end';
    throw new MultinicError(
      'ApplyFailed',
      `\`${command}\` on the node: ${why.trim()}; look at its journal, then run \`multinic retry\`, or use apply: live`,
    );
  }

  /** @returns the major version; 0: systemd does not say */
  async version(): Promise<number> {
    const [service, path, manager] = MANAGER;
    const property = [service, path, manager, 'Version'] as const;
    const read = await run(this.#inHost(['busctl', '--timeout=10', 'get-property', ...property]));
    return Number(/^s "(?:systemd )?(\d+)/.exec(read.stdout)?.[1] ?? 0);
  }

  /** @returns `active`, `activating`, `failed` …; undefined: systemd has no such unit */
  async #state(unit: string): Promise<string | undefined> {
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

/** The property ExecStart of a shell command, in busctl's form. */
export function execStart(script: string): string[] {
  return ['ExecStart', 'a(sasb)', '1', '/bin/sh', '3', '/bin/sh', '-c', script, 'false'];
}
