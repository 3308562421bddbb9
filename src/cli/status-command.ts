// `multinic status` and `multinic wait`: the state of CRs and nodes.

import { Option, type Command } from 'commander';
import type { Condition } from '../api/status.ts';
import { EXIT } from '../api/exit-codes.ts';
import type { ConfigReport, NodeLook, NodeReport, StatusReport } from '../controller/status-report.ts';
import { plural } from '../network/text.ts';
import { follow } from './follow.ts';
import { findNodes } from './node-name.ts';
import { formatAge, outputOption, paint, print, printObject, printTable } from './output.ts';
import { duration } from './option-values.ts';
import { look, reading, type ReadingFlags } from './reading-options.ts';
import { completed } from './remedy.ts';
import type { Source } from './source.ts';

interface StatusFlags extends ReadingFlags {
  readonly failed?: true;
  readonly all?: true;
  readonly watch?: true;
}

export function addStatusCommand(program: Command): void {
  reading(
    program.command('status').description('every node: its state, the reason, and the remedy'),
    outputOption(['table', 'wide', 'name', 'json', 'yaml']),
  )
    .argument('[node...]', 'only these nodes, by any of their names')
    .option('--failed', 'only nodes that are Failed')
    .option('--all', `all nodes, also where there are more than ${FEW}`)
    .option('-w, --watch', 'keep running, and show each change')
    .addHelpText(
      'after',
      `
With more than ${FEW} nodes, the summary comes first and then the nodes that are not well.
--all shows all.
Exit code 4 when a node is Failed or Pending, or when passes fail, a CR is not listed, or
(unless nodes are named) a CR is not Ready.

Examples:
  multinic status -C DIR
  multinic status --failed -o wide
  multinic status k8s-worker-01 -o json`,
    )
    .action(async (names: string[], flags: StatusFlags) => {
      if (flags.watch) return watch(names, flags);
      return look(flags, async (source) => status(await source.status(), names, flags));
    });
}

export function addWaitCommand(program: Command): void {
  reading(program.command('wait').description('wait until nodes, or all CRs and nodes, are ready'))
    .argument('[node...]', 'only these nodes, by any of their names')
    .addOption(new Option('--for <state>', 'what to wait for').choices(['ready']).default('ready'))
    .option('--timeout <time>', 'give up after: 90, 90s, 5m, 1h', duration, 300)
    .addHelpText(
      'after',
      `
Exit code 0 when all is ready, 4 when the time is over before. Edits that were made before are
waited for, and a controller that starts or moves.

Examples:
  multinic wait --for ready --timeout 10m
  multinic wait k8s-worker-01 k8s-worker-02`,
    )
    .action(waitForReady);
}

async function waitForReady(names: string[], flags: ReadingFlags & { timeout: number }): Promise<void> {
  let last: { report: Report; nodes: readonly NodeReport[] } | undefined;
  // Waits for edits from before this command. After that, every answer is new enough.
  let fresh = true;
  const see = async (source: Source): Promise<boolean> => {
    const report = await source.status({ fresh });
    last = { report, nodes: select(report, names, {}) };
    fresh &&= report.stale === true || report.unseen !== undefined;
    return isReached(report, last.nodes, names);
  };
  const until = performance.now() + flags.timeout * 1000;
  const ready = await follow(flags, see, { patient: true, until, everyMs: 1000 });
  const nodes = last?.nodes ?? [];
  if (flags.output === 'json' || flags.output === 'yaml' || flags.output === 'name')
    await printObject(flags.output, 'StatusReport', { ...last?.report, nodes }, namesOf(nodes));
  else if (ready) print(nodes.length === 0 ? 'ready' : `${plural(nodes.length, 'node')} ready`);
  if (ready) return;
  const waiting = nodes.filter((view) => view.state !== 'Configured').slice(0, FEW);
  process.stderr.write(`not ready after ${flags.timeout} s\n`);
  for (const config of last?.report.unseen ?? [])
    process.stderr.write(`${config}  no pass has seen the newest edit yet: see the log of the controller\n`);
  for (const view of waiting) process.stderr.write(`${nameOf(view)}  ${view.state}  ${whyOf(view)}\n`);
  process.exitCode = EXIT.unsettled;
}

export type Report = StatusReport & { readonly stale?: boolean };

/** Number of nodes up to which all of them are shown. */
const FEW = 50;

async function status(report: Report, names: readonly string[], flags: StatusFlags): Promise<void> {
  const nodes = select(report, names, flags);
  if (flags.output === 'table' || flags.output === 'wide') await printStatus(report, nodes, names, flags);
  else await printObject(flags.output, 'StatusReport', { ...report, nodes }, namesOf(nodes));
  process.exitCode = isSettled(report, select(report, names, {}), names) ? EXIT.done : EXIT.unsettled;
}

