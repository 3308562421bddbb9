// A running host: each port in a class of its own. Links by the image's own `ip`, network managers by commands of the host.
import type { Root } from '../files/root.ts';
import type { Host } from '../host/host.ts';
import { DeadMan } from './dead-man.ts';
import type { InHost } from '../command/host-command.ts';
import { LiveBoot } from './live-boot.ts';
import { LiveForeignState } from './live-foreign-state.ts';
import { LiveLinks } from './live-links.ts';
import { LiveMachine } from './live-machine.ts';
import { LiveManagers } from './live-managers.ts';
import { LiveNeighbours } from './live-neighbours.ts';
import { NetworkManager } from './network-manager.ts';
import { Systemd } from '../command/systemd.ts';

/** @param nodeAddress address by which the cluster knows this node; the NIC with it may have no default route */
export function liveHost(root: Root, nodeAddress?: string): Host {
  const inHost: InHost = (command) => (root.dir === '/' ? command : ['chroot', root.dir, ...command]);
  const systemd = new Systemd(root, inHost);
  const manager = new NetworkManager(inHost);
  return {
    machine: new LiveMachine(root, manager, inHost, nodeAddress),
    links: new LiveLinks(root.dir, manager),
    neighbours: new LiveNeighbours(),
    managers: new LiveManagers(root, manager, systemd),
    foreign: new LiveForeignState(),
    boot: new LiveBoot(root, inHost, manager, systemd),
    deadMan: new DeadMan(root, systemd),
  };
}
