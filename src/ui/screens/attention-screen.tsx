// The nodes that need a person now, grouped by reason and by equal words, each with what to do.

import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import type { LiveFleet, LiveNode } from '../../api/live.ts';
import { formatPlace } from '../live/place.ts';
import type { Command } from '../parts/command.ts';
import { CommandButton, CommandButtons } from '../parts/command-button.tsx';
import { useLive, useText } from '../parts/context.ts';
import { useReason } from '../parts/reason.ts';
import { groupsOf, isTroubled, withoutCommand, type AttentionGroup } from './attention-groups.ts';
import { labelOf } from './fleet-filter.ts';

export function AttentionScreen(): ComponentChildren {
  const text = useText();
  const { nodes, fleet, complete } = useLive().state;
  const groups = useMemo(() => groupsOf(nodes.values()), [nodes]);
  const troubled = useMemo(() => groupsOf(nodes.values(), isTroubled), [nodes]);
  // Reasons of a CR's entry, which have no commit and which no run can repair.
  const anyFailed = [...groups, ...troubled].some(
    ({ nodes: [first] }) => first?.state === 'Failed' && first.desiredCommit !== undefined,
  );
  const stuck = groups.reduce((sum, group) => sum + group.nodes.length, 0);
  const notices = fleet === undefined ? [] : noticesOf(fleet);
  return (
    <section aria-labelledby="attention-title">
      <div class="head">
        <h1 id="attention-title">{text.attention.title}</h1>
        <p class="count" role="status">
          {complete && text.attention.count(stuck)}
        </p>
        {anyFailed && <CommandButton command={{ label: text.command.retryFailed, path: '/retry' }} />}
      </div>
      {fleet !== undefined && notices.map((notice) => <Notice key={notice.words} {...notice} />)}
      {groups.map((group) => (
        <Group key={group.key} group={group} />
      ))}
      {complete && groups.length + notices.length === 0 && <p class="nothing">{text.attention.none}</p>}
      {troubled.length > 0 && (
        <section class="part" aria-labelledby="troubled-title">
          <h2 id="troubled-title">{text.attention.troubled}</h2>
          {troubled.map((group) => (
            <Group key={group.key} group={group} />
          ))}
        </section>
      )}
    </section>
  );
}

interface NoticeProps {
  readonly title: 'failure' | 'doubts' | 'unreadable';
  readonly words: string;
}

function noticesOf({ failure, doubts, unreadable }: LiveFleet): NoticeProps[] {
  return [
    ...(failure === undefined ? [] : [{ title: 'failure' as const, words: failure }]),
    ...unreadable.map((words) => ({ title: 'unreadable' as const, words })),
    ...Object.entries(doubts).map(([config, why]) => ({
      title: 'doubts' as const,
      words: `${config}: ${why}`,
    })),
  ];
}

function Notice({ title, words }: NoticeProps): ComponentChildren {
  const text = useText();
  return (
    <article class="card bad">
      <h2>{text.attention[title]}</h2>
      <p>{words}</p>
    </article>
  );
}

/** Nodes that a group names before the person asks for more. */
const FIRST = 12;

function Group({ group }: { readonly group: AttentionGroup }): ComponentChildren {
  const text = useText();
  const [first] = group.nodes;
  const only = group.nodes.length === 1 ? first : undefined;
  const { title, remedy } = useReason(group.reason, only && labelOf(only));
  // A message for one node alone keeps its addresses.
  const words = only?.message ?? group.words;
  const commands = groupCommands(group, text);
  const failed = first?.state === 'Failed';
  const names = group.nodes.toSorted((a, b) => (labelOf(a) < labelOf(b) ? -1 : 1));
  return (
    <article class={`card ${failed ? 'bad' : 'wait'}`}>
      <h2>
        <span class="many">{text.fleet.nodes(group.nodes.length)}</span> {title}{' '}
        <code class="code">{group.reason}</code>
      </h2>
      {words !== '' && <p class="words">{remedy === undefined ? words : withoutCommand(words)}</p>}
      {remedy !== undefined && (
        <p class="remedy">
          <b>{text.attention.todo}</b> {remedy}
        </p>
      )}
      <p class="names">
        {names.slice(0, FIRST).map((node) => (
          <NodeLink key={node.attachedNodeId} node={node} />
        ))}
        {names.length > FIRST && (
          <a href={formatPlace('fleet', '', { q: group.reason })}>
            {text.attention.more(names.length - FIRST)}
          </a>
        )}
      </p>
      {commands.length > 0 && <CommandButtons commands={commands} />}
    </article>
  );
}

function NodeLink({ node }: { readonly node: LiveNode }): ComponentChildren {
  return node.node === undefined ? (
    <span>{labelOf(node)}</span>
  ) : (
    <a href={formatPlace('node', node.node)}>{labelOf(node)}</a>
  );
}

/** Commands for a whole group. */
function groupCommands(
  { reason, nodes }: AttentionGroup,
  { command }: ReturnType<typeof useText>,
): readonly Command[] {
  const [first] = nodes;
  switch (reason) {
    case 'RemovalStopped':
      return [{ label: command.confirmRemovals, path: '/confirm' }];
    case 'RepairsStopped':
      return [{ label: command.confirmRepairs, path: '/confirm', body: { target: 'repairs' } }];
    case 'ChangeStopped':
      return first?.mainCommit === undefined
        ? []
        : [{ label: command.confirmChange, path: '/confirm', body: { target: first.mainCommit } }];
    default:
      return [];
  }
}
