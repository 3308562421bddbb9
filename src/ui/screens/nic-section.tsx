// The NICs of a node as a table and as a picture.

import type { ComponentChildren } from 'preact';
import type { InterfaceStatus } from '../../api/status.ts';
import { ownCidrOf } from '../../network/interface.ts';
import type { HostAnswer, Nic, NodeAnswer } from '../live/answers.ts';
import { useText } from '../parts/context.ts';
import { StateMark } from '../parts/marks.tsx';
import { NicPicture } from '../parts/nic-picture.tsx';
import {
  gatewaysOf,
  nicRows,
  pictured,
  routeTexts,
  rulesOf,
  type NicField,
  type NicRow,
} from './nic-rows.ts';

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

interface WordsProps {
  readonly nic: Nic;
  readonly differs: NicRow['differs'];
}

function NicWords({ nic, differs }: WordsProps): ComponentChildren {
  const text = useText();
  const mark = (field: NicField): string => (differs.has(field) ? 'differs' : '');
  const { furtherAddresses = [] } = nic;
  const gateways = gatewaysOf(nic);
  const routes = routeTexts(nic);
  return (
    <span class="nic-words">
      <span class={mark('name')}>{nic.name}</span>{' '}
      <span class={`${mark('address')} mono`}>{ownCidrOf(nic) ?? text.node.linkOnly}</span>{' '}
      <span class={mark('mtu')}>MTU {nic.mtu}</span>
      {furtherAddresses.length > 0 && (
        <Line label={text.node.further} mark={mark('further')} values={furtherAddresses} />
      )}
      {gateways.length > 0 && <Line label={text.node.gateway} mark={mark('gateway')} values={gateways} />}
      {routes.length > 0 && <Line label={text.node.routes} mark={mark('routes')} values={routes} />}
      <SourceRouting nic={nic} mark={mark('sourceRouting')} />
    </span>
  );
}

interface LineProps {
  readonly label: string;
  readonly mark: string;
  readonly values: readonly string[];
}

/** A field with several values, one below the other. */
function Line({ label, mark, values }: LineProps): ComponentChildren {
  return (
    <span class={`nic-line ${mark}`}>
      {label}{' '}
      {values.map((value) => (
        <code key={value}>{value}</code>
      ))}
    </span>
  );
}

/** Shows whether replies leave by the NIC, whether the CR or the controller decided so, and the rules. */
function SourceRouting({ nic, mark }: { readonly nic: Nic; readonly mark: string }): ComponentChildren {
  const text = useText();
  const { statedSourceRouting: stated } = nic;
  const own = rulesOf(nic);
  if (own === undefined && stated === undefined) return null;
  return (
    <span class={`nic-line ${mark}`}>
      {text.node.sourceRouting(own !== undefined, stated !== undefined)}
      {own !== undefined && (
        <details>
          <summary>{text.node.rules(own.rules.length, own.table)}</summary>
          {own.rules.map((rule) => (
            <code key={rule}>{rule}</code>
          ))}
        </details>
      )}
    </span>
  );
}
