// One commit of main: how far it came, and what it changes, equal changes together.

import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import type { LiveNode } from '../../api/live.ts';
import { NODE_STATES } from '../../api/status.ts';
import type { ChangeAnswer } from '../live/answers.ts';
import { formatPlace } from '../live/place.ts';
import { AnswerNotice } from '../parts/answer-notice.tsx';
import { CommandButtons } from '../parts/command-button.tsx';
import { useLive, useText, useUi } from '../parts/context.ts';
import { DiffView } from '../parts/diff-view.tsx';
import { Age, StateMark } from '../parts/marks.tsx';
import { useAnswer } from '../parts/use-answer.ts';

export function ChangeScreen(): ComponentChildren {
  const text = useText();
  const { place } = useUi();
  const { state } = useLive();
  const commit = place.subject;
  const asked = useAnswer<ChangeAnswer>(`/changes/${encodeURIComponent(commit)}`, state.fleet?.main);
  const { value } = asked;
  const byName = useMemo(
    () => new Map([...state.nodes.values()].map((node) => [node.node ?? '', node])),
    [state.nodes],
  );
  return (
    <section aria-labelledby="change-title">
      <p class="crumbs">
        <a href={formatPlace('history')}>{text.nav.history}</a> /
      </p>
      <div class="head">
        <h1 id="change-title">{value?.subject ?? commit.slice(0, 10)}</h1>
      </div>
      <AnswerNotice of={[asked]} />
      {value && (
        <>
          <p class="soft">
            <code>{value.commit.slice(0, 10)}</code> · {value.author}
            {value.principal !== undefined && ` ${text.timeline.as(value.principal)}`} ·{' '}
            <Age at={value.time * 1000} ago /> {value.config !== undefined && `· ${value.config}`}
          </p>
          <Progress change={value} byName={byName} />
          {value.groups.length > 0 ? (
            <CommandButtons
              commands={[{ label: text.change.rollback, path: '/rollback', body: { change: value.commit } }]}
            />
          ) : (
            <p class="nothing">{text.change.none}</p>
          )}
          {value.groups.map((group) => (
            <Group key={group.change} group={group} byName={byName} />
          ))}
          {value.movedOn.length > 0 && (
            <section class="part" aria-labelledby="moved-title">
              <h2 id="moved-title">{text.change.movedOn(value.movedOn.length)}</h2>
              <Names names={value.movedOn} />
            </section>
          )}
        </>
      )}
    </section>
  );
}

interface ByName {
  readonly byName: ReadonlyMap<string, LiveNode>;
}

function Progress({ change, byName }: ByName & { readonly change: ChangeAnswer }): ComponentChildren {
  const text = useText();
  const states = change.groups.flatMap(({ nodes }) =>
    nodes.map(({ node }) => byName.get(node)?.state ?? 'Pending'),
  );
  if (states.length === 0) return null;
  const counts = NODE_STATES.map((each) => [each, states.filter((state) => state === each).length] as const);
  const done = counts.find(([each]) => each === 'Configured')?.[1] ?? 0;
  return (
    <div class="progress">
      <progress max={states.length} value={done} aria-label={text.change.progress(done, states.length)} />
      <p>
        {text.change.progress(done, states.length)}
        {counts.map(([each, count]) =>
          count === 0 || each === 'Configured' ? null : (
            <span key={each}>
              {' '}
              · <StateMark state={each} /> {count}
            </span>
          ),
        )}
      </p>
    </div>
  );
}

type GroupAnswer = ChangeAnswer['groups'][number];

function Group({ group, byName }: ByName & { readonly group: GroupAnswer }): ComponentChildren {
  const text = useText();
  const [first] = group.nodes;
  const [open, setOpen] = useState(false);
  const path = open && first ? `/nodes/${encodeURIComponent(first.node)}/diff?to=${first.commit}` : undefined;
  const asked = useAnswer<{ diff: string }>(path);
  const stuck = group.nodes.filter(({ node }) => byName.get(node)?.activity === 'stuck').length;
  return (
    <article class={`card ${stuck > 0 ? 'bad' : ''}`}>
      <h2>
        <span class="many">{text.fleet.nodes(group.nodes.length)}</span> {group.change}
      </h2>
      {stuck > 0 && <p class="trouble">{text.attention.count(stuck)}</p>}
      <Names names={group.nodes.map(({ node }) => node)} />
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{text.change.sample(first?.node ?? '')}</summary>
        <AnswerNotice of={[asked]} />
        {asked.value && <DiffView diff={asked.value.diff} left={text.diff.before} right={text.diff.after} />}
      </details>
    </article>
  );
}

const FIRST = 12;

function Names({ names }: { readonly names: readonly string[] }): ComponentChildren {
  const text = useText();
  const [all, setAll] = useState(false);
  const shown = all ? names : names.slice(0, FIRST);
  return (
    <p class="names">
      {shown.map((name) => (
        <a key={name} href={formatPlace('node', name)}>
          {name}
        </a>
      ))}
      {shown.length < names.length && (
        <button type="button" onClick={() => setAll(true)}>
          {text.attention.more(names.length - shown.length)}
        </button>
      )}
    </p>
  );
}
