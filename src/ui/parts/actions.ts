// The commands that there are for a node and for the fleet.

import type { LiveNode } from '../../api/live.ts';
import type { Texts } from '../text/en.ts';
import type { Command } from './command-button.tsx';

/** Commands for a node in its present state. @param canPause whether the home may pause nodes */
export function nodeCommands(text: Texts, live: LiveNode, node: string, canPause: boolean): Command[] {
  const path = `/nodes/${encodeURIComponent(node)}`;
  const { command } = text;
  const pausing = live.paused ? 'resume' : 'pause';
  return [
    { label: command.retry, path: `${path}/retry` },
    { label: command.observe, path: '/observe', body: { nodes: [node] }, preview: false },
    ...(live.held ? [{ label: command.release, path: `${path}/release` }] : []),
    ...(live.drifted ? [{ label: command.accept, path: `${path}/accept` }] : []),
    ...(live.reason === 'NeedsConfirm' || live.reason === 'Diverged' || live.reason === 'RecordDiffers'
      ? [{ label: command.takeOver, path: '/confirm', body: { target: node } }]
      : []),
    {
      label: command[pausing],
      path: `${path}/${pausing}`,
      impossible: canPause ? undefined : command.useKubectl(pausing, node),
    },
  ];
}

/** Rolls a node back to a commit. */
export function rollbackCommand(text: Texts, node: string, tip: string, commit: string): Command {
  const path = `/nodes/${encodeURIComponent(node)}`;
  return {
    label: text.command.rollbackTo(commit.slice(0, 8)),
    path: `${path}/rollback`,
    body: { to: commit },
    diffPath: `${path}/diff?from=${tip}&to=${commit}`,
    impossible: tip === commit ? text.command.isTip : undefined,
  };
}
