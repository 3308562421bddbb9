// The cables between machines: a network namespace with a bridge for the primary network, one for each secondary
// network, and a cable to this machine, so that tests reach nodes and pods by their addresses.
import { run } from './command.ts';
import { needCommands } from './packages.ts';
import type { Slot } from './slot.ts';

const PRIMARY = 'primary';
const SECURITY = 'port_security';

export interface Cable {
  /** The switch's end. */
  readonly port: string;
}

export interface Plug {
  /** Network namespace of the machine at the other end. */
  readonly namespace: string;
  /** Name of the link in the machine, until somebody renames it. */
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** `undefined`: the primary network. */
  readonly network?: string;
  /** Port security; `undefined`: none. */
  readonly security?: readonly string[];
}

export class Switch {
  readonly #slot: Slot;
  /** Secondary networks and their bridges; a promise, because two NICs may be attached to a new one at once. */
  readonly #bridges = new Map<string, Promise<string>>();
  #ports = 0;

  private constructor(slot: Slot) {
    this.#slot = slot;
  }

  static async create(slot: Slot): Promise<Switch> {
    const hub = new Switch(slot);
    await run('ip', ['netns', 'add', slot.name]);
    await hub.#batch([
      'link set lo up',
      // A MAC of its own: otherwise the bridge has the MAC of its lowest port, which changes with the machines.
      `link add ${PRIMARY} address 02:00:00:00:00:${slot.number.toString(16).padStart(2, '0')} type bridge`,
      `address add ${slot.address('0.1/24')} dev ${PRIMARY}`,
      `link set ${PRIMARY} up`,
      'link add uplink type veth peer name ' + slot.uplink,
      `link set uplink master ${PRIMARY} up`,
      // Created in the switch and then moved, so that both ends of the cable end with the switch's namespace.
      `link set ${slot.uplink} netns ${process.pid}`,
    ]);
    await run('ip', ['-batch', '-'], {
      input: [
        `address add ${slot.address('0.254/24')} dev ${slot.uplink}`,
        `link set ${slot.uplink} up`,
        `route add ${slot.address('0.0/16')} via ${slot.address('0.1')}`,
      ].join('\n'),
    });
    await run('ip', ['netns', 'exec', slot.name, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
    return hub;
  }

  async plug({ namespace, name, mac, mtu, network, security }: Plug): Promise<Cable> {
    const bridge = network === undefined ? PRIMARY : await this.#bridge(network);
    this.#ports += 1;
    const port = `port${this.#ports}`;
    await this.#batch([
      `link add ${port} mtu ${mtu} type veth peer name ${name} address ${mac} mtu ${mtu} netns ${namespace}`,
      `link set ${port} master ${bridge} up`,
    ]);
    if (security !== undefined) await this.secure({ port }, mac, security);
    return { port };
  }

  /**
   * Imitates OpenStack's port security: the switch drops what comes from a port with another source than the port's own MAC
   * and addresses. Requests for DHCP and IPv6's own messages pass.
   * @param addresses without prefix
   */
  async secure({ port }: Cable, mac: string, addresses: readonly string[]): Promise<void> {
    await needCommands(['nft'], console.log);
    const only = (key: string, always: string, family: 4 | 6): string => {
      const own = addresses.filter((address) => address.includes(':') === (family === 6));
      return `${key} != { ${[always, ...own].join(', ')} } drop`;
    };
    const rules = `table bridge ${SECURITY} {
  chain ${port} {
    type filter hook prerouting priority filter; policy accept;
    iifname != "${port}" accept
    ether saddr != ${mac} drop
    ether type arp ${only('arp saddr ip', '0.0.0.0', 4)}
    ether type ip ${only('ip saddr', '0.0.0.0', 4)}
    ether type ip6 ${only('ip6 saddr', 'fe80::/10, ::', 6)}
  }
}
`;
    // Adds the chain first, because nft cannot delete a missing chain.
    const chain = `chain bridge ${SECURITY} ${port}`;
    const input = `add table bridge ${SECURITY}\nadd ${chain}\ndelete ${chain}\n${rules}`;
    await run('ip', ['netns', 'exec', this.#slot.name, 'nft', '-f', '-'], { input });
  }

  /** Makes a port for a machine that has a kernel of its own. */
  async tap(network?: string): Promise<Cable> {
    const bridge = network === undefined ? PRIMARY : await this.#bridge(network);
    this.#ports += 1;
    const port = `port${this.#ports}`;
    await this.#batch([`tuntap add dev ${port} mode tap`, `link set ${port} master ${bridge} up`]);
    return { port };
  }

  async unplug(cable: Cable): Promise<void> {
    await this.#batch([`link delete ${cable.port}`]);
  }

  /** Takes the carrier of a cable away, as of a port that somebody shut down. */
  async carrier(cable: Cable, up: boolean): Promise<void> {
    await this.#batch([`link set ${cable.port} ${up ? 'up' : 'down'}`]);
  }

  async route(subnet: string, via: string): Promise<void> {
    await this.#batch([`route replace ${subnet} via ${via}`]);
  }

  /** Starts a peer on a secondary network that answers to this address (with prefix), until it is stopped. */
  async peer(network: string, address: string, there = true): Promise<void> {
    const bridge = await this.#bridge(network);
    await this.#batch([
      `address ${there ? 'add' : 'delete'} ${address} dev ${bridge} ${there ? 'nodad' : ''}`,
    ]);
  }

  #bridge(network: string): Promise<string> {
    const known = this.#bridges.get(network);
    if (known !== undefined) return known;
    const bridge = `net${this.#bridges.size}`;
    const created = this.#batch([`link add ${bridge} mtu 9000 type bridge`, `link set ${bridge} up`]).then(
      () => bridge,
    );
    this.#bridges.set(network, created);
    return created;
  }

  async #batch(lines: readonly string[]): Promise<void> {
    await run('ip', ['-netns', this.#slot.name, '-batch', '-'], { input: lines.join('\n') });
  }
}
