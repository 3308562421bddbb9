// Schema of the custom resource MultiNicBizConfig, from which the CRD is generated; network/admission.ts judges the
// rest, entry by entry. The schema is never stricter than an earlier CRD, because the API server refuses status writes
// to stored objects that break a stricter one.

import * as z from 'zod';

export const InterfaceConfig = z
  .object({
    portId: z
      .string()
      .describe('OpenStack port. A comment in the written file; it identifies nothing.')
      .optional(),
    macAddress: z
      .string()
      .regex(/^([0-9A-Fa-f]{2}[:]){5}([0-9A-Fa-f]{2})$/)
      .describe(
        'MAC of the port. The agent finds the NIC by this MAC, and the managed name follows the MAC. Required.',
      )
      .optional(),
    address: z.string().describe('IPv4 or IPv6 address. May be left out when cidr has it.').optional(),
    cidr: z
      .string()
      .describe(
        'Address with prefix (192.168.100.10/24), or the subnet (192.168.100.0/24) with address beside it.',
      )
      .optional(),
    // The schema has no bounds: the API server would refuse the whole CR for one port, and a bad entry concerns its
    // node alone.
    mtu: z.int().describe('Bytes, from 68 to 9000; 1500 when left out. At least 1280 with IPv6.').optional(),
    addresses: z
      .array(z.string())
      .describe(
        'Further addresses with prefixes (192.168.100.11/24), of either family; 16 with address. Where there are both families, address is the IPv4 one.',
      )
      .optional(),
    gateway: z
      .string()
      .describe(
        "IPv4 gateway for packets from the NIC's addresses, inside a subnet of the NIC. The node's default route stays. Needs source routing.",
      )
      .optional(),
    gateway6: z.string().describe('The same as gateway, for IPv6.').optional(),
    routes: z
      .array(
        z.object({
          to: z
            .string()
            .describe('The network, with its prefix: 10.20.0.0/16. No default: use gateway.')
            .optional(),
          via: z.string().describe('The next hop, inside a subnet of the NIC.').optional(),
          metric: z
            .int()
            .describe(
              'Metric in the main table. Left out: 1000 plus the index of the name. 1000 to 10999 are refused, because connected routes of NICs use them.',
            )
            .optional(),
        }),
      )
      .describe('Networks behind gateways of the NIC, for all traffic of the node. At most 64.')
      .optional(),
    sourceRouting: z
      .boolean()
      .describe(
        "true: packets from the NIC's addresses leave by this NIC, through rules and a routing table of its own. false: never. Left out: only if the NIC needs it.",
      )
      .optional(),
    linkOnly: z
      .boolean()
      .describe(
        'true: the NIC is up with a name and an MTU, without an address, for Multus, Open vSwitch or a bridge. Excludes address, cidr and the fields of routing.',
      )
      .optional(),
    takeover: z
      .boolean()
      .describe(
        'true: take this NIC over although a foreign file on the node gives it more than DHCP. Otherwise the run refuses such a NIC.',
      )
      .optional(),
    name: z
      .string()
      .describe(
        'multinic0 to multinic9999. Left out: the MAC keeps its present name, or gets the lowest free one.',
      )
      .optional(),
  })
  .describe('One secondary interface.');

export const NodeConfig = z
  .object({
    attachedNodeId: z
      .string()
      .describe("OpenStack instance ID: the node's systemUUID. Compared without dashes and case. Required.")
      .optional(),
    attachedNodeName: z
      .string()
      .describe('Name of the node, for people. Finds the node only if no ID matches and no ID contradicts.')
      .optional(),
    interfaces: z
      .array(InterfaceConfig)
      .describe(
        'At most 32. An empty list: the node has no interfaces, and its managed files are removed. Required.',
      )
      .optional(),
  })
  .describe('One node.');

export const MultiNicBizConfigSpec = z
  .object({
    providerId: z.string().describe('The OpenStack provider, for people.').optional(),
    specHash: z
      .string()
      .describe("The external system's hash of this spec, returned as observedSpecHash.")
      .optional(),
    nodeConfigs: z
      .array(NodeConfig)
      .describe('The nodes and their interfaces. Required; empty: no nodes.')
      .optional(),
  })
  .describe('The secondary interfaces of nodes.');

const text = (description: string) => z.string().describe(description).optional();
const count = (description: string) => z.int().describe(description).optional();
const flag = (description: string) => z.boolean().describe(description).optional();

/** The schema of `ConfigStatus` in status.ts. It is looser, because stored objects have an earlier agent's status. */
export const MultiNicBizConfigStatus = z
  .object({
    observedGeneration: count('The generation that this status is about.'),
    observedSpecHash: text('specHash of that generation.'),
    conditions: z
      .array(
        z.object({
          type: z.string().describe('Ready, Reconciling, Stalled, InProgress or Applied.'),
          status: text('True, False or Unknown.'),
          reason: text('PascalCase, for programs.'),
          message: text('For people.'),
          observedGeneration: count('The generation that this condition is about.'),
          lastTransitionTime: text('RFC 3339, when status changed last.'),
        }),
      )
      .optional(),
    nodeStatuses: z
      .array(
        z.object({
          attachedNodeId: text('As in the spec.'),
          attachedNodeName: text('As in the spec.'),
          state: text('Pending, InProgress, Configured or Failed.'),
          reason: text('Reason for the state, in PascalCase.'),
          message: text('The reason and the remedy, for people.'),
          desiredCommit: text("Tip of the node's branch in the config store."),
          appliedCommit: text('Commit that the host has.'),
          held: flag('A person changed the node in git; the spec waits until its next change or a release.'),
          paused: flag('Nothing is applied until resumed.'),
          drifted: flag('The host no longer has what was applied.'),
          interfaces: z
            .array(
              z.object({
                name: text('As on the host: multinic0.'),
                macAddress: text('As in the spec.'),
                address: text('With its prefix.'),
                state: text('As of a node.'),
                reason: text('Reason for the state, in PascalCase.'),
              }),
            )
            .optional(),
          lastProcessed: text('RFC 3339, UTC.'),
          lastJobName: text('The Job that ran last.'),
          waitingSince: text(
            'Time since which the controller waits for a node that is not there: RFC 3339, UTC.',
          ),
        }),
      )
      .optional(),
    nodeStatusesOmitted: count('Nodes that did not fit into nodeStatuses.'),
    summary: z
      .object({
        totalNodes: count('Nodes in the spec.'),
        configuredNodes: count('Nodes whose host has the wanted state.'),
        failedNodes: count('Nodes that failed.'),
        pendingNodes: count('Nodes that wait or are being worked on.'),
        heldNodes: count('Nodes whose desired state a person changed in git.'),
      })
      .optional(),
  })
  .describe('What the controller found.');
