// Judges a MultiNicBizConfig as a whole and entry by entry, so that a bad entry changes nothing on its node while the
// other nodes go on. An admitted entry is normalised; a refusal names the field and the remedy.

import type { z } from 'zod';
import { keyOfAddress, linkLocalProblem } from './link-local.ts';
import { InvalidInputError, type Problem } from '../api/errors.ts';
import { KIND } from '../api/api-groups.ts';
import { InterfaceConfig, MultiNicBizConfigSpec, NodeConfig } from '../api/multinicbizconfig.ts';
import {
  contains,
  networkAddress,
  parseAddress,
  parseCidr,
  reserved,
  type Address,
  type Cidr,
} from './address.ts';
import { checkNetwork } from './check.ts';
import { readRouting, type Routing } from './routing-fields.ts';
import {
  addressesOf,
  DEFAULT_MTU,
  indexOfName,
  MAX_MTU,
  MIN_MTU,
  type WantedInterface,
} from './interface.ts';
import { parseMac } from './mac.ts';
import { isNodeId, isNodeName, isPlainText, nodeIdKey, plural } from './text.ts';
import type { Reason } from '../api/reasons/reasons.ts';

export interface AdmittedEntry {
  /** Index in nodeConfigs. */
  readonly index: number;
  /** Absent: the entry has none, or its text is no ID. */
  readonly nodeId?: string;
  readonly nodeName?: string;
  /** The entry as its CR has it, before any check. */
  readonly raw: unknown;
  /** Absent: the entry has problems. */
  readonly wanted?: readonly WantedInterface[];
  readonly problems: readonly Problem[];
}

export interface AdmittedConfig {
  readonly providerId?: string;
  readonly specHash?: string;
  /** The spec without nodeConfigs, before any check. */
  readonly rest: Record<string, unknown>;
  readonly entries: readonly AdmittedEntry[];
  /** Problems that refuse nothing. */
  readonly warnings: readonly Problem[];
}

/** The API server's limit for one object. A CR in a folder has the same limit, so that it can move to a cluster. */
const MAX_SPEC_BYTES = 1.5 * 1024 * 1024;

/**
 * @param judged entries that were judged before, by their JSON; they are not judged again
 * @throws InvalidInputError `InvalidConfig` when the config is invalid as a whole
 */
export function admitConfig(
  raw: { readonly spec: unknown },
  judged: ReadonlyMap<string, JudgedEntry> = new Map(),
): AdmittedConfig {
  const problems: Problem[] = [];
  const { nodeConfigs, ...rest } = checkSpec(raw.spec);
  const providerId = readText(rest['providerId'], 'spec.providerId', 'InvalidProviderId', problems);
  const specHash = readText(rest['specHash'], 'spec.specHash', 'InvalidSpecHash', problems);
  if (problems.length > 0) throw refusal(problems);
  const twice = refuseTwice(
    nodeConfigs.map((entry, index) => {
      const known = judged.get(JSON.stringify(entry));
      return {
        index,
        ...(known === undefined ? admitEntry(entry, pathOf(index)) : { ...known, raw: entry }),
      };
    }),
  );
  const { entries, warnings } = refuseLinkLocal(twice, judged);
  return {
    ...(providerId !== undefined && { providerId }),
    ...(specHash !== undefined && { specHash }),
    rest,
    entries,
    warnings: [
      ...unknownFields(rest, nodeConfigs),
      ...sharedByNodes(entries),
      ...warnings,
      ...impossibleNames(entries),
    ],
  };
}

/** The verdict on an entry, without the entry's place in nodeConfigs. */
export type JudgedEntry = Omit<AdmittedEntry, 'index' | 'raw'>;

/**
 * Judges one entry of nodeConfigs by itself.
 * @param path path of the entry in the problems: `spec.nodeConfigs[1]`
 */