function select(
  { nodes, historyOnly }: Report,
  names: readonly string[],
  { failed }: Pick<StatusFlags, 'failed'>,
): readonly NodeReport[] {
  const asked = names.filter((name) => historyOnly?.includes(name) !== true);
  const named = names.length === 0 ? nodes : asked.flatMap((name) => findNodes(nodes, name));
  return failed === true ? named.filter(({ state }) => state === 'Failed') : named;
}

function isSettled(report: Report, nodes: readonly NodeReport[], names: readonly string[]): boolean {
  return (
    nodes.every(({ state }) => state !== 'Failed' && state !== 'Pending') &&
    report.failure === undefined &&
    Object.keys(report.doubts).length === 0 &&
    report.unreadable === undefined &&
    // A CR is Ready only with all its nodes, so it does not count if the person named some nodes.
    (names.length > 0 || report.configs.every(isReady))
  );
}

/** Whether everything that the person waits for is ready, the newest edit included. */
export function isReached(report: Report, nodes: readonly NodeReport[], names: readonly string[]): boolean {
  return (
    report.stale !== true &&
    report.unseen === undefined &&
    nodes.every(({ state }) => state === 'Configured') &&
    isSettled(report, nodes, names)
  );
}

async function printStatus(
  report: Report,
  nodes: readonly NodeReport[],
  names: readonly string[],
  flags: StatusFlags,
): Promise<void> {
  if (report.stale) process.stderr.write('no controller runs: this is the status that the last one wrote\n');
  if (report.failure !== undefined) print(`${paint.red('Passes fail')}: ${completed(report.failure)}\n`);
  for (const config of report.configs) {
    const ready = isReady(config) ? paint.green('Ready') : paint.yellow('not Ready');
    print(`${paint.bold(config.config)}  ${ready}  ${completed(readyOf(config)?.message ?? '')}`);
  }
  for (const [config, reason] of Object.entries(report.doubts))
    print(`${paint.bold(config)}  ${paint.yellow('not listed')}  ${completed(reason)}`);
  for (const problem of report.unreadable ?? [])
    print(`${paint.red('Cannot be read')}: ${completed(problem)}`);
  if (isEmpty(report)) print(NO_CONFIG);
  const few = nodes.length <= FEW || names.length > 0 || flags.all === true;
  const shown = few ? nodes : nodes.filter(isTroubled).toSorted(byUrgency).slice(0, FEW);
  if (!few) print(`\n${summaryOf(nodes)}`);
  if (shown.length > 0) {
    print('');
    await printNodes(shown, report.configs.length > 1, flags.output === 'wide');
  }
  const hidden = nodes.length - shown.length;
  if (hidden > 0) print(`\n${plural(hidden, 'more node')}: ${completed('multinic status')} --all`);
  printHistory(report, names);
  if (report.stopped.length > 0) print(`\n${stoppedText(report.stopped)}`);
  const queue = queueText(report);
  if (queue !== undefined) print(`\n${queue}`);
}

const NO_CONFIG = 'there is no MultiNicBizConfig yet: apply one, and its nodes are listed here';

/** Whether nothing is wrong and there is nothing to show. */
function isEmpty({ configs, nodes, doubts, unreadable, failure }: Report): boolean {
  const problems = Object.keys(doubts).length + (unreadable?.length ?? 0);
  return configs.length === 0 && nodes.length === 0 && problems === 0 && failure === undefined;
}

/** The nodes that wait for an observation; undefined: none waits. */
export function queueText({ observations }: Pick<Report, 'observations'>): string | undefined {
  const { waiting = 0, oldest = 'never' } = observations ?? {};
  if (waiting === 0) return undefined;
  const wait = waiting === 1 ? '1 node waits' : `${waiting} nodes wait`;
  return `${wait} for an observation; the last look at the host that waits longest: ${oldest}`;
}

/** Names the nodes of which only the history is kept, the first of many. */
function printHistory({ historyOnly = [], retired = 0 }: Report, names: readonly string[]): void {
  const nodes = names.length === 0 ? historyOnly : historyOnly.filter((node) => names.includes(node));
  const more = nodes.length > FEW ? ` and ${nodes.length - FEW} more` : '';
  const named = `${nodes.slice(0, FEW).join(', ')}${more}`;
  if (nodes.length > 0)
    print(`\n${paint.dim('Only history')}: ${named}, which no CR names: ${completed('multinic log')} NODE`);
  if (retired > 0 && names.length === 0) print(`\n${paint.dim('Retired nodes')}: ${retired}`);
}

function stoppedText(stopped: readonly string[]): string {
  const named = stopped.slice(0, FEW).join(', ');
  const more = stopped.length > FEW ? ` and ${stopped.length - FEW} more` : '';
  const keep = stopped.length === 1 ? 'keeps its' : 'keep their';
  return `${paint.yellow('Removal stopped')}: ${named}${more} ${keep} interfaces until ${completed('multinic confirm')}`;
}

