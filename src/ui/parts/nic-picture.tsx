// A picture of a node: its NICs, and the networks that they stand in.

import type { ComponentChildren } from 'preact';
import type { PicturedNic } from '../live/answers.ts';
import { useText } from './context.ts';

interface Props {
  readonly node: string;
  readonly nics: readonly PicturedNic[];
}

const ROW = 44;
const WIDTH = 620;

/** Number of NICs that are drawn; a table has them all. */
const MAX_DRAWN = 16;

export function NicPicture({ node, nics }: Props): ComponentChildren {
  const text = useText();
  const drawn = nics.slice(0, MAX_DRAWN);
  if (drawn.length === 0) return null;
  const networks = [...new Set(drawn.flatMap(({ network }) => network ?? []))];
  const height = Math.max(drawn.length, networks.length) * ROW + 16;
  const yOf = (index: number, count: number): number => 8 + (height - 16) * ((index + 0.5) / count);
  const label = text.node.pictureOf(
    node,
    drawn.map(({ name, network }) => `${name} – ${network ?? text.node.linkOnly}`).join(', '),
  );
  return (
    <svg class="picture" viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label={label}>
      <rect class="host" x="1" y="8" width="130" height={height - 16} rx="8" />
      <text class="strong" x="66" y={height / 2 + 5} text-anchor="middle">
        {node.length > 17 ? `${node.slice(0, 16)}…` : node}
      </text>
      {drawn.map((nic, index) => {
        const y = yOf(index, drawn.length);
        const to =
          nic.network === undefined ? undefined : yOf(networks.indexOf(nic.network), networks.length);
        return (
          <g key={nic.name} class={`nic nic-${nic.mark}`}>
            <path d={`M132 ${y} H250${to === undefined ? '' : ` C330 ${y} 330 ${to} 410 ${to}`}`} />
            <circle cx="132" cy={y} r="5" />
            <text x="144" y={y - 6}>
              {nic.name}
            </text>
            <text class="soft" x="144" y={y + 15}>
              {nic.address ?? text.node.linkOnly}
            </text>
          </g>
        );
      })}
      {networks.map((network, index) => (
        <g key={network} class="network">
          <rect x="410" y={yOf(index, networks.length) - 14} width="204" height="28" rx="14" />
          <text x="512" y={yOf(index, networks.length) + 5} text-anchor="middle">
            {network}
          </text>
        </g>
      ))}
    </svg>
  );
}
