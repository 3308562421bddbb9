// The file that stands for the kernel of a recorded host.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { MultinicError } from '../../api/errors.ts';
import { parseCidr } from '../../network/address.ts';
import { isMac } from '../../network/mac.ts';
import { keepAsText } from '../../network/yaml-text.ts';
import { guarded } from '../files/io-error.ts';
import { replaceFile } from '../files/durable-file.ts';
import type { Root } from '../files/root.ts';

const mac = z.string().toLowerCase().refine(isMac, 'expected a MAC: 02:00:00:00:01:00');

/** Canonical, so that texts can be compared. */
const address = z.string().transform((text, context) => {
  const cidr = parseCidr(text);
  if (cidr !== undefined) return `${cidr.text}/${cidr.prefix}`;
  context.addIssue({ code: 'custom', message: 'expected an address with its prefix: 192.168.100.10/24' });
  return z.NEVER;
});

/**
 * `host.yaml` in the root of a recorded host: the machine that the files belong to. The agent changes it as a kernel
 * would; a person may edit it to add a NIC, remove one, or reboot the machine (a new bootId).
 */
export const HostFileSchema = z.strictObject({
  /** As `nodeInfo.osImage`: `Ubuntu 22.04.4 LTS`. */
  osImage: z.string().min(1),
  machineId: z.string().min(1),
  bootId: z.string().min(1),
  /** The UUID in the machine's firmware. */
  systemUUID: z.string().min(1).exactOptional(),
  nodeAddresses: z.array(z.string()).default([]),
  links: z.array(
    z.strictObject({
      name: z.string().min(1).max(15),
      mac,
      up: z.boolean().default(true),
      mtu: z.number().int().default(1500),
      /** With prefix. */
      addresses: z.array(address).default([]),
      /** Addresses whose connected route yields to another NIC's route. */
      yields: z.array(address).exactOptional(),
      master: z.string().exactOptional(),
      /** Rules, routes and settings of source routing. */
      routing: z
        .strictObject({
          rules: z.array(z.string()).default([]),
          routes: z.array(z.string()).default([]),
          sysctls: z.record(z.string(), z.number()).default({}),
        })
        .exactOptional(),
      /** false: the link's port on the switch is shut. */
      carrier: z.boolean().exactOptional(),
    }),
  ),
  /** `to` is `default` or a network. Routes that follow from an address are left out. */
  routes: z
    .array(z.strictObject({ to: z.string(), via: z.string().exactOptional(), dev: z.string() }))
    .default([]),
  /** Links on top of other links. */
  uppers: z.array(z.strictObject({ name: z.string(), lower: z.string() })).exactOptional(),
  /** Other machines on the networks of the links, which answer for their addresses (without prefix). */
  neighbours: z.array(z.strictObject({ address: z.string(), mac })).default([]),
  /**
   * A restore that the agent armed and did not disarm. No timer fires on a recorded host; the next run does the work of
   * the restore.
   */
  deadMan: z.strictObject({ seconds: z.number() }).exactOptional(),
});
export type HostFile = z.infer<typeof HostFileSchema>;

const FILE = 'host.yaml';
const MAX_BYTES = 1024 * 1024;

/** @throws MultinicError `HostUnreadable` */
export function readHostFile(root: Root): HostFile {
  const path = join(root.dir, FILE);
  if (!existsSync(path)) throw unreadable('there is no such file in the host’s root');
  if (statSync(path).size > MAX_BYTES) throw unreadable('larger than 1 MiB');
  const document = parseDocument(readFileSync(path, 'utf8'));
  if (document.errors[0] !== undefined) throw unreadable(document.errors[0].message.split('\n')[0] ?? '');
  keepAsText(document, 'machineId', 'bootId', 'systemUUID');
  const parsed = HostFileSchema.safeParse(document.toJS());
  if (!parsed.success) throw unreadable(z.prettifyError(parsed.error).replaceAll('\n', ' '));
  return parsed.data;
}

export function writeHostFile(root: Root, host: HostFile): void {
  guarded(FILE, () => {
    const path = join(root.dir, FILE);
    // Edits the document instead of replacing it, so that a person's comments stay.
    const document = parseDocument(readFileSync(path, 'utf8'));
    document.set('links', host.links);
    document.set('routes', host.routes);
    if (host.deadMan === undefined) document.delete('deadMan');
    else document.set('deadMan', host.deadMan);
    replaceFile(path, document.toString({ lineWidth: 0 }), 0o644);
  });
}

function unreadable(why: string): MultinicError {
  return new MultinicError(
    'HostUnreadable',
    `${FILE}: ${why}; mend the file, docs/agent-tools.md has its keys`,
  );
}
