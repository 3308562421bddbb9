// The restore that the host does by itself if this process does not come back: a timer of the host's systemd runs a
// script that needs neither the image nor the pod.
import { randomBytes } from 'node:crypto';
import { MultinicError } from '../../api/errors.ts';
import { LOCK, RESTORE_SCRIPT as SCRIPT, RESTORE_UNIT as UNIT } from '../files/managed-files.ts';
import type { DeadManPort } from '../host/host.ts';
import type { Pending } from '../files/host-record.ts';
import type { Root } from '../files/root.ts';
import { restoreScript } from './restore-script.ts';
import { execStart, type Systemd } from '../command/systemd.ts';

/**
 * The command of the unit. It waits for the lock without a limit, because an agent that hangs may hold it for long. Then
 * it looks for the script, because that agent may have removed it.
 */
export function restoreCommand(root = ''): string {
  const script = `[ ! -e ${root}/${SCRIPT} ] || exec /bin/sh ${root}/${SCRIPT}`;
  return `exec flock ${root}/${LOCK} /bin/sh -c '${script}'`;
}

export class DeadMan implements DeadManPort {
  readonly #root: Root;
  readonly #systemd: Systemd;

  constructor(root: Root, systemd: Systemd) {
    this.#root = root;
    this.#systemd = systemd;
  }

  /** @throws MultinicError `RestoreNotArmed` */
  async arm(pending: Pending, seconds: number): Promise<void> {
    // Each run uses a unit name of its own, because systemd may still have the unit of the last run.
    const unit = `multinic-restore-${randomBytes(4).toString('hex')}`;
    this.#root.write(SCRIPT, restoreScript(pending), 0o700);
    this.#root.write(UNIT, `${unit}\n`, 0o600);
    // Without AccuracyUSec systemd may start a timer up to a minute late.
    const timer =
      `3 TimersMonotonic a(st) 1 OnActiveSec ${seconds * 1_000_000} AccuracyUSec t 100000 RemainAfterElapse b false`.split(
        ' ',
      );
    const start = this.#systemd.call(
      'StartTransientUnit',
      'ssa(sv)a(sa(sv))',
      `${unit}.timer`,
      'fail',
      ...timer,
      '1',
      `${unit}.service`,
      '1',
      ...execStart(restoreCommand()),
    );
    const { code, stderr } = await start.catch((error: unknown) => {
      this.#forget();
      throw error;
    });
    if (code !== 0) {
      this.#forget();
      throw new MultinicError(
        'RestoreNotArmed',
        `the host's systemd takes no restore timer (${stderr.trim()}), and without one nothing is changed; look at D-Bus on the node`,
      );
    }
  }

  async disarm(): Promise<void> {
    const unit = this.#root.read(UNIT)?.content.trim();
    if (unit === undefined) return;
    await this.#systemd.call('StopUnit', 'ss', `${unit}.timer`, 'replace');
    this.#forget();
  }

  #forget(): void {
    this.#root.remove(UNIT);
    this.#root.remove(SCRIPT);
  }
}
