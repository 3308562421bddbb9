import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { MultinicError } from '../api/errors.ts';
import { contains, parseAddress, parseCidr } from '../network/address.ts';
import type { RendererKind } from '../network/node.ts';
import { nextBoot, type NextBoot } from './foreign/next-boot.ts';
import type { BootNic } from './foreign/systemd-files.ts';
import { readBoot } from './foreign/boot-folders.ts';
import { generate } from './foreign/generator.ts';
import type {
  Claim,
  Conflict,
  Host,
  HostState,
  LinkStep,
  MachineIdentity,
  Readiness,
  Route,
  Way,
} from './host/host.ts';
import { guarded } from './files/io-error.ts';
import { readManaged } from './files/managed-files.ts';
import type { Probe } from './host/probe.ts';
import { heldAddresses, isSameFamily } from './host/links.ts';
import { replaceFile, type Root } from './files/root.ts';

const mac = z
  .string()
  .regex(/^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$/)
  .transform((text) => text.toLowerCase());

/** Canonical, so that texts can be compared. */
const address = z.string().transform((text, context) => {
  const cidr = parseCidr(text);
  if (cidr !== undefined) return `${cidr.text}/${cidr.prefix}`;
  context.addIssue({ code: 'custom', message: 'expected an address with its prefix: 192.168.100.10/24' });
  return z.NEVER;
});

/**
 * `host.yaml` in the root of an offline host: the machine that its files belong to. The agent changes it as a kernel
 * would; a person may edit it to add a NIC, take one away, or reboot the machine (a new bootId).
 */
export const HostFileSchema = z.strictObject({
  /** As `nodeInfo.osImage`: `Ubuntu 22.04.4 LTS`. */
  osImage: z.string().min(1),
  machineId: z.string().min(1),
  bootId: z.string().min(1),
  nodeAddresses: z.array(z.string()).default([]),
  links: z.array(
    z.strictObject({
      name: z.string().min(1).max(15),
      mac,
      up: z.boolean().default(true),
      mtu: z.number().int().default(1500),
      /** With prefix. */
      addresses: z.array(address).default([]),
      master: z.string().exactOptional(),
      /** false: its port is shut. */
      carrier: z.boolean().exactOptional(),
    }),
  ),
  /** `to` is `default` or a network; those that follow from an address are left out. */
  routes: z
    .array(z.strictObject({ to: z.string(), via: z.string().exactOptional(), dev: z.string() }))
    .default([]),
  /** Links that stand on others. */
  uppers: z.array(z.strictObject({ name: z.string(), lower: z.string() })).exactOptional(),
  /** Other machines on the networks of this one's links, which answer for their addresses (without prefix). */
  neighbours: z.array(z.strictObject({ address: z.string(), mac })).default([]),
  /** A restore that the agent armed and nobody disarmed. Nothing fires it on an offline host; the next run does its work. */
  deadMan: z.strictObject({ seconds: z.number() }).exactOptional(),
});
type HostFile = z.infer<typeof HostFileSchema>;

const FILE = 'host.yaml';
const MAX_BYTES = 1024 * 1024;

/** A root folder with a recorded machine: the host of the local home. */
export class OfflineHost implements Host {
  readonly #root: Root;

  constructor(root: Root) {
    this.#root = root;
  }

  async state(): Promise<HostState> {
    const { deadMan: _, neighbours: __, links, ...state } = this.#read();
    return { ...state, links: links.map(({ carrier: ___, ...link }) => link) };
  }

  async ways({ to, from }: Parameters<Host['ways']>[0]): Promise<Way[]> {
    const host = this.#read();
    return to.flatMap((each) => {
      const way = routeTo(each, host);
      const sources = from.filter((source) => isSameFamily(source, each));
      return way === undefined ? [] : [way, ...sources.map((source) => ({ ...way, from: source }))];
    });
  }

  async validate(kinds: readonly RendererKind[], staging: string): Promise<void> {
    for (const kind of kinds) generate(kind, (folder) => filesIn(join(staging, folder)));
  }