export function admitEntry(raw: unknown, path: string): Omit<AdmittedEntry, 'index'> {
  if (!isRecord(raw)) {
    const message = `is ${kindOf(raw)}; write attachedNodeId and interfaces`;
    return { raw, problems: [{ path, code: 'InvalidEntry', message }] };
  }
  const problems: Problem[] = [];
  const nodeId = readNodeId(raw['attachedNodeId'], `${path}.attachedNodeId`, problems);
  const nodeName = readText(raw['attachedNodeName'], `${path}.attachedNodeName`, 'InvalidNodeName', problems);
  const wanted = readInterfaces(raw['interfaces'], `${path}.interfaces`, problems);
  return {
    ...(nodeId !== undefined && { nodeId }),
    ...(nodeName !== undefined && { nodeName }),
    raw,
    ...(problems.length === 0 && { wanted }),
    problems,
  };
}

type Raw = Readonly<Record<string, unknown>>;

function checkSpec(spec: unknown): Record<string, unknown> & { nodeConfigs: readonly unknown[] } {
  if (!isRecord(spec)) {
    throw invalid('spec', 'InvalidSpec', `is ${kindOf(spec)}; write nodeConfigs into it`);
  }
  const { nodeConfigs } = spec;
  if (!Array.isArray(nodeConfigs)) {
    const message = `is ${kindOf(nodeConfigs)}; write a list, and [] to say that it configures no node`;
    throw invalid('spec.nodeConfigs', 'InvalidNodeConfigs', message);
  }
  const bytes = sizeOf(spec);
  if (bytes === undefined) {
    throw invalid('spec', 'InvalidSpec', 'contains itself; write it without YAML anchors');
  }
  if (bytes > MAX_SPEC_BYTES) {
    const message = `has ${bytes} bytes as JSON, and ${MAX_SPEC_BYTES} fit; split it into several`;
    throw invalid('spec', 'SpecTooLarge', message);
  }
  return { ...spec, nodeConfigs };
}

/** Bytes of a spec as JSON; undefined: the spec has no JSON, for example because a YAML anchor contains itself. */
function sizeOf(spec: Raw): number | undefined {
  try {
    return Buffer.byteLength(JSON.stringify(spec));
  } catch {
    return undefined;
  }
}

function readNodeId(raw: unknown, path: string, problems: Problem[]): string | undefined {
  if (isBlank(raw)) {
    problems.push({
      path,
      code: 'MissingNodeId',
      message: "is missing; write the node's OpenStack instance ID",
    });
  } else if (typeof raw !== 'string' || !isNodeId(raw)) {
    const message = `is ${kindOf(raw)}, which can't be an ID; write the instance ID in letters, digits, "-", "_" and "." (not "..", not at the ends, not .lock; 253 at most)`;
    problems.push({ path, code: 'InvalidNodeId', message });
  } else return raw;
  return undefined;
}

/** Reads a text that is for people only; a blank text counts as absent. */
function readText(raw: unknown, path: string, code: Reason, problems: Problem[]): string | undefined {
  if (isBlank(raw)) return undefined;
  if (typeof raw === 'string' && isPlainText(raw)) return raw;
  const message = `is ${kindOf(raw)}; write one line of at most 253 visible characters, without "<", ">", blanks at the ends or a last backslash`;
  problems.push({ path, code, message });
  return undefined;
}

function readInterfaces(raw: unknown, path: string, problems: Problem[]): WantedInterface[] {
  if (!Array.isArray(raw)) {
    const found = isBlank(raw) ? 'is missing' : `is ${kindOf(raw)}`;
    const code = isBlank(raw) ? 'MissingInterfaces' : 'InvalidInterfaces';
    problems.push({ path, code, message: `${found}; write a list, and [] to mean none` });
    return [];
  }
  const read = raw.map((item: unknown, index) => ({
    at: `${path}[${index}]`,
    nic: readInterface(item, `${path}[${index}]`, problems),
  }));
  const good = read.flatMap(({ at, nic }) => (nic === undefined ? [] : [{ at, nic }]));
  const wanted = good.map(({ nic }) => nic);
  const at = (index: number, field?: string): string =>
    [good[index]?.at ?? path, ...(field === undefined ? [] : [field])].join('.');
  problems.push(...checkNetwork(wanted, at));
  return wanted;
}

type Item = z.infer<typeof InterfaceConfig>;

