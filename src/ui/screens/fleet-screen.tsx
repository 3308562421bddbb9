// Every node with its state: search, filter, sort.

import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import type { LiveNode } from '../../api/live.ts';
import { useLive, useText, useUi } from '../parts/context.ts';
import { Age, CommitId, Flags, StateMark } from '../parts/marks.tsx';
import { VirtualRows } from '../parts/virtual-rows.tsx';
import { formatPlace } from '../live/place.ts';
import {
  chosen,
  COLUMNS,
  countsOf,
  FILTERS,
  labelOf,
  readView,
  type Column,
  type Filter,
  type FleetView,
} from './fleet-filter.ts';
import { useNarrow } from './narrow.ts';

/** Heights of a row in style.css: of one line, and of two lines in a narrow window. */
const ROW_PX = 36;
const NARROW_ROW_PX = 60;

export function FleetScreen(): ComponentChildren {
  const text = useText();
  const { place } = useUi();
  const { nodes, complete } = useLive().state;
  const narrow = useNarrow();
  const view = useMemo(() => readView(place.query), [place]);
  const rows = useMemo(() => chosen(nodes.values(), view), [nodes, view]);
  const counts = useMemo(() => countsOf(nodes.values()), [nodes]);
  return (
    <section aria-labelledby="fleet-title">
      <div class="head">
        <h1 id="fleet-title">{text.fleet.title}</h1>
        <p class="count" role="status">
          {rows.length === nodes.size ? text.fleet.nodes(nodes.size) : text.fleet.of(rows.length, nodes.size)}
        </p>
      </div>
      <div class="tools">
        <input
          type="search"
          class="search"
          value={view.search}
          placeholder={text.fleet.search}
          aria-label={text.fleet.search}
          onInput={(event) => go(view, { search: event.currentTarget.value })}
        />
        <Filters view={view} counts={counts} total={nodes.size} />
      </div>
      {rows.length > 0 ? (
        <table class="rows fleet">
          <Head view={view} />
          <VirtualRows
            rows={rows}
            rowHeight={narrow ? NARROW_ROW_PX : ROW_PX}
            draw={(node) => (
              <Row key={`${node.config} ${labelOf(node)} ${node.attachedNodeId}`} node={node} />
            )}
          />
        </table>
      ) : (
        complete && <p class="nothing">{nodes.size === 0 ? text.fleet.empty : text.fleet.none}</p>
      )}
    </section>
  );
}

/** Changes the address, and so the view. */
function go(view: FleetView, change: Partial<FleetView>): void {
  const { search, filter, sort, down } = { ...view, ...change };
  const order = sort === 'node' && !down ? undefined : `${down ? '-' : ''}${sort}`;
  location.replace(formatPlace('fleet', '', { q: search, show: filter, sort: order }));
}

interface FiltersProps {
  readonly view: FleetView;
  readonly counts: ReadonlyMap<Filter, number>;
  readonly total: number;
}

function Filters({ view, counts, total }: FiltersProps): ComponentChildren {
  const text = useText();
  const name = (filter: Filter): string => {
    if (filter === 'attention') return text.fleet.needsPerson;
    if (filter === 'held' || filter === 'paused' || filter === 'drifted') return text.flags[filter];
    return text.states[filter];
  };
  const shown = FILTERS.filter((filter) => filter === view.filter || (counts.get(filter) ?? 0) > 0);
  return (
    <div class="filters" role="group" aria-label={text.fleet.filter}>
      <button
        type="button"
        aria-pressed={view.filter === undefined}
        onClick={() => go(view, { filter: undefined })}
      >
        {text.fleet.all} <b>{total}</b>
      </button>
      {shown.map((filter) => (
        <button
          key={filter}
          type="button"
          class={`filter-${filter}`}
          aria-pressed={view.filter === filter}
          onClick={() => go(view, { filter: view.filter === filter ? undefined : filter })}
        >
          {name(filter)} <b>{counts.get(filter)}</b>
        </button>
      ))}
    </div>
  );
}

function Head({ view }: { readonly view: FleetView }): ComponentChildren {
  const text = useText();
  const cell = (column: Column): ComponentChildren => {
    const sorted = view.sort === column;
    return (
      <th
        key={column}
        scope="col"
        class={`col-${column}`}
        aria-sort={sorted ? (view.down ? 'descending' : 'ascending') : 'none'}
      >
        <button type="button" onClick={() => go(view, { sort: column, down: sorted && !view.down })}>
          {text.fleet[column]}
          <span aria-hidden="true" class="arrow">
            {sorted ? (view.down ? '↓' : '↑') : ''}
          </span>
        </button>
      </th>
    );
  };
  const [node, state, ...others] = COLUMNS;
  return (
    <thead>
      <tr>
        {cell(node)}
        {cell(state)}
        <th scope="col" class="col-flags">
          {text.fleet.flags}
        </th>
        {others.map(cell)}
      </tr>
    </thead>
  );
}

function Row({ node }: { readonly node: LiveNode }): ComponentChildren {
  const label = labelOf(node);
  const { desiredCommit, appliedCommit, lastProcessed } = node;
  const behind = desiredCommit !== appliedCommit;
  return (
    <tr class={node.activity === 'stuck' ? 'stuck' : ''}>
      <th scope="row" class="col-node">
        {node.node === undefined ? label : <a href={formatPlace('node', node.node)}>{label}</a>}
      </th>
      <td class="col-state">
        <StateMark state={node.state} />
      </td>
      <td class="col-flags">
        <Flags node={node} />
      </td>
      <td class="col-reason" title={node.message}>
        {node.reason} {node.message !== undefined && <small>{node.message}</small>}
      </td>
      <td class="col-desired">
        <CommitId commit={desiredCommit} />
      </td>
      <td class={`col-applied ${behind ? 'behind' : ''}`}>
        <CommitId commit={appliedCommit} />
      </td>
      <td class="col-observed">
        <Age at={node.observedAt} />
      </td>
      <td class="col-processed">
        <Age at={lastProcessed === undefined ? undefined : Date.parse(lastProcessed)} />
      </td>
    </tr>
  );
}
