// Commands that read the history of one node.

import type { Command } from 'commander';
import { EXIT } from '../api/exit-codes.ts';
import { signedBy } from '../history/commit-format.ts';
import type { TimelineEntry } from '../history/timeline.ts';
import { cidrsOf, type Interface } from '../network/interface.ts';
import { follow } from './follow.ts';
import { withNode } from './node-name.ts';
import { formatAge, formatTime, paint, print, printObject, printTable } from './output.ts';
import { namespaceNotCount, wholeNumber } from './option-values.ts';
import { look, reading, type ReadingFlags } from './reading-options.ts';
import { completed } from './remedy.ts';
import type { Source } from './source.ts';
import { addStatusCommand, addWaitCommand } from './status-command.ts';

type Flags = ReadingFlags;

export function addReadingCommands(program: Command): void {
  addStatusCommand(program);
  addWaitCommand(program);
  addLog(program);
  addShow(program);
  addDiff(program);
}

interface LogFlags extends Flags {
  readonly limit: number;
  readonly follow?: true;
}

function addLog(program: Command): void {
  const command = reading(
    program.command('log').description("a node's history: what was wanted and what happened, newest first"),
  )
    .argument('<node>', 'the node, by any of its names')
    .option('--limit <n>', 'entries', wholeNumber(1), 50)
    .option('-f, --follow', 'keep running, and print each new entry; the newest is last then')
    .addHelpText(
      'after',
      '\nExamples:\n  multinic log k8s-worker-01\n  multinic log k8s-worker-01 --limit 5 -o json\n  multinic log k8s-worker-01 --follow',
    )
    .action(async (node: string, flags: LogFlags) => {
      if (flags.follow) return followLog(node, flags);
      return look(flags, (source) => named(source, node, (name) => log(source, name, flags)));
    });
  command.options.find(({ long }) => long === '--namespace')!.argParser(namespaceNotCount);
}

function addShow(program: Command): void {
  reading(
    program
      .command('show')
      .description('a node at its tip, or at a commit: interfaces, files, hold, last outcome'),
  )
    .argument('<node>', 'the node, by any of its names')
    .argument('[commit]')
    .addHelpText('after', '\nExamples:\n  multinic show k8s-worker-01\n  multinic show k8s-worker-01 1a2b3c4')
    .action(async (node: string, commit: string | undefined, flags: Flags) =>
      look(flags, (source) => named(source, node, (name) => show(source, name, commit, flags))),
    );
}

interface DiffFlags extends Flags {
  readonly host: boolean;
  readonly exitCode?: true;
}

function addDiff(program: Command): void {
  reading(program.command('diff').description("changes of a node's files"))
    .argument('<node>', 'the node, by any of its names')
    .argument('[from]', 'a commit of the node (default: the one before the tip)')
    .argument('[to]', 'a commit of the node (default: the tip)')
    .option('--host', 'from the files on the host to the files that are wanted', false)
    .option('--exit-code', 'end with 4 if there is a difference')
    .addHelpText(
      'after',
      '\nExamples:\n  multinic diff k8s-worker-01\n  multinic diff k8s-worker-01 1a2b3c4 5d6e7f8\n  multinic diff k8s-worker-01 --host --exit-code',
    )
    .action(async (node: string, from: string | undefined, to: string | undefined, flags: DiffFlags) =>
      look(flags, (source) => named(source, node, (name) => diff(source, name, { from, to }, flags))),
    );
}

function named<T>(source: Source, node: string, work: (name: string) => Promise<T>): Promise<T> {
  return withNode(node, () => source.status(), work);
}

async function diff(
  source: Source,
  node: string,
  { from, to }: { readonly from: string | undefined; readonly to: string | undefined },
  flags: DiffFlags,
): Promise<void> {
  const text = await source.diff(node, {
    host: flags.host,
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
  });
  if (flags.output !== 'table' && flags.output !== 'wide')
    await printObject(flags.output, 'Diff', { node, diff: text }, [node]);
  else if (text !== '') print(text.split('\n').map(paintDiff).join('\n'));
  else process.stderr.write('no difference\n');
  if (flags.exitCode && text !== '') process.exitCode = EXIT.unsettled;
}

