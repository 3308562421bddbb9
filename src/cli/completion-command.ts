// Completion for shells: a script for each shell asks this program for the words that may come next.

import { Argument, type Command, type Option } from 'commander';
import { look } from './reading-options.ts';
import type { ConnectionFlags } from './target.ts';

/** Prints candidates, a line each. Shells that have the script of a release call it, so its name is frozen. */
const COMPLETE = '__complete';

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_multinic() {
  local IFS=$'\\n'
  COMPREPLY=($(multinic ${COMPLETE} -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _multinic multinic
`,
  zsh: `#compdef multinic
_multinic() {
  local -a found
  found=("\${(@f)$(multinic ${COMPLETE} -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -a found; else _files; fi
}
compdef _multinic multinic
`,
  fish: `complete -c multinic -a '(set -l words (commandline -opc) (commandline -ct); multinic ${COMPLETE} -- $words[2..] 2>/dev/null)'
`,
  // kubectl asks the program kubectl_complete-NAME on the PATH to complete its plugin NAME.
  kubectl: `#!/bin/sh
exec kubectl-multinic ${COMPLETE} -- "$@" 2>/dev/null
`,
};

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('print a script that completes commands, options and nodes in a shell')
    .addArgument(new Argument('<shell>').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      `
Examples:
  multinic completion bash > /etc/bash_completion.d/multinic
  multinic completion zsh > "\${fpath[1]}/_multinic"
  multinic completion fish > ~/.config/fish/completions/multinic.fish
  multinic completion kubectl > ~/bin/kubectl_complete-multinic
  chmod +x ~/bin/kubectl_complete-multinic`,
    )
    .action((shell: string) => void process.stdout.write(SCRIPTS[shell]!));
  program
    .command(COMPLETE, { hidden: true })
    .argument('[words...]')
    .action(async (words: string[]) => {
      const found = await candidates(program, words);
      process.stdout.write(found.map((word) => `${word}\n`).join(''));
    });
}

/** Words that may stand in the place of the last one. None: the shell completes files. */
async function candidates(program: Command, words: readonly string[]): Promise<string[]> {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  let command = program;
  const values: string[] = [];
  const given: Record<string, string | true> = {};
  let open: Option | undefined;
  for (const word of before) {
    if (open !== undefined) {
      given[open.attributeName()] = word;
      open = undefined;
    } else if (word.startsWith('-')) {
      const option = command.options.find(({ long, short }) => word === long || word === short);
      if (option?.required === true) open = option;
      else if (option !== undefined) given[option.attributeName()] = true;
    } else {
      const next = command.commands.find((each) => each.name() === word);
      if (next === undefined) values.push(word);
      else command = next;
    }
  }
  return (await wordsFor(command, current, values, open, given)).filter((word) => word.startsWith(current));
}

async function wordsFor(
  command: Command,
  current: string,
  values: readonly string[],
  open: Option | undefined,
  given: object,
): Promise<readonly string[]> {
  if (open !== undefined) return open.argChoices ?? [];
  if (current.startsWith('-')) return [...command.options.flatMap(({ long }) => long ?? []), '--help'];
  const names = command.commands.map((each) => each.name()).filter((name) => name !== COMPLETE);
  if (names.length > 0) return names;
  const known = command.registeredArguments;
  const argument = known[values.length] ?? (known.at(-1)?.variadic === true ? known.at(-1) : undefined);
  if (argument?.argChoices !== undefined) return argument.argChoices;
  return argument?.name() === 'node' || argument?.name() === 'target' ? nodeNames(given) : [];
}

/** Nodes of the place that the words before name. A place that does not answer offers no names. */
async function nodeNames(given: object): Promise<string[]> {
  const names: string[] = [];
  const flags = { namespace: 'multinic-system', ...given } as ConnectionFlags;
  await look(flags, async (source) => {
    for (const { node } of (await source.status()).nodes) if (node !== undefined) names.push(node);
  }).catch(() => undefined);
  return names;
}
