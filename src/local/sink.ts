import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { ConfigStatus } from '../api/status.ts';
import type { ControllerEvent, StatusSink } from '../controller/sink-port.ts';
import type { StatusReport } from '../controller/status-report.ts';
import type { ConfigRef } from '../network/node.ts';
import { readIfPresent, replaceFile } from './file.ts';

/** Writes the status as files, `DIR/status/<namespace>/<name>.<group>.yaml`, in the form that a cluster would show. */
export class StatusFolder implements StatusSink {
  readonly #dir: string;
  readonly #onEvent: (event: ControllerEvent) => void;
  #report = '';

  constructor(dir: string, onEvent: (event: ControllerEvent) => void) {
    this.#dir = join(dir, 'status');
    this.#onEvent = onEvent;
  }

  async read(ref: ConfigRef): Promise<ConfigStatus | undefined> {
    const text = await readIfPresent(this.#file(ref));
    return text === undefined ? undefined : (parse(text) as { status: ConfigStatus }).status;
  }

  async write(ref: ConfigRef, status: ConfigStatus): Promise<void> {
    const file = this.#file(ref);
    await mkdir(dirname(file), { recursive: true });
    await replaceFile(file, stringify({ status }, { lineWidth: 0 }), 0o644);
  }

  async remove(ref: ConfigRef): Promise<void> {
    await rm(this.#file(ref), { force: true });
  }

  #file({ group, namespace, name }: ConfigRef): string {
    return join(this.#dir, namespace, `${name}.${group}.yaml`);
  }

  async emit(event: ControllerEvent): Promise<void> {
    this.#onEvent(event);
  }

  /** The whole state as one file, for `multinic status` when no controller runs. */
  async save(report: StatusReport): Promise<void> {
    const text = `${JSON.stringify(report)}\n`;
    if (text === this.#report) return;
    await mkdir(this.#dir, { recursive: true });
    await replaceFile(reportFile(join(this.#dir, '..')), text, 0o644);
    this.#report = text;
  }
}

/** @param dir the home */
export function reportFile(dir: string): string {
  return join(dir, 'status', 'report.json');
}
