import { describe, expect, test } from 'vitest';
import type { Problem } from '../api/errors.ts';
import { compareFiles, filesOf, joinRouting, routingIn, type FoundRouting } from './found-routing.ts';
import { metricOf, tableOf } from './source-routing.ts';
import type { Commented } from './vocabulary.ts';

const TABLE = String(tableOf('multinic3'));
const OWN_METRIC = String(metricOf('multinic3'));

describe('the routing that routes of a file make', () => {
  test('nothing without routes and rules', () => {
    expect(routingIn('multinic3', [], false)).toEqual({});
  });

  test('source routing by a rule, or by a route of the own table', () => {
    expect(routingIn('multinic3', [], true)).toEqual({ sourceRouting: true });
    const link = { to: '10.0.0.0/24', table: TABLE };
    expect(routingIn('multinic3', [link], false)).toEqual({ sourceRouting: true });
    expect(routingIn('multinic3', [{ ...link, table: '7' }], false)).toEqual({});
  });

  test('gateways by the default routes of the own table', () => {
    const routes = [
      { to: '0.0.0.0/0', via: '10.0.0.1', table: TABLE },
      { to: '::/0', via: 'fd00::1', table: TABLE },
    ];
    expect(routingIn('multinic3', routes, true)).toEqual({
      gateway: '10.0.0.1',
      gateway6: 'fd00::1',
      sourceRouting: true,
    });
  });

  test('routes of the main table, sorted; a metric is given where it is not that of the NIC', () => {
    const routes = [
      { to: '10.9.0.0/16', via: '10.0.0.1', metric: '7' },
      { to: '10.8.0.0/16', via: '10.0.0.1', metric: OWN_METRIC },
      { to: '10.7.0.0/16', via: '10.0.0.1' },
      { to: '10.6.0.0/16' },
      { to: '10.5.0.0/16', via: '10.0.0.1', table: TABLE },
    ];
    expect(routingIn('multinic3', routes.slice(0, 4), false)).toEqual({
      routes: [
        { to: '10.7.0.0/16', via: '10.0.0.1' },
        { to: '10.8.0.0/16', via: '10.0.0.1' },
        { to: '10.9.0.0/16', via: '10.0.0.1', metric: 7 },
      ],
    });
    expect(routingIn('multinic3', routes.slice(4), false)).toEqual({ sourceRouting: true });
  });
});

describe('the comments of a file beside its routing', () => {
  const ON: FoundRouting = { sourceRouting: true };
  test.each<[string, Commented, FoundRouting, string[]]>([
    ['none', {}, ON, []],
    ['on, and it is on', { statedSourceRouting: true }, ON, []],
    ['on, and it is off', { statedSourceRouting: true }, {}, ['InvalidSourceRouting']],
    ['off, and it is off', { statedSourceRouting: false }, {}, []],
    ['off, and it is on', { statedSourceRouting: false }, ON, ['InvalidSourceRouting']],
    ['a gateway, and it is off', { gateway: '10.0.0.1' }, {}, []],
    ['a gateway, and it is on', { gateway: '10.0.0.1' }, ON, ['InvalidGateway']],
    ['an IPv6 gateway, and it is on', { gateway6: 'fd00::1' }, ON, ['InvalidGateway']],
  ])('%s', (_, said, found, codes) => {
    const problems: Problem[] = [];
    expect(joinRouting('f', said, found, problems)).toEqual({ ...said, ...found });
    expect(problems.map(({ path, code }) => `${path} ${code}`)).toEqual(codes.map((code) => `f ${code}`));
  });

  test.each([
    [false, ON, 'says "Source routing: off"'],
    [true, {}, 'says "Source routing: on"'],
  ])('the message has what the comment says: %s', (statedSourceRouting, found, words) => {
    const problems: Problem[] = [];
    joinRouting('f', { statedSourceRouting }, found, problems);
    expect(problems[0]?.message).toContain(words);
  });
});

test('each file of a NIC but the main one is compared: missing, other, and one too many', () => {
  const rendered = new Map([
    ['main', 'm\n'],
    ['same', 's\n'],
    ['other', 'o\n'],
    ['missing', 'x\n'],
  ]);
  const mine = new Map([
    ['main', 'changed\n'],
    ['same', 's\n'],
    ['other', 'p\n'],
    ['foreign', 'f\n'],
  ]);
  expect(compareFiles(mine, rendered, new Set(['main'])).map(({ path, code }) => `${path} ${code}`)).toEqual([
    'other RoutingMismatch',
    'missing MissingFile',
    'foreign ForeignFile',
  ]);
  expect([...filesOf('a', mine, (path) => (path === 'same' ? 'a' : undefined)).keys()]).toEqual(['same']);
});
