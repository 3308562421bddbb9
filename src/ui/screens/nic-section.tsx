// The NICs of a node as a table and as a picture.

import type { ComponentChildren } from 'preact';
import type { InterfaceStatus } from '../../api/status.ts';
import type { HostAnswer, Nic, NodeAnswer } from '../live/answers.ts';
import { useText } from '../parts/context.ts';
import { StateMark } from '../parts/marks.tsx';
import { NicPicture } from '../parts/nic-picture.tsx';
import { cidrOf, nicRows, pictured, type NicRow } from './nic-rows.ts';

interface Props {
  readonly name: string;
  readonly node: NodeAnswer;
  readonly host: HostAnswer | undefined;
  readonly statuses: readonly InterfaceStatus[];
}

export function NicSection({ name, node, host, statuses }: Props): ComponentChildren {
  const text = useText();
  const rows = nicRows(node.network, host?.network ?? [], statuses);
  return (
    <section aria-labelledby="nics-title" class="part">
      <h2 id="nics-title">{text.node.nics}</h2>
      {host?.unreadable !== undefined && <p class="trouble">{host.unreadable}</p>}
      {node.invalid !== undefined && <p class="trouble">{node.invalid}</p>}
      {rows.length === 0 ? (
        <p class="nothing">{text.node.noNics}</p>
      ) : (
        <>
          <div class="scroll" tabIndex={0} role="region" aria-label={text.node.nicTable}>
            <NicPicture node={name} nics={pictured(rows)} />
            <table class="rows nics">
              <thead>
                <tr>
                  <th scope="col">MAC</th>
                  <th scope="col">{text.fleet.state}</th>
                  <th scope="col">{text.diff.desired}</th>
                  <th scope="col">{text.diff.host}</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <NicRowView key={row.mac} row={row} />
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
    </section>
  );
}

function NicRowView({ row }: { readonly row: NicRow }): ComponentChildren {
  const text = useText();
  const { mac, desired, host, status, differs } = row;
  const none = <span class="none">{text.node.none}</span>;
  return (
    <tr>
      <th scope="row">
        <code>{mac}</code>
      </th>
      <td>
        {status && <StateMark state={status.state} />} {status?.reason && <small>{status.reason}</small>}
      </td>
      <td>{desired === undefined ? none : <NicWords nic={desired} differs={differs} />}</td>
      <td>{host === undefined ? none : <NicWords nic={host} differs={differs} />}</td>
    </tr>
  );
}

function NicWords({
  nic,
  differs,
}: {
  readonly nic: Nic;
  readonly differs: NicRow['differs'];
}): ComponentChildren {
  return (
    <span class="nic-words">
      <span class={differs.has('name') ? 'differs' : ''}>{nic.name}</span>{' '}
      <span class={differs.has('address') ? 'differs mono' : 'mono'}>{cidrOf(nic)}</span>{' '}
      <span class={differs.has('mtu') ? 'differs' : ''}>MTU {nic.mtu}</span>
    </span>
  );
}
