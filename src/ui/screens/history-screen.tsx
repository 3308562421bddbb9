// The changes of the fleet: by author, CR, node and time.

import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import type { HistoryAnswer, HistoryEntry, LogEntry } from '../live/answers.ts';
import { formatPlace } from '../live/place.ts';
import { AnswerNotice } from '../parts/answer-notice.tsx';
import { useLive, useText, useUi } from '../parts/context.ts';
import { Age } from '../parts/marks.tsx';
import { useAnswer } from '../parts/use-answer.ts';
import { pathOf } from './node-path.ts';

const LIMIT = 200;

export function HistoryScreen(): ComponentChildren {
  const text = useText();
  const { place } = useUi();
  const { query } = place;
  const { state } = useLive();
  const node = query['node'] ?? '';
  const search = useMemo(() => searchOf(query), [query]);
  // A push is on no commit of main, and makes a hold.
  const holds = useMemo(
    () => [...state.nodes.values()].map(({ hold }) => hold?.commit).join(' '),
    [state.nodes],
  );
  const main = useAnswer<HistoryAnswer>(
    node === '' ? `/history?${search}` : undefined,
    `${state.fleet?.main} ${holds}`,
  );
  const live = [...state.nodes.values()].find((each) => each.node === node);
  const path = node === '' ? undefined : pathOf(node, state);
  const log = useAnswer<readonly LogEntry[]>(
    path && `${path}/log?limit=${LIMIT}`,
    `${live?.desiredCommit} ${live?.happened}`,
  );
  const ofLog = log.value && ofNode(log.value, node, query);
  const entries = main.value?.entries ?? (live !== undefined && path === undefined ? [] : ofLog);
  return (
    <section aria-labelledby="history-title">
      <div class="head">
        <h1 id="history-title">{text.nav.history}</h1>
      </div>
      <Form />
      <AnswerNotice of={[main, log]} />
      {entries?.length === 0 && <p class="nothing">{text.history.none}</p>}
      <ol class="timeline">
        {entries?.map((entry) => (
          <Entry key={entry.commit} entry={entry} />
        ))}
      </ol>
      {main.value?.searchedTo !== undefined && (
        <p class="soft">{text.history.searchedTo(text.time.at(main.value.searchedTo * 1000))}</p>
      )}
    </section>
  );
}

function searchOf(query: Readonly<Record<string, string>>): string {
  const params = new URLSearchParams({ limit: String(LIMIT) });
  for (const key of ['author', 'config'] as const) if (query[key]) params.set(key, query[key]);
  const [since, until] = range(query);
  if (since !== undefined) params.set('since', String(since));
  if (until !== undefined) params.set('until', String(until));
  return params.toString();
}

/** Seconds of the beginning of the first day, and of the end of the last. */
function range(query: Readonly<Record<string, string>>): [number | undefined, number | undefined] {
  return [secondsOf(query['since'], '00:00:00'), secondsOf(query['until'], '23:59:59')];
}

function secondsOf(day: string | undefined, hour: string): number | undefined {
  const time = Date.parse(`${day}T${hour}`);
  return Number.isNaN(time) ? undefined : Math.floor(time / 1000);
}

interface Shown extends Omit<HistoryEntry, 'kind'> {
  readonly kind: string;
  readonly mainCommit?: string;
  readonly node?: string;
}

function ofNode(
  entries: readonly LogEntry[],
  node: string,
  query: Readonly<Record<string, string>>,
): Shown[] {
  const author = (query['author'] ?? '').toLowerCase();
  const [since = 0, until = Infinity] = range(query);
  return entries
    .filter(({ time }) => time >= since && time <= until)
    .filter((entry) => `${entry.author}\n${entry.principal ?? ''}`.toLowerCase().includes(author))
    .map((entry) => ({ ...entry, node }));
}

const FIELDS = ['author', 'config', 'node', 'since', 'until'] as const;

function Form(): ComponentChildren {
  const text = useText();
  const { query } = useUi().place;
  const { configs, nodes } = useLive().state;
  const names = useMemo(() => [...nodes.values()].flatMap(({ node }) => node ?? []).toSorted(), [nodes]);
  const set = (field: string, value: string): void =>
    location.replace(formatPlace('history', '', { ...query, [field]: value }));
  return (
    <form class="tools" onSubmit={(event) => event.preventDefault()}>
      {FIELDS.map((field) => (
        <label key={field}>
          {text.history[field]}
          {field === 'config' ? (
            <select
              value={query[field] ?? ''}
              disabled={query['node'] !== undefined}
              onChange={(event) => set(field, event.currentTarget.value)}
            >
              <option value="">{text.fleet.all}</option>
              {[...configs.keys()].map((each) => (
                <option key={each} value={each}>
                  {each}
                </option>
              ))}
            </select>
          ) : (
            <input
              type={field === 'since' || field === 'until' ? 'date' : 'text'}
              value={query[field] ?? ''}
              list={field === 'node' ? 'node-names' : undefined}
              onChange={(event) => set(field, event.currentTarget.value)}
            />
          )}
        </label>
      ))}
      <datalist id="node-names">
        {names.slice(0, 1000).map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </form>
  );
}

function Entry({ entry }: { readonly entry: Shown }): ComponentChildren {
  const text = useText();
  const { kind, commit, subject, node, nodes = [], nodeCount = 0 } = entry;
  const to =
    node === undefined
      ? kind === 'change'
        ? formatPlace('change', commit)
        : undefined
      : formatPlace('node', node, { to: commit, compare: 'points' });
  return (
    <li class={`event event-${kind === 'change' ? 'wanted' : 'happened'}`}>
      <div class="event-line">
        <span class="kind">{text.timeline.kinds[kind] ?? kind}</span>
        <span class="subject">{to === undefined ? subject : <a href={to}>{subject}</a>}</span>
        <span class="when">
          <Age at={entry.time * 1000} />
        </span>
      </div>
      <div class="event-line soft">
        <code>{commit.slice(0, 8)}</code>
        {entry.author !== undefined && <span>{entry.author.replace(/ <>$/, '')}</span>}
        {entry.principal !== undefined && <span>{text.timeline.as(entry.principal)}</span>}
        {entry.config !== undefined && <span>{entry.config}</span>}
        {nodes.map((each) => (
          <a key={each} href={formatPlace('node', each)}>
            {each}
          </a>
        ))}
        {nodeCount > nodes.length && <span>{text.attention.more(nodeCount - nodes.length)}</span>}
      </div>
    </li>
  );
}
