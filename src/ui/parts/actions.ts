// The commands that there are for a node and for the fleet.

import type { LiveNode } from '../../api/live.ts';
import type { Texts } from '../text/en.ts';
import type { Command } from './command.ts';

export interface NodeFacts {
  readonly live: LiveNode;
  /** Commit of the node's branch. */
  readonly tip: string;
  /** Commit that a release goes back to. */
  readonly base: string | undefined;
  /** Commit of the drift that the person sees. */
  readonly drift: string | undefined;
  /** Whether the home may pause nodes. */
  readonly canPause: boolean;
}

/** Commands for a node in its present state. */
export function nodeCommands(text: Texts, node: string, facts: NodeFacts): Command[] {
  const { live, tip, base, drift, canPause } = facts;
  const path = `/nodes/${encodeURIComponent(node)}`;
  const { command } = text;
  const pausing = live.paused ? 'resume' : 'pause';
  return [
    {
      label: command.retry,
      path: `${path}/retry`,
      ...((live.drifted || live.desiredCommit !== live.appliedCommit) && {
        diffPath: `${path}/diff?host=true`,
      }),
    },
    { label: command.observe, path: '/observe', body: { nodes: [node] }, preview: false },
    ...(live.held
      ? [
          {
            label: command.release,
            path: `${path}/release`,
            ...(base !== undefined && { diffPath: `${path}/diff?from=${tip}&to=${base}` }),
          },
        ]
      : []),
    ...(drift === undefined
      ? []
      : [
          {
            label: command.accept,
            path: `${path}/accept`,
            body: { drift },
            diffPath: `${path}/diff?from=${tip}&to=${drift}`,
          },
        ]),
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