function readInterface(raw: unknown, path: string, problems: Problem[]): WantedInterface | undefined {
  if (!isRecord(raw)) {
    const message = `is ${kindOf(raw)}; write macAddress, address and cidr`;
    problems.push({ path, code: 'InvalidInterface', message });
    return undefined;
  }
  // A field with "" or null counts as absent, because some clients always write every field.
  const written = Object.fromEntries(Object.entries(raw).filter(([, value]) => !isBlank(value)));
  const shape = InterfaceConfig.safeParse(written);
  const misshapen = new Set(shape.error?.issues.map(({ path: [field] }) => String(field)));
  const { mtu: bytes } = written;
  if (typeof bytes === 'number' && (bytes < MIN_MTU || bytes > MAX_MTU)) misshapen.add('mtu');
  const found = [...misshapen].map((field) => shapeProblem(path, field, written));
  // Judge the well-formed fields too, so that a person sees all problems of the entry at once.
  const shapely = Object.entries(written).filter(([field]) => !misshapen.has(field));
  const item: Item = shape.data ?? InterfaceConfig.parse(Object.fromEntries(shapely));
  if (written['macAddress'] === undefined) {
    const message = "is missing; write the MAC of the port, as OpenStack's port list shows it";
    found.push({ path: `${path}.macAddress`, code: 'MissingMac', message });
  }
  const portId = readText(item.portId, `${path}.portId`, 'InvalidPortId', found);
  const { name, macAddress, takeover, mtu = DEFAULT_MTU } = item;
  if (name !== undefined && indexOfName(name) === undefined) found.push(shapeProblem(path, 'name', written));
  const routing = readRouting(item, path, found);
  const isLinkOnly = item.linkOnly === true;
  if (isLinkOnly) refuseBesideLinkOnly(written, path, found);
  const readable = !isLinkOnly && !misshapen.has('address') && !misshapen.has('cidr');
  const subnet = readable ? readSubnet(item, path, found) : undefined;
  problems.push(...found);
  const mac = macAddress === undefined ? undefined : parseMac(macAddress);
  if (found.length > 0 || (subnet === undefined && !isLinkOnly) || mac === undefined) return undefined;
  return {
    mac,
    ...subnet,
    mtu,
    ...(subnet && withoutOwn(routing, subnet)),
    ...(portId !== undefined && { portId }),
    ...(takeover === true && { takeover }),
    ...(name !== undefined && { name }),
  };
}

/** Fields that a link-only NIC may not have. */
const ADDRESSED = ['address', 'cidr', 'addresses', 'gateway', 'gateway6', 'routes', 'sourceRouting'] as const;

function refuseBesideLinkOnly(written: Raw, path: string, problems: Problem[]): void {
  for (const field of ADDRESSED) {
    const value = written[field];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    const message = `stands beside linkOnly: true, which is for a NIC without an address; remove ${field}, or linkOnly`;
    problems.push({ path: `${path}.${field}`, code: 'InvalidLinkOnly', message });
  }
}

/** A person may write the address of the port among the further ones, too. */
function withoutOwn(routing: Routing, own: { address: string; prefix: number }): Routing {
  const { furtherAddresses = [], ...rest } = routing;
  const others = furtherAddresses.filter((text) => text !== `${own.address}/${own.prefix}`);
  return { ...rest, ...(others.length > 0 && { furtherAddresses: others }) };
}

const SHAPES: Readonly<Partial<Record<string, readonly [code: Reason, remedy: string]>>> = {
  portId: ['InvalidPortId', 'write text'],
  macAddress: ['InvalidMac', 'write six pairs of hex digits, quoted: "fa:16:3e:5e:62:3e"'],
  address: ['InvalidAddress', 'write an address such as 192.168.100.10'],
  cidr: ['InvalidCidr', 'write an address or a subnet with its prefix, such as 192.168.100.10/24'],
  mtu: ['InvalidMtu', 'write an integer from 68 to 9000, or leave it out for 1500'],
  takeover: ['InvalidTakeover', 'write true or false'],
  linkOnly: ['InvalidLinkOnly', 'write true, or leave it out'],
  addresses: ['InvalidAddress', 'write a list of addresses with prefixes, such as 192.168.100.11/24'],
  gateway: ['InvalidGateway', 'write an address such as 192.168.100.1'],
  gateway6: ['InvalidGateway', 'write an address such as 2001:db8::1'],
  routes: ['InvalidRoute', 'write a list of to (10.20.0.0/16), via (192.168.100.1) and metric (a number)'],
  sourceRouting: ['InvalidSourceRouting', 'write true or false, or leave it out'],
  name: ['InvalidName', 'write multinic0 to multinic9999, or leave it out'],
};

