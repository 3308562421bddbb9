// One node: its NICs beside those on the host, its history, what differs, its files, its last run.

import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import type { LiveHold, LiveNode } from '../../api/live.ts';
import type { DriftAnswer, HostAnswer, LogEntry, NodeAnswer } from '../live/answers.ts';
import { formatPlace } from '../live/place.ts';
import { nodeCommands } from '../parts/actions.ts';
import { AnswerNotice } from '../parts/answer-notice.tsx';
import { CommandButtons } from '../parts/command-button.tsx';
import { useLive, useNow, useText, useUi } from '../parts/context.ts';
import { DiffView } from '../parts/diff-view.tsx';
import { Flags, StateMark } from '../parts/marks.tsx';
import { useReason } from '../parts/reason.ts';
import { useAnswer } from '../parts/use-answer.ts';
import { ageText } from '../text/age.ts';
import { withoutCommand } from './attention-groups.ts';
import { pathOf } from './node-path.ts';
import { NicSection } from './nic-section.tsx';
import { Timeline } from './timeline.tsx';

export function NodeScreen(): ComponentChildren {
  const text = useText();
  const { access, place } = useUi();
  const name = place.subject;
  const { state } = useLive();
  const { nodes, complete, hello } = state;
  const live = useMemo(() => [...nodes.values()].find(({ node }) => node === name), [nodes, name]);
  // A node's answers are asked again when its branch, its runs or its drift may have moved.
  const version = `${live?.desiredCommit} ${live?.happened} ${live?.drifted}`;
  const path = pathOf(name, state);
  const node = useAnswer<NodeAnswer>(path, version);
  const host = useAnswer<HostAnswer>(path && `${path}/host`, version);
  const log = useAnswer<readonly LogEntry[]>(path && `${path}/log?limit=100`, version);
  const drifts = useAnswer<readonly DriftAnswer[]>(
    path !== undefined && live?.drifted ? `${path}/drift` : undefined,
    version,
  );
  return (
    <section aria-labelledby="node-title">
      <p class="crumbs">
        <a href={formatPlace('fleet')}>{text.fleet.title}</a> /
      </p>
      <div class="head">
        <h1 id="node-title">{name}</h1>
        {live && <StateMark state={live.state} />}
        {live && <Flags node={live} />}
      </div>
      {live && <Situation name={name} live={live} />}
      {live?.hold && <Hold hold={live.hold} />}
      {complete && live === undefined && <p class="trouble">{text.node.unknown}</p>}
      <AnswerNotice of={[node, host, log, drifts]} />
      {live && node.value && (
        <CommandButtons
          commands={nodeCommands(text, name, {
            live,
            tip: node.value.commit,
            base: node.value.base,
            drift: drifts.value?.[0]?.commit,
            canPause: hello?.canPause === true || access.pauses,
          })}
        />
      )}
      {node.value && (
        <NicSection name={name} node={node.value} host={host.value} statuses={live?.interfaces ?? []} />
      )}
      {node.value && log.value && <Timeline name={name} tip={node.value.commit} entries={log.value} />}
      {node.value && <Comparison name={name} tip={node.value.commit} version={version} />}
      {host.value?.record && <LastRun name={name} commit={host.value.commit} record={host.value.record} />}
      {node.value && <Files files={node.value.files} />}
    </section>
  );
}

interface SituationProps {
  readonly name: string;
  readonly live: LiveNode;
}

function Situation({ name, live }: SituationProps): ComponentChildren {
  const text = useText();
  const { title, remedy } = useReason(live.reason ?? '', name);
  const says = live.activity === 'stuck' && remedy !== undefined;
  if (live.reason === undefined) return null;
  return (
    <div class={`card ${live.activity === 'stuck' ? 'bad' : ''}`}>
      <p>
        {title} <code class="code">{live.reason}</code>
      </p>
      {live.message !== undefined && (
        <p class="words">{says ? withoutCommand(live.message) : live.message}</p>
      )}
      {says && (
        <p class="remedy">
          <b>{text.attention.todo}</b> {remedy}
        </p>
      )}
    </div>
  );
}