  async nextBoot(nics: readonly BootNic[], kind: RendererKind, staging?: string): Promise<NextBoot[]> {
    return kind === 'netplan' ? [] : nextBoot(nics, readBoot(this.#root, staging));
  }

  async change(step: LinkStep): Promise<void> {
    const host = this.#read();
    const links = host.links.map((link) => ({ ...link }));
    const link = links.find((each) => each.mac === step.mac);
    if (link === undefined) throw refused(step, 'no such device');
    switch (step.op) {
      case 'rename':
        if (links.some((each) => each.name === step.to)) throw refused(step, 'a link of that name exists');
        link.name = step.to;
        // Routes belong to the device, not to its name.
        for (const route of host.routes) if (route.dev === step.from) route.dev = step.to;
        break;
      case 'ipv6':
        throw refused(step, 'a recorded machine has no such settings');
      case 'set':
        if (step.mtu < 68 || step.mtu > 65_535) throw refused(step, 'MTU out of range');
        link.mtu = step.mtu;
        link.up = step.up;
        break;
      case 'add':
        if (link.addresses.includes(step.address)) throw refused(step, 'the address exists');
        link.addresses = [...link.addresses, step.address];
        break;
      case 'drop':
        if (!link.addresses.includes(step.address)) throw refused(step, 'no such address');
        link.addresses = link.addresses.filter((address) => address !== step.address);
        break;
    }
    this.#write({ ...host, links });
  }

  async identity(): Promise<MachineIdentity> {
    const { machineId, bootId } = this.#read();
    return { machineId, bootId };
  }

  /** Whoever attaches a NIC here edits the file. */
  async attached(): Promise<void> {}

  async conflicts(claims: readonly Claim[]): Promise<Conflict[]> {
    return this.#conflicts(claims.filter(({ address: each }) => !each.includes(':')));
  }

  async readiness(macs: readonly string[]): Promise<Readiness[]> {
    const links = this.#read().links.filter((link) => macs.includes(link.mac));
    return links.map((link) => {
      const claims = link.addresses.map((each) => ({ mac: link.mac, address: each }));
      const duplicates = this.#conflicts(claims).map((conflict) => conflict.address);
      return { mac: link.mac, carrier: link.carrier !== false, duplicates, undecided: [] };
    });
  }

  async answers({ host }: Probe): Promise<boolean> {
    return this.#read().neighbours.some((each) => each.address === host);
  }

  async profiles(): Promise<undefined> {}

  async settle(): Promise<void> {}

  isNetworkds(): boolean {
    return false;
  }

  async retaken(): Promise<void> {}

  /** Routes of a recorded machine stay where they are. */
  async others(): Promise<[]> {
    return [];
  }

  async giveBack(): Promise<[]> {
    return [];
  }

  /** As a network manager that starts: every managed file whose NIC is here takes effect. */
  async reload(): Promise<void> {
    const host = this.#read();
    const links = host.links.map((link) => {
      const nic = readManaged(this.#root).find((managed) => managed.nic?.mac === link.mac)?.nic;
      return nic === undefined
        ? link
        : { ...link, up: true, mtu: nic.mtu, addresses: [`${nic.address}/${nic.prefix}`] };
    });
    this.#write({ ...host, links });
  }

  async arm(seconds: number): Promise<void> {
    this.#write({ ...this.#read(), deadMan: { seconds } });
  }

  async disarm(): Promise<void> {
    const { deadMan, ...host } = this.#read();
    if (deadMan !== undefined) this.#write(host);
  }

  #conflicts(claims: readonly Claim[]): Conflict[] {
    const { neighbours } = this.#read();
    return claims.flatMap((claim) => {
      const holder = neighbours.find((each) => each.address === claim.address.split('/')[0]);
      return holder === undefined ? [] : [{ ...claim, holder: holder.mac }];
    });
  }

  get #path(): string {
    return join(this.#root.dir, FILE);
  }

  #read(): HostFile {
    if (!existsSync(this.#path)) throw unreadable('there is no such file in the host’s root');
    if (statSync(this.#path).size > MAX_BYTES) throw unreadable('larger than 1 MiB');
    const document = parseDocument(readFileSync(this.#path, 'utf8'));
    if (document.errors[0] !== undefined) throw unreadable(document.errors[0].message.split('\n')[0] ?? '');
    const parsed = HostFileSchema.safeParse(document.toJS());
    if (!parsed.success) throw unreadable(z.prettifyError(parsed.error).replaceAll('\n', ' '));
    return parsed.data;
  }

  #write(host: HostFile): void {
    guarded(FILE, () => {
      // The document is edited, not replaced: what a person wrote at its head stays.
      const document = parseDocument(readFileSync(this.#path, 'utf8'));
      document.set('links', host.links);
      document.set('routes', host.routes);
      if (host.deadMan === undefined) document.delete('deadMan');
      else document.set('deadMan', host.deadMan);
      replaceFile(this.#path, document.toString({ lineWidth: 0 }), 0o644);
    });
  }
}

/** The way by the longest prefix; undefined for names and for what nothing leads to. */
function routeTo(address: string, host: Pick<HostState, 'links' | 'routes'>): Way | undefined {
  const target = parseAddress(address);
  if (target === undefined) return undefined;
  const connected = host.links.flatMap((link) =>
    heldAddresses(link).map((to): Route => ({ to, dev: link.name })),
  );
  const ways = [...connected, ...host.routes].flatMap(({ to, dev, via }) => {
    const network = parseCidr(to === 'default' ? (target.family === 4 ? '0.0.0.0/0' : '::/0') : to);
    if (network === undefined || !contains(network, target)) return [];
    return [{ way: { to: address, dev, ...(via !== undefined && { via }) }, prefix: network.prefix }];
  });
  return ways.toSorted((a, b) => b.prefix - a.prefix)[0]?.way;
}

function unreadable(why: string): MultinicError {
  return new MultinicError('HostUnreadable', `${FILE}: ${why}; mend the file, docs/agent.md has its keys`);
}

function refused(step: LinkStep, why: string): MultinicError {
  return new MultinicError(
    'LinkRefused',
    `${step.op} of ${step.mac}: ${why}; look at \`ip link\` on the node`,
    {
      data: { step },
    },
  );
}

function filesIn(folder: string): Map<string, string> {
  if (!existsSync(folder)) return new Map();
  return new Map(
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [entry.name, readFileSync(join(folder, entry.name), 'utf8')]),
  );
}