function shapeProblem(path: string, field: string, written: Raw): Problem {
  const [code, remedy] = SHAPES[field] ?? ['InvalidField', 'correct it'];
  const value = written[field];
  return { path: `${path}.${field}`, code, message: `is ${kindOf(value)}; ${remedy}` };
}

/** Address and prefix from either form: the cidr of the address, or the cidr of the subnet with `address` beside it. */
function readSubnet(
  item: Item,
  path: string,
  problems: Problem[],
): { address: string; prefix: number } | undefined {
  const refuse = (field: 'address' | 'cidr', code: Reason, message: string): undefined => {
    problems.push({ path: `${path}.${field}`, code, message });
    return undefined;
  };
  const address = item.address === undefined ? undefined : parseAddress(item.address);
  if (item.address !== undefined && address === undefined) {
    const remedy = 'write an address such as 192.168.100.10, its prefix in cidr';
    return refuse('address', 'InvalidAddress', `is ${kindOf(item.address)}; ${remedy}`);
  }
  if (item.cidr === undefined) {
    return refuse(
      'cidr',
      'MissingCidr',
      'is missing; write the address with its prefix, such as 192.168.100.10/24, or linkOnly: true for a NIC without an address',
    );
  }
  const cidr = parseCidr(item.cidr);
  if (cidr === undefined) {
    return refuse(
      'cidr',
      'InvalidCidr',
      `is ${kindOf(item.cidr)}; write the address with its prefix, such as 192.168.100.10/24`,
    );
  }
  if (address === undefined) {
    if (reserved(cidr) === 'network') {
      return refuse(
        'address',
        'MissingAddress',
        `is missing, and cidr ${item.cidr} is a subnet; write the address of the port`,
      );
    }
    return { address: cidr.text, prefix: cidr.prefix };
  }
  if (!contains(cidr, address)) {
    return refuse(
      'address',
      'OutsideCidr',
      `${address.text} is outside cidr ${item.cidr}; make the two agree`,
    );
  }
  if (!agrees(cidr, address)) {
    return refuse(
      'address',
      'AddressMismatch',
      `is ${address.text}, but cidr has ${cidr.text}; make the two agree`,
    );
  }
  return { address: address.text, prefix: cidr.prefix };
}

/** Whether a cidr agrees with an address: the cidr has the address itself or the address of the subnet. */
function agrees(cidr: Cidr, address: Address): boolean {
  return cidr.text === address.text || cidr.text === networkAddress(cidr);
}

/** Refuses every entry of a node that has two or more entries. */
function refuseTwice(entries: readonly AdmittedEntry[]): AdmittedEntry[] {
  const byNode = Map.groupBy(entries, ({ nodeId }) => (nodeId === undefined ? undefined : nodeIdKey(nodeId)));
  return entries.map((entry) => {
    if (entry.nodeId === undefined) return entry;
    const other = byNode.get(nodeIdKey(entry.nodeId))?.find(({ index }) => index !== entry.index);
    if (other === undefined) return entry;
    const path = `${pathOf(entry.index)}.attachedNodeId`;
    const message = `${entry.nodeId} is also at ${pathOf(other.index)}; write one entry for each node`;
    return withProblems(entry, [{ path, code: 'DuplicateNode', message }]);
  });
}

/**
 * Refuses a new link-local address. An interface that an earlier version accepted gets only a warning, so that
 * installing a version touches no node.
 */
function refuseLinkLocal(
  entries: readonly AdmittedEntry[],
  judged: ReadonlyMap<string, JudgedEntry>,
): { entries: AdmittedEntry[]; warnings: Problem[] } {
  let stored: ReadonlySet<string> | undefined;
  const isStored = (nic: WantedInterface): boolean => {
    stored ??= new Set([...judged.values()].flatMap(({ wanted = [] }) => wanted.map(keyOfAddress)));
    return stored.has(keyOfAddress(nic));
  };
  const warnings: Problem[] = [];
  const result = entries.map((entry) => {
    const found = (entry.wanted ?? []).flatMap((nic, position) => {
      const problem = linkLocalProblem(nic, `${pathOf(entry.index)}.interfaces[${position}].address`);
      return problem === undefined ? [] : [{ problem, known: isStored(nic) }];
    });
    warnings.push(...found.filter(({ known }) => known).map(({ problem }) => problem));
    return withProblems(
      entry,
      found.filter(({ known }) => !known).map(({ problem }) => problem),
    );
  });
  return { entries: result, warnings };
}

