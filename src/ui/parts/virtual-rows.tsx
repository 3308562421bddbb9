// Draws only the rows of a long list that can be seen.

import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

interface Props<T> {
  readonly rows: readonly T[];
  readonly rowHeight: number;
  readonly draw: (row: T, index: number) => ComponentChildren;
}

/** Rows drawn beyond each edge, so that a short move of the wheel finds them there. */
const BEYOND = 12;

/** A `tbody` for a table whose page scrolls. All rows have one height. */
export function VirtualRows<T>({ rows, rowHeight, draw }: Props<T>): ComponentChildren {
  const body = useRef<HTMLTableSectionElement>(null);
  const [[first, last], setRange] = useState<readonly [number, number]>([0, 60]);
  useLayoutEffect(() => {
    const measure = (): void => {
      const top = body.current?.getBoundingClientRect().top ?? 0;
      const from = Math.max(0, Math.floor(-top / rowHeight) - BEYOND);
      const to = Math.ceil((innerHeight - top) / rowHeight) + BEYOND;
      setRange((before) => (before[0] === from && before[1] === to ? before : [from, to]));
    };
    measure();
    addEventListener('scroll', measure, { passive: true });
    addEventListener('resize', measure);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
    };
  }, [rowHeight]);
  const from = Math.min(first, Math.max(0, rows.length - 1));
  const shown = rows.slice(from, last);
  const below = Math.max(0, rows.length - from - shown.length);
  return (
    <tbody ref={body}>
      <Gap height={from * rowHeight} />
      {shown.map((row, index) => draw(row, from + index))}
      <Gap height={below * rowHeight} />
    </tbody>
  );
}

/** One cell, because a cell over all columns would show columns that a narrow screen leaves out. */
function Gap({ height }: { readonly height: number }): ComponentChildren {
  if (height === 0) return null;
  return (
    <tr aria-hidden="true" class="gap">
      <td style={{ height: `${height}px` }} />
    </tr>
  );
}
