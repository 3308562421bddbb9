// `multinic drift`: the drift of hosts, with equal differences together.

import type { Command } from 'commander';
import { EXIT } from '../api/exit-codes.ts';
import { describeDifference, describeRemedy } from '../api/difference-words.ts';
import type { Difference } from '../api/observation.ts';
import type { DriftEntry } from '../history/drifts.ts';
import { plural } from '../network/text.ts';
import { withNode } from './node-name.ts';
import { formatTime, paint, print, printObject } from './output.ts';
import { look, reading, type ReadingFlags } from './reading-options.ts';
import { completed } from './remedy.ts';

export function addDriftCommand(program: Command): void {
  reading(program.command('drift').description('hosts that have drifted: what differs, and since when'))
    .argument('[node]', 'only this node, by any of its names, with the remedy')
    .addHelpText(
      'after',
      '\nExit code 4 when a host has drifted.\n\nExamples:\n  multinic drift\n  multinic drift k8s-worker-01',
    )
    .action(async (node: string | undefined, flags: ReadingFlags) =>
      look(flags, async (source) => {
        if (node === undefined) return show(await source.drift(undefined), flags);
        return withNode(
          node,
          () => source.status(),
          async (name) => show(await source.drift(name), flags, name),
        );
      }),
    );
}

async function show(drifts: readonly DriftEntry[], { output }: ReadingFlags, node?: string): Promise<void> {
  const names = drifts.map((each) => each.node);
  if (output !== 'table' && output !== 'wide')
    await printObject(output, 'DriftList', { items: drifts }, names);
  else if (drifts.length === 0) process.stderr.write('no host is known to have drifted\n');
  else if (node === undefined) printGroups(drifts);
  else printNode(drifts[0]!);
  if (drifts.length > 0) process.exitCode = EXIT.unsettled;
}

function printNode({ node, commit, since, applied, differences, first }: DriftEntry): void {
  const by = first ? ', found by the first observation' : '';
  print(`${paint.bold(node)}  since ${formatTime(since)} or earlier${by} (${commit.slice(0, 10)})`);
  for (const each of differences) print(`  ${describeDifference(each)}`);
  print('');
  if (applied !== undefined)
    print(
      `what somebody changed in its files: git diff ${applied.slice(0, 10)} ${commit.slice(0, 10)} -- etc`,
    );
  print(completed(`what to do: ${describeRemedy(node, differences)}`));
}

/** Largest number of nodes that a line names. */
const MAX_NAMED = 8;

/** Prints each difference once, with the nodes that have it, the most frequent first. */
function printGroups(drifts: readonly DriftEntry[]): void {
  for (const { words, nodes } of groupDifferences(drifts)) {
    const more = nodes.length - MAX_NAMED;
    print(`${paint.bold(plural(nodes.length, 'node'))}  ${words}`);
    print(`  ${nodes.slice(0, MAX_NAMED).join(', ')}${more > 0 ? `, and ${more} more` : ''}`);
  }
  const nodes = new Set(drifts.map(({ node }) => node));
  print(completed(`\n${plural(nodes.size, 'node')} of this store drifted: multinic drift NODE says more`));
}

/** Nodes that have the same difference. */
export interface DifferenceGroup {
  readonly words: string;
  readonly nodes: readonly string[];
}

/** Each difference once, the most frequent first. */
export function groupDifferences(
  drifts: readonly Pick<DriftEntry, 'node' | 'differences'>[],
): DifferenceGroup[] {
  const pairs = drifts.flatMap(({ node, differences }) =>
    differences.map((difference) => ({ node, words: wordsOfAnyNode(difference) })),
  );
  return [...Map.groupBy(pairs, ({ words }) => words)]
    .map(([words, found]) => ({ words, nodes: [...new Set(found.map(({ node }) => node))] }))
    .toSorted((a, b) => b.nodes.length - a.nodes.length);
}

/** A difference in words that are the same on every node: its MAC is left out. */
function wordsOfAnyNode({ mac: _, ...difference }: Difference): string {
  return describeDifference(difference);
}