/** Prints the history with the newest last, and then each new entry. */
async function followLog(given: string, flags: LogFlags): Promise<void> {
  const seen = new Set<string>();
  await follow(flags, (source) =>
    named(source, given, async (node) => {
      const entries = await source.log(node, flags.limit);
      for (const entry of entries.toReversed()) {
        if (seen.has(entry.commit)) continue;
        seen.add(entry.commit);
        if (flags.output === 'table' || flags.output === 'wide') print(logLine(node, entry));
        else await printObject(flags.output, 'LogEntry', entry, [node]);
      }
      return false;
    }),
  );
}

async function log(source: Source, node: string, flags: LogFlags): Promise<void> {
  const entries = await source.log(node, flags.limit);
  if (flags.output !== 'table' && flags.output !== 'wide')
    return printObject(flags.output, 'LogEntryList', { node, items: entries }, [node]);
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
  if (flags.output !== 'table' && flags.output !== 'wide')
    return printObject(flags.output, 'NodeDescription', found, [found.node.name]);
  const { node, network, hold, outcome } = found;
  print(
    `${paint.bold(node.name)}  ${node.os.family} ${node.os.major}, ${node.renderer}, ${node.nodeId}, ${node.source.namespace}/${node.source.name} (${node.source.group})`,
  );
  print(`commit   ${found.commit.slice(0, 10)}  ${found.subject}`);
  if (found.base !== undefined) print(`base     ${found.base.slice(0, 10)}`);
  if (found.invalid !== undefined) print(`${paint.red('invalid')}  ${completed(found.invalid)}`);
  if (hold !== undefined)
    print(
      `${paint.yellow('held')}     since ${formatTime(hold.since)} (${formatAge(hold.since * 1000)}) by ${signedBy(`${hold.author.name} <${hold.author.email}>`, hold.principal)} (${hold.commit.slice(0, 10)})`,
    );
  if (outcome !== undefined)
    print(
      `outcome  ${outcome.result}${outcome.reason === undefined ? '' : ` (${outcome.reason})`} at ${formatTime(outcome.time)} (${formatAge(outcome.time * 1000)} ago)${outcome.message === undefined ? '' : `: ${completed(outcome.message)}`}`,
    );
  print('');
  if (network.length === 0) print('no interfaces');
  else
    await printTable(
      ['NAME', 'MAC', 'ADDRESS', 'MTU', 'PORT'],
      network.map((nic) => [nic.name, nic.mac, cidrsOf(nic).join(' '), String(nic.mtu), nic.portId ?? '']),
    );
  for (const line of network.flatMap(routingLines)) print(line);
  print('');
  for (const path of Object.keys(found.files)) print(paint.dim(path));
}

/** One line for a NIC with routing: `multinic0: source routing on (auto), gateway 192.168.100.1`. */
function routingLines(nic: Interface): string[] {
  const routes = (nic.routes ?? []).map(({ to, via }) => `${to} via ${via}`);
  const parts = [
    ...sourceRoutingWords(nic),
    ...[nic.gateway, nic.gateway6].flatMap((each) => (each === undefined ? [] : [`gateway ${each}`])),
    ...(routes.length === 0 ? [] : [`routes ${routes.join(', ')}`]),
  ];
  return parts.length === 0 ? [] : [`${nic.name}: ${parts.join(', ')}`];
}

function sourceRoutingWords({ sourceRouting, statedSourceRouting: stated }: Interface): string[] {
  if (stated !== undefined) return [`source routing ${stated ? 'on' : 'off'}`];
  return sourceRouting === true ? ['source routing on (auto)'] : [];
}

function paintDiff(line: string): string {
  if (line.startsWith('+') && !line.startsWith('+++')) return paint.green(line);
  if (line.startsWith('-') && !line.startsWith('---')) return paint.red(line);
  return line.startsWith('@@') ? paint.cyan(line) : line;
}