function Hold({ hold }: { readonly hold: LiveHold }): ComponentChildren {
  const text = useText();
  const now = useNow(10_000);
  const { author, principal, since } = hold;
  const who = principal === undefined ? author : `${author} (${text.timeline.as(principal)})`;
  return <p class="soft">{text.node.held(who, ageText(now - since * 1000, text))}</p>;
}

interface ComparisonProps {
  readonly name: string;
  readonly tip: string;
  readonly version: string;
}

/** The difference between the two points that the address names, or between host and desired. */
function Comparison({ name, tip, version }: ComparisonProps): ComponentChildren {
  const text = useText();
  const { place } = useUi();
  const { from = '', to = tip, compare } = place.query;
  const path = `/nodes/${encodeURIComponent(name)}/diff`;
  const host = compare !== 'points';
  const query = new URLSearchParams(host ? { host: 'true' } : { to, ...(from !== '' && { from }) });
  const asked = useAnswer<{ diff: string }>(`${path}?${query}`, version);
  return (
    <section aria-labelledby="diff-title" class="part">
      <div class="head">
        <h2 id="diff-title">{text.diff.title}</h2>
        <div class="filters" role="group" aria-label={text.diff.title}>
          <a
            class="choice-link"
            aria-current={host ? 'true' : undefined}
            href={formatPlace('node', name, { from, to: place.query['to'] })}
          >
            {text.diff.hostAgainstDesired}
          </a>
          <a
            class="choice-link"
            aria-current={host ? undefined : 'true'}
            href={formatPlace('node', name, { from, to: place.query['to'], compare: 'points' })}
          >
            {text.diff.points(from.slice(0, 8), to.slice(0, 8))}
          </a>
        </div>
      </div>
      <AnswerNotice of={[asked]} />
      {asked.value !== undefined && (
        <DiffView
          diff={asked.value.diff}
          left={host ? text.diff.host : from.slice(0, 8) || text.diff.before}
          right={host ? text.diff.desired : to.slice(0, 8)}
        />
      )}
    </section>
  );
}

interface LastRunProps {
  readonly name: string;
  readonly commit: string | undefined;
  readonly record: NonNullable<HostAnswer['record']>;
}

function LastRun({ name, commit, record }: LastRunProps): ComponentChildren {
  const text = useText();
  const rows: readonly (readonly [string, ComponentChildren])[] = [
    [text.run.result, record.result],
    [text.fleet.reason, record.reason],
    [text.run.message, record.message],
    [text.run.when, text.time.at(record.time * 1000)],
    // An observation is no attempt.
    [text.run.attempt, record.attempt === 0 ? undefined : record.attempt],
    [text.run.job, record.job],
    [text.run.tried, record.tried && <code>{record.tried.slice(0, 10)}</code>],
    [text.run.by, record.by],
    [text.run.missing, record.missing.join(', ')],
    [text.run.leftOut, record.leftOut?.join(', ')],
    [text.run.boot, record.bootId],
  ];
  return (
    <section aria-labelledby="run-title" class="part">
      <h2 id="run-title">{text.run.title}</h2>
      <dl class="facts">
        {rows.flatMap(([label, value]) =>
          value === undefined || value === ''
            ? []
            : [<dt key={label}>{label}</dt>, <dd key={`${label}=`}>{value}</dd>],
        )}
      </dl>
      {commit !== undefined && (
        <p>
          <a href={formatPlace('node', name, { to: commit, compare: 'points' })}>{text.run.changed}</a>
        </p>
      )}
    </section>
  );
}

function Files({ files }: { readonly files: Readonly<Record<string, string>> }): ComponentChildren {
  const text = useText();
  return (
    <section aria-labelledby="files-title" class="part">
      <h2 id="files-title">{text.node.files}</h2>
      {Object.entries(files).map(([path, content]) => (
        <details key={path} class="file">
          <summary>
            <code>{path}</code>
          </summary>
          <pre tabIndex={0}>{content}</pre>
        </details>
      ))}
    </section>
  );
}
