// Commands that only read.

import type { Command } from 'commander';
import { MultinicError } from '../api/errors.ts';
import type { Condition } from '../api/status.ts';
import type { ConfigReport } from '../controller/status-report.ts';
import type { NodeView } from '../controller/config-status.ts';
import { signedBy } from '../history/commit-format.ts';
import type { TimelineEntry } from '../history/timeline.ts';
import { openSource, withConnection, type ConnectionFlags, type Source } from './target.ts';
import { completed } from './remedy.ts';
import {
  formatTime,
  outputOption,
  paint,
  print,
  printJson,
  printTable,
  wholeNumber,
  withProgress,
  type Format,
} from './output.ts';
import { EXIT } from '../api/exit-codes.ts';

interface Flags extends ConnectionFlags {
  readonly output: Format;
}

export function addReadingCommands(program: Command): void {
  reading(program.command('status').description('every node: its state, the reason, and the remedy'))
    .argument('[node...]', 'only these')
    .addHelpText(
      'after',
      '\nExit code 4 when a node is Failed or Pending, or when nothing goes on, a CR is not listed, or (unless nodes\nare named) a CR is not Ready.\n\nExamples:\n  multinic status -C DIR\n  multinic status k8s-worker-01 -o json',
    )
    .action(async (nodes: string[], flags: Flags) => look(flags, (source) => status(source, nodes, flags)));

  reading(
    program.command('log').description("a node's history: what was wanted and what happened, newest first"),
  )
    .argument('<node>')
    .option('-n, --limit <n>', 'entries', wholeNumber(1), 50)
    .addHelpText(
      'after',
      '\nExamples:\n  multinic log k8s-worker-01\n  multinic log k8s-worker-01 -n 5 -o json',
    )
    .action(async (node: string, flags: Flags & { limit: number }) =>
      look(flags, (source) => log(source, node, flags)),
    );

  reading(
    program
      .command('show')
      .description('a node at its tip, or at a commit: interfaces, files, hold, last outcome'),
  )
    .argument('<node>')
    .argument('[commit]')
    .addHelpText('after', '\nExamples:\n  multinic show k8s-worker-01\n  multinic show k8s-worker-01 1a2b3c4')
    .action(async (node: string, commit: string | undefined, flags: Flags) =>
      look(flags, (source) => show(source, node, commit, flags)),
    );

  reading(program.command('diff').description("changes of a node's files"))
    .argument('<node>')
    .argument('[from]', 'a commit of the node (default: the one before the tip)')
    .argument('[to]', 'a commit of the node (default: the tip)')
    .option('--host', 'from the files on the host to the files that are wanted', false)
    .addHelpText(
      'after',
      '\nExamples:\n  multinic diff k8s-worker-01\n  multinic diff k8s-worker-01 1a2b3c4 5d6e7f8\n  multinic diff k8s-worker-01 --host',
    )
    .action(
      async (
        node: string,
        from: string | undefined,
        to: string | undefined,
        flags: Flags & { host: boolean },
      ) =>
        look(flags, async (source) => {
          const text = await source.diff(node, {
            host: flags.host,
            ...(from !== undefined && { from }),
            ...(to !== undefined && { to }),
          });
          if (flags.output === 'json') printJson({ diff: text });
          else if (text !== '') print(text.split('\n').map(paintDiff).join('\n'));
          else process.stderr.write('no difference\n');
        }),
    );
}

function reading(command: Command): Command {
  return withConnection(command).addOption(outputOption());
}

async function look(flags: ConnectionFlags, see: (source: Source) => Promise<void>): Promise<void> {
  const source = await openSource(flags);
  try {
    await withProgress('reading goes on', see(source));
  } finally {
    await source.close();
  }
}

async function status(source: Source, names: readonly string[], flags: Flags): Promise<void> {
  const report = await source.status();
  const nodes = names.length === 0 ? report.nodes : names.flatMap((name) => find(report.nodes, name));
  if (flags.output === 'json') printJson({ ...report, nodes });
  else {
    if (report.stale)
      process.stderr.write('no controller runs: this is the status that the last one wrote\n');
    if (report.failure !== undefined)
      print(`${paint.red('Nothing goes on')}: ${completed(report.failure)}\n`);
    for (const config of report.configs) {
      const ready = isReady(config) ? paint.green('Ready') : paint.yellow('not Ready');
      print(`${paint.bold(config.config)}  ${ready}  ${completed(readyOf(config)?.message ?? '')}`);
    }
    for (const [config, reason] of Object.entries(report.doubts))
      print(`${paint.bold(config)}  ${paint.yellow('not listed')}  ${completed(reason)}`);
    if (nodes.length > 0) {
      print('');
      await printNodes(nodes, report.configs.length > 1);
    }
    if (report.stopped.length > 0)
      print(
        `\n${paint.yellow('Removal stopped')}: ${report.stopped.join(', ')} ${report.stopped.length === 1 ? 'keeps its' : 'keep their'} interfaces until ${completed('multinic confirm')}`,
      );
  }
  const settled =
    nodes.every(({ state }) => state !== 'Failed' && state !== 'Pending') &&
    report.failure === undefined &&
    Object.keys(report.doubts).length === 0 &&
    // A CR is Ready only with all its nodes; the person asked about some of them.
    (names.length > 0 || report.configs.every(isReady));
  if (!settled) process.exitCode = EXIT.unsettled;
}