/** Adds problems to an entry. An entry with a problem configures nothing. */
export function withProblems(entry: AdmittedEntry, more: readonly Problem[]): AdmittedEntry {
  if (more.length === 0) return entry;
  const { wanted: _, ...refused } = entry;
  return { ...refused, problems: [...entry.problems, ...more] };
}

/**
 * One warning for all names that no node can have. Such names are ignored, because OpenStack's display names may have
 * any form.
 */
function impossibleNames(entries: readonly AdmittedEntry[]): Problem[] {
  const odd = entries.filter(({ nodeName }) => nodeName !== undefined && !isNodeName(nodeName));
  const [first] = odd;
  if (first === undefined) return [];
  const more = odd.length === 1 ? '' : `, nor ${plural(odd.length - 1, 'more name')} of this CR`;
  const message = `${JSON.stringify(first.nodeName)} can be no node's name${more}; the ID alone finds the node`;
  return [{ path: `${pathOf(first.index)}.attachedNodeName`, code: 'ImpossibleNodeName', message }];
}

/**
 * Warns of MACs and addresses that several nodes have. Does not refuse them, because OpenStack networks may overlap.
 */
function sharedByNodes(entries: readonly AdmittedEntry[]): Problem[] {
  const warnings: Problem[] = [];
  const firsts = new Map<string, { readonly node: number; readonly path: () => string }>();
  for (const { index, wanted = [] } of entries) {
    for (const [position, nic] of wanted.entries()) {
      const addresses = addressesOf(nic).map((each, place) => {
        return [place === 0 ? 'address' : 'addresses', 'SharedAddress', each] as const;
      });
      for (const [field, code, value] of [['macAddress', 'SharedMac', nic.mac] as const, ...addresses]) {
        // Thousands of paths would be made for nothing, because a warning is rare.
        const path = (): string => `${pathOf(index)}.interfaces[${position}].${field}`;
        const first = firsts.get(value);
        if (first === undefined) firsts.set(value, { node: index, path });
        else if (first.node !== index) {
          const message = `${value} is also at ${first.path()}; correct it unless the two are in different networks`;
          warnings.push({ path: path(), code, message });
        }
      }
    }
  }
  return warnings;
}

/**
 * Finds unknown fields, which are typing errors in a folder's file. In a cluster the API server prunes unknown fields
 * before the controller sees them.
 */
function unknownFields(rest: Raw, nodeConfigs: readonly unknown[]): Problem[] {
  const warnings: Problem[] = [];
  const check = (raw: unknown, known: object, path: string): void => {
    for (const field of isRecord(raw) ? Object.keys(raw) : []) {
      if (Object.hasOwn(known, field)) continue;
      const message = `is no field of a ${KIND} and is ignored; remove it, or correct its spelling`;
      warnings.push({ path: `${path}.${field}`, code: 'UnknownField', message });
    }
  };
  check(rest, MultiNicBizConfigSpec.shape, 'spec');
  for (const [index, entry] of nodeConfigs.entries()) {
    check(entry, NodeConfig.shape, pathOf(index));
    const items: unknown = isRecord(entry) ? entry['interfaces'] : undefined;
    if (!Array.isArray(items)) continue;
    for (const [position, item] of items.entries()) {
      check(item, InterfaceConfig.shape, `${pathOf(index)}.interfaces[${position}]`);
    }
  }
  return warnings;
}

function pathOf(index: number): string {
  return `spec.nodeConfigs[${index}]`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isBlank(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** A value as messages show it: short, and a structure by its kind only. */
function kindOf(value: unknown): string {
  if (isBlank(value)) return 'missing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function invalid(path: string, code: Reason, message: string): InvalidInputError {
  return refusal([{ path, code, message }]);
}

function refusal(problems: readonly Problem[]): InvalidInputError {
  return new InvalidInputError('InvalidConfig', 'the MultiNicBizConfig', problems);
}