/** `1200 nodes: 1190 Configured, 8 Pending, 2 Failed; 3 held, 1 paused` */
function summaryOf(nodes: readonly NodeReport[]): string {
  const states = Object.keys(STATE_PAINT) as NodeReport['state'][];
  const counts = states.flatMap((state) => {
    const count = nodes.filter((node) => node.state === state).length;
    return count === 0 ? [] : [STATE_PAINT[state](`${count} ${state}`)];
  });
  const flags = (['held', 'paused', 'drifted'] as const).flatMap((flag) => {
    const count = nodes.filter((node) => node[flag] === true).length;
    return count === 0 ? [] : [`${count} ${flag}`];
  });
  return [`${plural(nodes.length, 'node')}: ${counts.join(', ')}`, ...flags].join('; ');
}

function isTroubled({ state, held, paused, drifted }: NodeReport): boolean {
  return state !== 'Configured' || held === true || paused === true || drifted === true;
}

function byUrgency(a: NodeReport, b: NodeReport): number {
  const order = ['Failed', 'Pending', 'InProgress', 'Configured'];
  return order.indexOf(a.state) - order.indexOf(b.state);
}

/** Shows the state, and each change of it. On a terminal the screen is drawn again; into a pipe go the changed nodes. */
async function watch(names: readonly string[], flags: StatusFlags): Promise<void> {
  const known = new Map<string, string>();
  let first = true;
  await follow(flags, async (source) => {
    const report = await source.status();
    const nodes = select(report, names, flags);
    const changed = nodes.filter((view) => {
      const now = JSON.stringify(view);
      const before = known.get(nameOf(view));
      known.set(nameOf(view), now);
      return before !== now;
    });
    const table = flags.output === 'table' || flags.output === 'wide';
    if (table && process.stdout.isTTY) process.stdout.write(CLEAR);
    if (first || (table && process.stdout.isTTY)) await status(report, names, flags);
    else if (changed.length > 0 && table)
      await printNodes(changed, report.configs.length > 1, flags.output === 'wide');
    else if (changed.length > 0) await status({ ...report, nodes: changed }, [], flags);
    first = false;
    return false;
  });
}

/** Moves to the top left of the terminal and clears it. */
const CLEAR = '\u001b[H\u001b[2J';

function readyOf({ conditions }: ConfigReport): Condition | undefined {
  return conditions.find(({ type }) => type === 'Ready');
}

function isReady(config: ConfigReport): boolean {
  return readyOf(config)?.status === 'True';
}

const STATE_PAINT = {
  Configured: paint.green,
  InProgress: paint.cyan,
  Pending: paint.yellow,
  Failed: paint.red,
};

async function printNodes(
  nodes: readonly NodeReport[],
  severalConfigs: boolean,
  wide: boolean,
): Promise<void> {
  const config = severalConfigs || wide;
  const looked = nodes.some(({ observation }) => observation?.at !== undefined);
  await printTable(
    [
      'NODE',
      ...(config ? ['CR'] : []),
      ...(wide ? ['NODE ID', 'NODE NAME'] : []),
      'STATE',
      'FLAGS',
      'DESIRED',
      'APPLIED',
      'AGE',
      ...(looked ? ['OBSERVED'] : []),
      ...(wide ? ['LAST', 'JOB'] : []),
      'REASON',
    ],
    nodes.map((view) => [
      nameOf(view),
      ...(config ? [view.config ?? ''] : []),
      ...(wide ? [view.attachedNodeId, view.attachedNodeName] : []),
      STATE_PAINT[view.state](view.state),
      [view.held && 'held', view.paused && 'paused', view.drifted && 'drifted'].filter(Boolean).join(','),
      view.desiredCommit?.slice(0, 10) ?? '',
      view.appliedCommit?.slice(0, 10) ?? '',
      view.lastProcessed === undefined ? '' : formatAge(Date.parse(view.lastProcessed)),
      ...(looked ? [formatLook(view.observation)] : []),
      ...(wide ? [view.lastProcessed ?? '', view.lastJobName ?? ''] : []),
      whyOf(view),
    ]),
  );
}

/** Age of the newest observation, with its result if the host differed from its commit: `12m`, `12m Drifted`. */
export function formatLook({ at, result }: NodeLook = {}, now = Date.now()): string {
  if (at === undefined) return '';
  const age = formatAge(Date.parse(at), now);
  return result === undefined || result === 'Observed' ? age : `${age} ${result}`;
}

function nameOf(view: NodeReport): string {
  return view.node ?? (view.attachedNodeName || view.attachedNodeId);
}

function namesOf(nodes: readonly NodeReport[]): string[] {
  return nodes.map(nameOf);
}

function whyOf(view: NodeReport): string {
  return completed([view.reason, view.message].filter(Boolean).join(': '));
}
