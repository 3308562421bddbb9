// Finds the file that gives a NIC its name at the next boot, and the file that gives its addresses. udev, networkd and
// NetworkManager choose by file name across all of their folders, or by priority.
import { MultinicError } from '../../api/errors.ts';
import { cidrsOf, isLinkOnly, ownCidrOf, type Interface, type Network } from '../../network/interface.ts';
import { routingOf } from '../../network/source-routing.ts';
import type { RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import type { Mac } from '../../network/mac.ts';
import { profileFor } from './boot-profiles.ts';
import type { ReadFolder } from './boot-folders.ts';
import { readIfcfgs } from './ifcfg-files.ts';
import type { IniEntry } from './ini-entries.ts';
import { systemdFileFor, valuesOf, type BootNic, type SystemdFile } from './systemd-files.ts';
import { givenName, type GivenName } from './udev-names.ts';

export interface BootChoice {
  readonly file: string;
  /** Values that the file gives: a name, or addresses with prefix. */
  readonly gives: readonly string[];
  /** The file uses DHCP. */
  readonly dhcp?: boolean;
  /** MTU in bytes. */
  readonly mtu?: number;
  /** Settings that go beyond the commit, as `Section.Key`: `Network.Gateway`. */
  readonly beyond?: readonly string[];
  /** Drop-ins of the file. */
  readonly dropIns?: readonly string[];
  /** Source addresses of the rules that the file adds: `192.0.2.10/32`. */
  readonly rules?: readonly string[];
}

/** Files that count for a NIC at the next boot. Absent: no file decides. */
export interface NextBoot {
  readonly mac: Mac;
  /** A .link file or a udev rule; gives one name, or none (the kernel's, or udev's policy). */
  readonly link?: BootChoice;
  /** The .network file that networkd takes. */
  readonly network?: BootChoice;
  /** The profile that NetworkManager takes. */
  readonly profile?: BootChoice;
}

export function nextBoot(nics: readonly BootNic[], read: ReadFolder): NextBoot[] {
  const ifcfgs = readIfcfgs(read);
  return nics.map((nic) => {
    const given = givenName(nic, ifcfgs, read);
    const names = given?.name === undefined ? nic.names : [given.name];
    const network = systemdFileFor('.network', { ...nic, names }, read);
    const profile = profileFor(nic.mac, names, ifcfgs, read);
    return {
      mac: nic.mac,
      ...(given && { link: linkChoice(given) }),
      ...(network && { network: networkChoice(network) }),
      ...(profile && {
        profile: { file: profile.file, gives: profile.gives, ...(profile.dhcp && { dhcp: true }) },
      }),
    };
  });
}

/** The .network file that systemd-networkd takes for a NIC of these names. */
export function networkFile(nic: BootNic, read: ReadFolder): string | undefined {
  return systemdFileFor('.network', nic, read)?.file;
}

/**
 * Refuses a plan if, for any NIC of the commit, another file than ours takes effect at the next boot.
 * @param boots the NICs' next boots, in the order of the network
 * @throws MultinicError `NotAtNextBoot` naming the file that would win
 */
export function refuseOverridden(network: Network, boots: readonly NextBoot[], kind: RendererKind): void {
  for (const nic of network) refuseNic(nic, boots, kind);
}

/** A NIC that another file than ours configures at the next boot. */
export interface OverriddenNic {
  readonly nic: Interface;
  /** The file that takes effect; absent: no file does. */
  readonly file?: string;
  /** The state of the NIC after the boot, as the end of a sentence. */
  readonly effect: string;
}

/** All NICs that `refuseOverridden` refuses. */
export function findOverridden(
  network: Network,
  boots: readonly NextBoot[],
  kind: RendererKind,
): OverriddenNic[] {
  return network.flatMap((nic) => {
    try {
      refuseNic(nic, boots, kind);
      return [];
    } catch (error) {
      if (!(error instanceof MultinicError)) throw error;
      const { file, effect } = error.data as { file?: string; effect: string };
      return [{ nic, effect, ...(file !== undefined && { file }) }];
    }
  });
}

function refuseNic(nic: Interface, boots: readonly NextBoot[], kind: RendererKind): void {
  const boot = boots.find(({ mac }) => mac === nic.mac);
  if (boot === undefined) return;
  const [name] = boot.link?.gives ?? [];
  // A recorded host may lack the udev rule that names NICs by ifcfg files, so a missing name is no fault there.
  if (name !== nic.name && (kind !== 'ifcfg' || boot.link !== undefined))
    throw loses(nic, boot.link, `is named ${name ?? 'by the kernel'}`);
  if (boot.link !== undefined) refuseBeyond(nic, boot.link);
  if (kind === 'netplan') refuseNetwork(nic, boot.network);
  else refuseProfile(nic, boot.profile, kind);
}

function refuseNetwork(nic: Interface, choice: BootChoice | undefined): void {
  if (choice === undefined) {
    throw new MultinicError(
      'NotAtNextBoot',
      `at the next boot systemd-networkd has nothing for ${nic.name} (${nic.mac}): netplan’s renderer on this node is another (renderer: NetworkManager?); write a file that netplan reads after ours, /etc/netplan/99-renderer.yaml with \`network: {ethernets: {${nic.netplanId ?? nic.name}: {renderer: networkd}}}\`, or keyfile in the annotation multinic.io/renderer on the Node, then run \`multinic retry\``,
      { data: { mac: nic.mac, effect: 'gets nothing from systemd-networkd' } },
    );
  }
  const isOther = isLinkOnly(nic) && choice.gives.length > 0;
  if (isOther || cidrsOf(nic).some((address) => !choice.gives.includes(address))) {
    throw loses(nic, choice, `gets ${choice.gives.join(', ') || 'no address'}`);
  }
  const [unruled] = routingOf(nic).rules.filter(({ from }) => choice.rules?.includes(from) !== true);
  if (unruled !== undefined) throw loses(nic, choice, `gets no rule from ${unruled.from}`);
  if (choice.dhcp === true) throw loses(nic, choice, 'asks a DHCP server');
  refuseBeyond(nic, choice);
}

function refuseBeyond(nic: Interface, choice: BootChoice): void {
  const { mtu = nic.mtu, beyond = [] } = choice;
  if (mtu !== nic.mtu) throw loses(nic, choice, `gets MTU ${mtu} instead of ${nic.mtu}`);
  // Rules and routes in our own files are wanted.
  const isRouted = nic.sourceRouting === true || nic.routes !== undefined;
  const more = isRouted ? beyond.filter((key) => !ROUTING.test(key)) : beyond;
  // A takeover is deliberate: the person knows the foreign file.
  if (more.length > 0 && nic.takeover !== true) throw loses(nic, choice, `gets ${more.join(', ')} too`);
}

function refuseProfile(nic: Interface, choice: BootChoice | undefined, kind: RendererKind): void {
  if (choice === undefined || rendererOf(kind).manages(choice.file)) return;
  throw loses(nic, choice, 'gets another profile');
}

/** Files that netplan's generator writes. */
const OF_NETPLAN = /^run\/systemd\/network\/10-netplan-[^/]+$/;

function loses(nic: Interface, choice: BootChoice | undefined, what: string): MultinicError {
  const files = choice === undefined ? [] : [choice.file, ...(choice.dropIns ?? [])];
  const by = files.length === 0 ? '' : ` by ${files.join(' and ')}`;
  const remedy = files.some((file) => OF_NETPLAN.test(file))
    ? ', which netplan makes of all files in /etc/netplan, /run/netplan and /lib/netplan that name the NIC; take that NIC out of the others'
    : '; take that NIC out of the file, or remove it';
  return new MultinicError(
    'NotAtNextBoot',
    `at the next boot ${nic.mac}, which is to be ${nic.name} ${ownCidrOf(nic) ?? 'without an address'}, ${what}${by}${remedy}, then run \`multinic retry\``,
    { data: { mac: nic.mac, effect: what, ...(choice && { file: choice.file }) } },
  );
}

function linkChoice({ file, name, link }: GivenName): BootChoice {
  const mtu = link && valuesOf(link.entries, 'Link.MTUBytes').at(-1);
  const beyond = link === undefined ? [] : keysBeyond(link.entries, OF_A_LINK);
  return choice(file, link, name === undefined ? [] : [name], { mtu, beyond });
}

function networkChoice(file: SystemdFile): BootChoice {
  const { entries } = file;
  const gives = [...valuesOf(entries, 'Network.Address'), ...valuesOf(entries, 'Address.Address')];
  return choice(file.file, file, gives, {
    dhcp: isOn(valuesOf(entries, 'Network.DHCP').at(-1) ?? 'no'),
    mtu: valuesOf(entries, 'Link.MTUBytes').at(-1),
    beyond: keysBeyond(entries, OF_A_NETWORK),
    rules: valuesOf(entries, 'RoutingPolicyRule.From'),
  });
}

interface ChoiceFacts {
  readonly dhcp?: boolean;
  readonly mtu: string | undefined;
  readonly beyond: readonly string[];
  readonly rules?: readonly string[];
}

function choice(
  file: string,
  systemd: SystemdFile | undefined,
  gives: readonly string[],
  { dhcp = false, mtu, beyond, rules = [] }: ChoiceFacts,
): BootChoice {
  return {
    file,
    gives,
    ...(dhcp && { dhcp }),
    ...(mtu !== undefined && { mtu: Number(mtu) }),
    ...(beyond.length > 0 && { beyond }),
    ...(rules.length > 0 && { rules }),
    ...(systemd !== undefined && systemd.dropIns.length > 0 && { dropIns: systemd.dropIns }),
  };
}

/**
 * Keys that netplan writes for one of our NICs, each with the values that agree with the commit; undefined: any value.
 */
type Expected = Readonly<Record<string, RegExp | undefined>>;

const NO = /^(no|false|off|0|n|f)$/i;
const OF_A_LINK: Expected = {
  'Link.Name': undefined,
  'Link.MTUBytes': undefined,
  'Link.Description': undefined,
  'Link.Alias': undefined,
  'Link.WakeOnLan': undefined,
  'Link.NamePolicy': undefined,
  'Link.MACAddressPolicy': /^(persistent|none)?$/,
};
const OF_A_NETWORK: Expected = {
  'Link.MTUBytes': undefined,
  'Link.RequiredForOnline': undefined,
  'Link.RequiredFamilyForOnline': undefined,
  'Link.ActivationPolicy': /^(up|always-up)$/,
  'Network.Address': undefined,
  'Address.Address': undefined,
  'Address.Scope': undefined,
  'Address.RouteMetric': undefined,
  'Address.AddPrefixRoute': undefined,
  'Address.Label': undefined,
  'Address.DuplicateAddressDetection': undefined,
  'Network.Description': undefined,
  'Network.DHCP': undefined,
  'Network.DHCPServer': NO,
  'Network.LinkLocalAddressing': /^(no|false|off|0|ipv6|yes|true)$/i,
  'Network.IPv6AcceptRA': NO,
  'Network.IPv6LinkLocalAddressGenerationMode': undefined,
  'Network.IPv6PrivacyExtensions': NO,
  'Network.IPv6DuplicateAddressDetection': undefined,
  'Network.ConfigureWithoutCarrier': undefined,
  'Network.IgnoreCarrierLoss': undefined,
  'Network.KeepConfiguration': undefined,
  'Network.KeepMaster': undefined,
  'Network.LLDP': undefined,
  'Network.EmitLLDP': undefined,
  'Network.LLMNR': undefined,
  'Network.MulticastDNS': undefined,
};
/** Sections whose settings take effect only through another setting. That other setting is checked. */
const WITHOUT_EFFECT = /^(DHCP|DHCPv4|DHCPv6|DHCPServer|IPv6AcceptRA|Match)\./;

/** Settings of a file that give a NIC more than the commit, or something else. */
function keysBeyond(entries: readonly IniEntry[], expected: Expected): string[] {
  return [...new Set(entries.map(([key]) => key))].filter((key) => {
    const values = valuesOf(entries, key);
    if (values.length === 0 || WITHOUT_EFFECT.test(key)) return false;
    const allowed = expected[key];
    return !(key in expected) || (allowed !== undefined && !values.every((value) => allowed.test(value)));
  });
}

/** Sections of rules and routes. */
const ROUTING = /^(Route|RoutingPolicyRule)\./;

function isOn(value: string): boolean {
  return !NO.test(value);
}
