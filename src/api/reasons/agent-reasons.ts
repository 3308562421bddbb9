import { rows } from './reason-rows.ts';

/** Reasons why a run of the agent did not simply apply its commit, and warnings of a run. */
export const AGENT_REASONS = {
  ...rows('commit', 'author', {
    AddressInUse: ['Another link of the node has the address.', 'Remove it there, or correct the CR.'],
    AddressTaken: ['Another machine of the network has the address.', 'Give one of the two another address.'],
    ForeignConfig: [
      'Another file of the host gives the NIC more than DHCP.',
      'Take the NIC out of that file, or write takeover: true in the CR.',
    ],
    InterfacesMissing: ['NICs are not on the machine.', 'Attach the ports, or take them out of the CR.'],
    MtuOutOfRange: [
      'The driver of the NIC does not take the MTU.',
      'Correct the MTU in the CR, or the MTU of the network.',
    ],
    NameTaken: ['A link that is not to be configured has the name.', 'Rename it, or change the CR.'],
    NicInUse: ['The node itself needs the NIC.', 'Take its MAC out of the CR, or free the NIC first.'],
    SubnetOverlaps: [
      'Another link of the node is in an overlapping subnet.',
      'Correct one of the two subnets.',
    ],
  }),
  ...rows('person', 'node', {
    AddressFamilyDisabled: [
      'The kernel does no IPv6 on the NIC.',
      'Set disable_ipv6 to 0 on the node, or give the NIC an IPv4 address.',
    ],
    ApiServerLost: [
      'After the change the API server did not answer.',
      'Look at the routes, then multinic retry.',
    ],
    ApplyFailed: [
      'The network manager of the host failed in mode full.',
      'Look at its journal, or use live.',
    ],
    CaUnreadable: ['The CA of the store cannot be read.', "Mount the store's CA into the agent's pod."],
    CommandHangs: ['A command of the host does not end.', 'Look at the node.'],
    CommandMissing: ['A command of the host does not start.', 'Install the command.'],
    DeadlineExceeded: [
      'The run was not done in time.',
      'Look at what its step waits for, then multinic retry.',
    ],
    ForeignFile: ['A file that we did not write has our path.', 'Move it away, then multinic retry.'],
    HostIo: ['The host did not read or write a file.', "Look at the node's disk and its kernel log."],
    HostPermissionDenied: ['The agent may not read or write a file.', 'Run it as root; look at lsattr.'],
    HostReadOnly: ['A file system of the host is read-only.', 'Remount it read-write, then multinic retry.'],
    HostUnreadable: ['The state of the host cannot be read.', 'Look at the node.'],
    InvalidProbe: ['An entry of multinic.io/probes is no address.', 'Correct the annotation.'],
    InvalidRoot: ['--root cannot be opened.', 'Name the root of the host.'],
    LinkLoop: ['A path of the host goes round in links.', 'Mend the link, then multinic retry.'],
    LinkRefused: ['The kernel refused to change a link.', 'Look at ip link on the node.'],
    LockFailed: ['flock does not run.', 'Install util-linux.'],
    NetplanIdTaken: ['Another netplan file uses the ID.', 'Remove that definition, then multinic retry.'],
    NetworkManagerDown: ['NetworkManager does not answer.', 'Start it, or name another renderer.'],
    NetworkManagerRefused: ['NetworkManager refused a profile.', 'Look at its journal, then multinic retry.'],
    NicUnmanaged: ['NetworkManager does not manage the NIC.', 'Have it do so, or name another renderer.'],
    NoCarrier: ['The NIC has no carrier.', 'Look at its port, then multinic retry.'],
    NoIfcfgPlugin: [
      'NetworkManager reads no ifcfg files here.',
      'Annotate the Node with the renderer keyfile.',
    ],
    NoNetplan: ['The node has no netplan.', 'Annotate the Node with the renderer that it has.'],
    NoRenameDevice: ['Nothing on the host names NICs by ifcfg files.', 'Annotate the Node with keyfile.'],
    NotAtNextBoot: [
      'At the next boot another file would configure or name the NIC.',
      'Take the NIC out of that file, then multinic retry.',
      { concerns: 'nextBoot' },
    ],
    NotRunning: ['--root is not the root of the running host.', 'For a recorded machine add --offline.'],
    ProbeFailed: ['A machine of multinic.io/probes did not answer.', 'Look at it, then multinic retry.'],
    RecordTooLarge: [
      'The host record would be too large to read again.',
      'Use live, or take routes off the NICs.',
    ],
    RecordUnreadable: ['The host record is none of ours.', 'Move it away, then multinic confirm NODE.'],
    RestoreFailed: ['THE HOST COULD NOT BE RESTORED.', 'Look at the host at once; the next run tries again.'],
    RestoreNotArmed: ['systemd takes no restore timer; nothing was changed.', 'Look at D-Bus on the node.'],
    RoutingTaken: [
      'Other software has rules or routes for the table or an address of the NIC.',
      'Take them away on the node, or write sourceRouting: false in the CR.',
    ],
    RoutingUnsupported: [
      'The systemd-networkd of the node is too old for source routing.',
      'Update the OS, or write sourceRouting: false in the CR.',
    ],
    StoreLost: ['After the change the store did not answer.', 'Look at the routes and at the controller.'],
    TokenUnreadable: ['The token of the agent cannot be read.', 'Look at the volumes of its pod.'],
    ValidationFailed: [
      'The generator of the OS refuses the files.',
      'Mend the file that the message names, then multinic retry.',
      { concerns: 'nextBoot' },
    ],
    VerifyFailed: ['After the change the host was not as it should be.', "Look at the agent's log."],
  }),
  ...rows('person', 'operator', {
    RecordDiffers: ['The host record names another commit.', 'Look at the host, then multinic confirm NODE.'],
  }),
  ...rows('itself', 'operator', {
    CheckoutBroken: ['The branch did not arrive whole.', 'If it stays: look at the store.'],
    StoreUnreachable: [
      'The node does not reach the store; nothing was tried.',
      'Look at the controller and the way to it.',
      { concerns: 'access' },
    ],
  }),
  ...rows('itself', 'nobody', {
    AddressFreed: [
      'NICs are left out for now, so that another node can take an address.',
      'Nothing; the next run configures them.',
    ],
    AgentRunning: ['Another agent runs on this node.', 'Wait for its report.'],
    Interrupted: ['The run was told to end, and restored the host.', 'Nothing; it runs again.'],
    InterfacesFound: ['NICs that were missing are on the machine now.', 'Nothing; a run configures them.'],
    NamesFound: ['NICs already have names of ours.', 'Nothing; the controller takes the names over.'],
    NewMachine: [
      'An observation found nothing of ours on the machine.',
      'Nothing; a run configures it as a new one.',
    ],
    NewerCommit: [
      'The branch moved on; nothing was touched.',
      'Nothing; a Job for the newer commit follows.',
    ],
    RunInterrupted: [
      'An observation found the change of a run that was killed.',
      'Nothing; the next run finishes or undoes it.',
    ],
  }),
  ...rows('never', 'node', {
    CloudInitRenames: [
      'Warning: cloud-init gives a NIC another name at the next boot.',
      'Write network: {config: disabled} for cloud-init on the node.',
    ],
    NetworkdHoldsOldFile: [
      'Warning: networkd still holds the file of the boot.',
      'Reboot, or run with full.',
    ],
    NicLeft: [
      'Warning: other software uses a NIC, which stays as it is.',
      'Free the NIC, then multinic retry.',
    ],
    OthersLost: ['Warning: state of other software is not restored.', 'Look at the routes and rules.'],
  }),
  ...rows('never', 'defect', {
    InvalidJob: ['The job file cannot be read.', 'Pass a job file as the controller writes it.'],
    InvalidPath: ['A path of the tree leaves the root.', 'Report the tree.'],
  }),
};
