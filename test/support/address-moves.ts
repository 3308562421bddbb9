// Addresses that move between the nodes of a local home: edits of the CR, and the addresses of the hosts meanwhile.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import { parse } from 'yaml';
import { hostFiles } from './controller-crash.ts';
import { NODES, type LocalRun, type TestHost, type TestInterface, type TestSpec } from './local.ts';

const [ONE, TWO, THREE] = NODES;
export const ADDRESS = {
  [ONE]: '192.168.100.10',
  [TWO]: '192.168.100.11',
  [THREE]: '192.168.100.12',
} as const;
export type Node = (typeof NODES)[number];

export function interfacesOf(spec: TestSpec, node: string): TestInterface[] {
  return spec.nodeConfigs.find(({ attachedNodeName }) => attachedNodeName === node)!.interfaces!;
}

export function give(spec: TestSpec, node: string, address: string, index = 0): void {
  Object.assign(interfacesOf(spec, node)[index]!, { address, cidr: `${address}/24` });
}

/** Gives the first NIC of a node an IPv6 address. */
export function giveIPv6(spec: TestSpec, node: string, host: number): void {
  Object.assign(interfacesOf(spec, node)[0]!, { address: `fd00::${host}`, cidr: `fd00::${host}/64` });
}

/** Gives each node the first address of another node. */
export function deal(spec: TestSpec, from: Partial<Record<Node, Node>>): void {
  for (const [node, other] of Object.entries(from)) give(spec, node, ADDRESS[other]);
}

export async function addressesOf(local: LocalRun, node: string): Promise<string[]> {
  const host = parse(await readFile(join(local.hostRoot(node), 'host.yaml'), 'utf8')) as TestHost;
  return host.links.flatMap(({ addresses = [] }) => addresses.map((each) => each.split('/')[0]!));
}

/** Interval between two reads of all hosts, a hundredth of a run's duration. */
const WATCH_MS = 20;

/** Watches all hosts until it is disposed of. */
export class Watch implements AsyncDisposable {
  readonly twice = new Set<string>();
  #over = false;
  readonly #end: Promise<void>;

  constructor(local: LocalRun) {
    this.#end = this.#watch(local);
  }

  async #watch(local: LocalRun): Promise<void> {
    for (; !this.#over; await pause(WATCH_MS)) {
      const all = (await Promise.all(NODES.map((node) => addressesOf(local, node)))).flat();
      for (const address of all)
        if (all.indexOf(address) !== all.lastIndexOf(address)) this.twice.add(address);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.#end;
    if (this.twice.size > 0) throw new Error(`two hosts had ${[...this.twice].join(', ')}`);
  }
}

/** Results of the node's runs since its first one, oldest first. */
export async function results(local: LocalRun, node: string): Promise<string[]> {
  const format =
    '--format=%(trailers:key=Result,valueonly,separator=)%(trailers:key=Reason,valueonly,separator=)';
  const lines = (await local.git('log', '--first-parent', '--reverse', format, `outcome/${node}`)).split(
    '\n',
  );
  const first = lines.findIndex((line) => line !== '');
  return lines.slice(first + 1).filter((line) => line !== '');
}

export async function expectAt(local: LocalRun, expected: Partial<Record<Node, string>>): Promise<void> {
  for (const [node, address] of Object.entries(expected)) {
    expect(await addressesOf(local, node)).toContain(address);
    expect(Object.values(await hostFiles(local, node)).join()).toContain(`${address}`);
    expect(await local.node(node)).toMatchObject({ state: 'Configured' });
  }
}
