// The commits and the outcomes of a node in one list; any two points can be compared, and a commit can be gone back to.

import type { ComponentChildren } from 'preact';
import type { LogEntry } from '../live/answers.ts';
import { formatPlace } from '../live/place.ts';
import { rollbackCommand } from '../parts/actions.ts';
import { CommandButton } from '../parts/command-button.tsx';
import { useText, useUi } from '../parts/context.ts';
import { Age } from '../parts/marks.tsx';

interface Props {
  readonly name: string;
  readonly tip: string;
  readonly entries: readonly LogEntry[];
}

export function Timeline({ name, tip, entries }: Props): ComponentChildren {
  const text = useText();
  return (
    <section aria-labelledby="timeline-title" class="part">
      <h2 id="timeline-title">{text.timeline.title}</h2>
      <div class="timeline-box" tabIndex={0} role="group" aria-label={text.timeline.title}>
        <ol class="timeline">
          {entries.map((entry) => (
            <Entry key={entry.commit} name={name} tip={tip} entry={entry} />
          ))}
        </ol>
      </div>
    </section>
  );
}

function Entry({
  name,
  tip,
  entry,
}: Omit<Props, 'entries'> & { readonly entry: LogEntry }): ComponentChildren {
  const text = useText();
  const { kind, result, commit } = entry;
  const happened = kind === 'outcome' || kind === 'request';
  const bad =
    result !== undefined && ['Failed', 'Restored', 'RestoreFailed', 'Drifted', 'Unknown'].includes(result);
  return (
    <li class={`event event-${happened ? 'happened' : 'wanted'} ${bad ? 'event-bad' : ''}`}>
      <div class="event-line">
        <span class="kind">{text.timeline.kinds[kind] ?? kind}</span>
        <span class="subject">{entry.subject.replace(`${name}: `, '')}</span>
        <span class="when">
          <Age at={entry.time * 1000} />
        </span>
      </div>
      {entry.message !== undefined && bad && <p class="words">{entry.message}</p>}
      <div class="event-line soft">
        <code>{commit.slice(0, 8)}</code>
        <span>{entry.author.replace(/ <>$/, '')}</span>
        {entry.principal !== undefined && <span>{text.timeline.as(entry.principal)}</span>}
        {entry.endsHold !== undefined && <span>{text.timeline.endsHold}</span>}
        {entry.mainCommit !== undefined && (
          <a href={formatPlace('change', entry.mainCommit)}>{text.timeline.change}</a>
        )}
        <Points name={name} commit={commit} />
        {!happened && <CommandButton command={rollbackCommand(text, name, tip, commit)} />}
      </div>
    </li>
  );
}

/** Chooses a commit as one of the two points of a comparison. */
function Points({ name, commit }: { readonly name: string; readonly commit: string }): ComponentChildren {
  const text = useText();
  const { query } = useUi().place;
  const { from, to } = query;
  const link = (side: 'from' | 'to'): ComponentChildren => {
    const chosen = query[side] === commit;
    return (
      <a
        class="choice-link"
        aria-current={chosen ? 'true' : undefined}
        aria-label={text.timeline.point[side](commit.slice(0, 8))}
        href={formatPlace('node', name, { from, to, [side]: commit, compare: 'points' })}
      >
        {text.timeline.side[side]}
      </a>
    );
  };
  return (
    <span class="points">
      {text.timeline.compare}
      {link('from')}
      {link('to')}
    </span>
  );
}
