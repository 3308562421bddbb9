// Reads a CR file for `render` and `validate`, which give files or errors. Needs no state and no controller.

import type { Command } from 'commander';
import { formatProblem, InvalidInputError, MultinicError } from '../api/errors.ts';
import { outputOption, print, printObject, type Format } from './output.ts';
import { rendererOption } from './writing-commands.ts';
import { EXIT } from '../api/exit-codes.ts';
import { plural } from '../network/text.ts';

interface Flags {
  readonly output: Exclude<Format, 'wide'>;
}

export function addInputCommands(program: Command): void {
  program
    .command('validate')
    .description('judge CR files as the controller would: each problem with its field and the remedy')
    .argument('<file...>', 'YAML or JSON; - reads standard input')
    .addOption(outputOption(['table', 'json', 'yaml']))
    .addHelpText(
      'after',
      '\nExit code 3 when something would be refused.\n\nExample:\n  multinic validate fixtures/sample-multinicclusterconfig.yaml',
    )
    .action(async (files: string[], flags: Flags) => {
      const { validateFiles } = await import('./validate-command.ts');
      const results = await validateFiles(files);
      if (flags.output !== 'table') await printObject(flags.output, 'ValidationList', { items: results });
      else {
        for (const { config, problems, warnings, nodes } of results) {
          for (const problem of problems) print(`${config}: error: ${formatProblem(problem)}`);
          for (const warning of warnings) print(`${config}: warning: ${formatProblem(warning)}`);
          if (problems.length === 0) print(`${config}: valid, ${plural(nodes, 'node')}`);
        }
      }
      if (results.some(({ problems }) => problems.length > 0)) process.exitCode = EXIT.invalid;
    });

  program
    .command('render')
    .description("print the files that a CR means for its nodes, as they would stand on a node's branch")
    .argument('<file>', 'YAML or JSON; - reads standard input')
    .option('--node <id>', 'only the node with this attachedNodeId or attachedNodeName')
    .addOption(rendererOption().default('netplan'))
    .addOption(outputOption(['table', 'json', 'yaml']))
    .addHelpText(
      'after',
      '\nExample:\n  multinic render fixtures/sample-multinicclusterconfig.yaml --renderer ifcfg',
    )
    .action(async (file: string, flags: Flags & { node?: string; renderer: string }) => {
      const { renderFile } = await import('./validate-command.ts');
      const { nodes, problems } = await renderFile(file, flags.renderer, flags.node);
      if (flags.output !== 'table') await printObject(flags.output, 'RenderedFiles', { nodes });
      else for (const [node, files] of Object.entries(nodes)) printFiles(node, files);
      if (problems.length > 0) throw new InvalidInputError('InvalidConfig', file, problems);
      if (Object.keys(nodes).length === 0) throw noNode(file, flags.node);
    });
}

function printFiles(node: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) print(`# ${node}: ${path}\n${text}`);
  if (Object.keys(files).length === 0) print(`# ${node}: no interfaces, no files\n`);
}

function noNode(file: string, node: string | undefined): MultinicError {
  return new MultinicError(
    'NoSuchNode',
    node === undefined
      ? `${file} configures no node`
      : `${file} has no entry for ${node}: give its attachedNodeId or attachedNodeName`,
  );
}
