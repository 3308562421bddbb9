// `multinic observe`: observes hosts now, and with `--wait` prints the results.

import type { Command } from 'commander';
import { EXIT } from '../api/exit-codes.ts';
import { describeDifference } from '../api/difference-words.ts';
import type { Difference } from '../api/observation.ts';
import type { NodeLook, NodeReport } from '../controller/status-report.ts';
import type { DriftEntry } from '../history/drifts.ts';
import { plural } from '../network/text.ts';
import { change, changing, post, usage, viewsOf, type ChangeFlags } from './change.ts';
import { follow } from './follow.ts';
import { nodeNamed } from './node-name.ts';
import { paint, print, printObject, printTable } from './output.ts';
import { duration } from './option-values.ts';
import { look } from './reading-options.ts';
import { completed } from './remedy.ts';

interface ObserveFlags extends ChangeFlags {
  readonly all?: true;
  readonly wait?: true;
  readonly timeout: number;
}

export function addObserveCommand(program: Command): void {
  changing(program.command('observe').description('observe hosts now, to find drift'))
    .argument('[node...]')
    .option('--all', 'all nodes, one after the other')
    .option('--wait', 'wait for the results, and print them')
    .option('--timeout <time>', 'with --wait, give up after: 90, 90s, 5m, 1h', duration, 300)
    .addHelpText(
      'after',
      `
Exit code 4 when --wait finds a host that has drifted, or a host that was not observed in time.

Examples:
  multinic observe k8s-worker-01 --wait
  multinic observe --all`,
    )
    .action(async (names: string[], flags: ObserveFlags) => {
      if ((names.length === 0) === (flags.all === undefined))
        return usage('name nodes, or all of them with --all');
      const nodes = await request(names, flags);
      if (flags.wait) return waitForLooks(nodes, flags);
      if (flags.output !== 'table') return printObject(flags.output, 'ObserveRequest', { nodes }, nodes);
      print(completed(`${plural(nodes.length, 'node')} will be observed: multinic drift shows the results`));
    });
}

async function request(names: readonly string[], flags: ObserveFlags): Promise<readonly string[]> {
  let asked: readonly string[] = [];
  await change(flags, async (api) => {
    const views = names.length === 0 ? [] : (await viewsOf(api)()).nodes;
    const nodes = names.map((name) => nodeNamed(views, name));
    const body = { nodes, all: flags.all };
    ({ nodes: asked } = await post<{ nodes: readonly string[] }>(api, flags, '/observe', body));
  });
  return asked;
}

/** The end of the observation of one host. */
export interface Looked extends Pick<NodeLook, 'at' | 'result' | 'reason'> {
  readonly node: string;
  /** The reason why there is no result. */
  readonly message?: string;
  readonly differences?: readonly Difference[];
}

async function waitForLooks(nodes: readonly string[], flags: ObserveFlags): Promise<void> {
  let views: ReadonlyMap<string, NodeReport> = new Map();
  const until = performance.now() + flags.timeout * 1000;
  const ended = await follow(
    flags,
    async (source) => {
      const report = await source.status();
      if (report.stale === true) return false;
      views = new Map(report.nodes.flatMap((view) => (view.node === undefined ? [] : [[view.node, view]])));
      return nodes.every((node) => !isAwaited(views.get(node)));
    },
    { patient: true, until, everyMs: 1000 },
  );
  let drifts: readonly DriftEntry[] = [];
  if (nodes.some((node) => views.get(node)?.observation?.result === 'Drifted'))
    await look(flags, async (source) => {
      drifts = await source.drift(nodes.length === 1 ? nodes[0] : undefined);
    });
  const asked = flags.all ? nodes.filter((node) => hasHost(views.get(node))) : nodes;
  const found = asked.map((node) => lookedOf(node, views.get(node), drifts));
  await show(found, flags);
  if (!ended || found.some(({ result }) => result !== 'Observed')) process.exitCode = EXIT.unsettled;
}

/** Whether the node has a host to observe. A clean node, or one of which only the history is kept, has none. */
export function hasHost(view: NodeReport | undefined): boolean {
  return view !== undefined && !(view.state === 'Configured' && view.observation?.outOfReach === true);
}

function isAwaited({ observation }: Partial<NodeReport> = {}): boolean {
  return observation?.asked === true && observation.outOfReach !== true;
}

/** @param drifts of all nodes, or of some */
export function lookedOf(node: string, view: NodeReport | undefined, drifts: readonly DriftEntry[]): Looked {
  const { at, result, reason, asked, outOfReach, failures = 0 } = view?.observation ?? {};
  if (view === undefined)
    return { node, message: 'no CR names this node, and its host has no commit of ours' };
  if (outOfReach === true) {
    const state = [view.reason ?? view.state, view.message].filter(Boolean).join(': ');
    return { node, message: `cannot be observed (${state})` };
  }
  if (asked === true) {
    const tries = failures === 0 ? '' : `; ${plural(failures, 'observation')} learned nothing`;
    return { node, message: `not observed in time${tries}` };
  }
  const differences = drifts.find((each) => each.node === node)?.differences;
  return {
    node,
    ...(at !== undefined && { at }),
    ...(result !== undefined && { result }),
    ...(reason !== undefined && { reason }),
    ...(result === 'Drifted' && differences !== undefined && { differences }),
  };
}

/** Largest number of hosts that are listed one by one. */
const FEW = 50;

async function show(found: readonly Looked[], { output }: ObserveFlags): Promise<void> {
  const names = found.map(({ node }) => node);
  if (output !== 'table') return printObject(output, 'ObservationList', { items: found }, names);
  const shown = (found.length <= FEW ? found : found.filter(({ result }) => result !== 'Observed')).slice(
    0,
    FEW,
  );
  if (shown.length > 0)
    await printTable(
      ['NODE', 'RESULT', 'WHAT'],
      shown.map((each) => [each.node, resultOf(each), completed(whatOf(each))]),
    );
  if (found.length > FEW) print(summaryOf(found));
}

function resultOf({ result }: Looked): string {
  if (result === undefined) return paint.yellow('-');
  return result === 'Observed' ? paint.green(result) : paint.red(result);
}

export function whatOf({ node, result, reason, message, differences }: Looked): string {
  if (message !== undefined) return message;
  if (result === 'Unclear') return `${reason ?? 'no reason'}: a run finds out, see multinic status ${node}`;
  if (result !== 'Drifted') return '';
  if (differences === undefined) return `repaired since: multinic log ${node}`;
  const [first, ...more] = differences.map(describeDifference);
  return `${first ?? 'the host differs'}${more.length === 0 ? '' : `, and ${more.length} more`}: multinic drift ${node}`;
}

/** The sum line: `1200 hosts: 1198 Observed, 2 Drifted` */
export function summaryOf(found: readonly Looked[]): string {
  const counts = [...Map.groupBy(found, ({ result }) => result ?? 'not observed')];
  return `${plural(found.length, 'host')}: ${counts.map(([result, { length }]) => `${length} ${result}`).join(', ')}`;
}
