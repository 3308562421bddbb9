// A diff, side by side; on a narrow screen one below the other.

import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import { useText } from './context.ts';
import { parseDiff, type DiffFile, type DiffLine, type DiffRow } from './diff-rows.ts';

interface Props {
  readonly diff: string;
  readonly left: string;
  readonly right: string;
}

export function DiffView({ diff, left, right }: Props): ComponentChildren {
  const text = useText();
  const files = useMemo(() => parseDiff(diff), [diff]);
  if (files.length === 0) return <p class="nothing">{text.diff.none}</p>;
  return (
    <div class="diff">
      {files.map((file) => (
        <File key={file.path} file={file} left={left} right={right} />
      ))}
    </div>
  );
}

interface FileProps extends Omit<Props, 'diff'> {
  readonly file: DiffFile;
}

function File({ file, left, right }: FileProps): ComponentChildren {
  const text = useText();
  return (
    <table class="diff-file">
      <caption>
        <code>{file.path}</code> {file.kind !== 'changed' && <span class="flag">{text.diff[file.kind]}</span>}
      </caption>
      <colgroup>
        <col class="number" />
        <col />
        <col class="number" />
        <col />
      </colgroup>
      <thead>
        <tr>
          <th scope="col" colSpan={2}>
            {left}
          </th>
          <th scope="col" colSpan={2}>
            {right}
          </th>
        </tr>
      </thead>
      <tbody>
        {file.rows.map((row, index) => (
          <Row key={index} row={row} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ row }: { readonly row: DiffRow }): ComponentChildren {
  if (row.kind === 'gap')
    return (
      <tr class="diff-gap">
        <td colSpan={4}>⋯</td>
      </tr>
    );
  const changed = row.kind === 'changed';
  return (
    <tr>
      <Side line={row.left} kind={changed && row.left ? 'del' : ''} sign="−" />
      <Side line={row.right} kind={changed && row.right ? 'add' : ''} sign="+" />
    </tr>
  );
}

interface SideProps {
  readonly line: DiffLine | undefined;
  readonly kind: 'del' | 'add' | '';
  readonly sign: string;
}

function Side({ line, kind, sign }: SideProps): ComponentChildren {
  const text = useText();
  return (
    <>
      <td class="number">{line?.number}</td>
      <td class={`line ${kind}`}>
        {kind !== '' && (
          <span
            class="sign"
            aria-label={kind === 'del' ? text.diff.wentLabel : text.diff.cameLabel}
            role="img"
          >
            {sign}
          </span>
        )}
        {line?.text}
      </td>
    </>
  );
}