function readyOf({ conditions }: ConfigReport): Condition | undefined {
  return conditions.find(({ type }) => type === 'Ready');
}

function isReady(config: ConfigReport): boolean {
  return readyOf(config)?.status === 'True';
}

/** Finds a node by any of its three names. */
function find(views: readonly NodeView[], name: string): NodeView[] {
  const found = views.filter(
    ({ node, attachedNodeName, attachedNodeId }) =>
      name !== '' && [node, attachedNodeName, attachedNodeId].includes(name),
  );
  if (found.length > 0) return found;
  throw new MultinicError('NoSuchNode', `there is no node ${name}: multinic status lists them all`, {
    data: { node: name },
  });
}

const STATE_PAINT = {
  Configured: paint.green,
  Failed: paint.red,
  Pending: paint.yellow,
  InProgress: paint.cyan,
};

async function printNodes(nodes: readonly NodeView[], severalConfigs: boolean): Promise<void> {
  const head = ['STATE', 'FLAGS', 'DESIRED', 'APPLIED', 'LAST', 'REASON'];
  await printTable(
    ['NODE', ...(severalConfigs ? ['CR'] : []), ...head],
    nodes.map((view) => [
      view.node ?? (view.attachedNodeName || view.attachedNodeId),
      ...(severalConfigs ? [view.config ?? ''] : []),
      ...statusRow(view),
    ]),
  );
}

function statusRow(view: NodeView): string[] {
  const flags = [view.held && 'held', view.paused && 'paused'].filter(Boolean).join(',');
  const why = completed([view.reason, view.message].filter(Boolean).join(': '));
  return [
    STATE_PAINT[view.state](view.state),
    flags,
    view.desiredCommit?.slice(0, 10) ?? '',
    view.appliedCommit?.slice(0, 10) ?? '',
    view.lastProcessed ?? '',
    why,
  ];
}

async function log(source: Source, node: string, flags: Flags & { limit: number }): Promise<void> {
  const entries = await source.log(node, flags.limit);
  if (flags.output === 'json') return printJson(entries);
  for (const entry of entries) print(logLine(node, entry));
}

function logLine(node: string, entry: TimelineEntry): string {
  const time = paint.dim(formatTime(entry.time));
  const id = paint.yellow(entry.commit.slice(0, 10));
  const kind = entry.kind.padEnd(8);
  // The controller's subjects begin with the node; a person's subject is shown whole.
  const ours = `${node}: `;
  const subject = entry.subject.startsWith(ours) ? entry.subject.slice(ours.length) : entry.subject;
  const known = entry.kind === 'edit' || entry.principal !== undefined;
  const who = known ? paint.dim(`  by ${signedBy(entry.author, entry.principal)}`) : '';
  const extra = [
    entry.endsHold && `ends the hold of ${entry.endsHold.slice(0, 10)}`,
    entry.result !== 'Applied' && entry.message && completed(entry.message),
  ]
    .filter(Boolean)
    .join('; ');
  const painted =
    entry.result === 'Failed'
      ? paint.red(kind)
      : entry.kind === 'outcome'
        ? paint.green(kind)
        : paint.cyan(kind);
  return `${time}  ${id}  ${painted} ${subject}${who}${extra === '' ? '' : `\n${' '.repeat(43)}${paint.dim(extra)}`}`;
}

async function show(source: Source, name: string, commit: string | undefined, flags: Flags): Promise<void> {
  const found = await source.describe(name, commit);
  if (flags.output === 'json') return printJson(found);
  const { node, network, hold, outcome } = found;
  print(
    `${paint.bold(node.name)}  ${node.os.family} ${node.os.major}, ${node.renderer}, ${node.nodeId}, ${node.source.namespace}/${node.source.name} (${node.source.group})`,
  );
  print(`commit   ${found.commit.slice(0, 10)}  ${found.subject}`);
  if (found.base !== undefined) print(`base     ${found.base.slice(0, 10)}`);
  if (found.invalid !== undefined) print(`${paint.red('invalid')}  ${completed(found.invalid)}`);
  if (hold !== undefined)
    print(
      `${paint.yellow('held')}     since ${formatTime(hold.since)} by ${signedBy(`${hold.author.name} <${hold.author.email}>`, hold.principal)} (${hold.commit.slice(0, 10)})`,
    );
  if (outcome !== undefined)
    print(
      `outcome  ${outcome.result}${outcome.reason === undefined ? '' : ` (${outcome.reason})`} at ${formatTime(outcome.time)}${outcome.message === undefined ? '' : `: ${completed(outcome.message)}`}`,
    );
  print('');
  if (network.length === 0) print('no interfaces');
  else
    await printTable(
      ['NAME', 'MAC', 'ADDRESS', 'MTU', 'PORT'],
      network.map((nic) => [
        nic.name,
        nic.mac,
        `${nic.address}/${nic.prefix}`,
        String(nic.mtu),
        nic.portId ?? '',
      ]),
    );
  print('');
  for (const path of Object.keys(found.files)) print(paint.dim(path));
}

function paintDiff(line: string): string {
  if (line.startsWith('+') && !line.startsWith('+++')) return paint.green(line);
  if (line.startsWith('-') && !line.startsWith('---')) return paint.red(line);
  return line.startsWith('@@') ? paint.cyan(line) : line;
}
