import { pino } from 'pino';
import { expect, test } from 'vitest';
import { KEY, snapshotOf, T0 } from '../../test/support/snapshot.ts';
import type { ConfigGenerations } from '../mirror/home-port.ts';
import type { RouteCall } from '../store/http/routes.ts';
import { apiRoutes } from './api.ts';
import { configStatuses } from './config-status.ts';
import type { ControllerContext } from './controller-context.ts';

/** The answer of a controller whose newest pass saw generation 2 of `KEY`, and nothing else. */
async function status(query: Record<string, string>, configs: ConfigGenerations): Promise<object> {
  const snapshot = snapshotOf({ w: { decision: { due: false, reason: 'UpToDate' } } });
  const reporter = { snapshot, statuses: configStatuses(snapshot, new Map(), T0 * 1000) };
  const observed = { of: () => undefined };
  const context = { reporter, observed, store: {}, commands: {} } as unknown as ControllerContext;
  const route = apiRoutes(context, configs).find(({ pattern }) => pattern === '/status')!;
  return (await route.handle({ query, params: {} } as unknown as RouteCall)) as object;
}

const home = (configs: Record<string, number>): ConfigGenerations => ({
  generations: async () => new Map(Object.entries(configs)),
});

test.each<[string, Record<string, number>, object]>([
  ['nothing changed', { [KEY]: 2 }, {}],
  ['a CR was edited', { [KEY]: 3 }, { unseen: [KEY] }],
  ['a CR was made', { [KEY]: 2, 'multinic.io/ns/new': 1 }, { unseen: ['multinic.io/ns/new'] }],
  ['a CR was deleted', {}, { unseen: [KEY] }],
  ['a CR was deleted and made again', { [KEY]: 1 }, { unseen: [KEY] }],
])('a fresh status says what the newest pass has not seen: %s', async (_, configs, more) => {
  const plain = await status({}, home({}));
  expect(plain).toHaveProperty(['configs', 0, 'config'], KEY);
  expect(await status({ fresh: 'true' }, home(configs))).toEqual({ ...plain, ...more });
});

test('another status does not ask the home', async () => {
  const refuses: ConfigGenerations = {
    generations: async () => {
      throw new Error('asked');
    },
  };
  expect(await status({}, refuses)).not.toHaveProperty('unseen');
  await expect(status({ fresh: 'true' }, refuses)).rejects.toThrow('asked');
});

/**
 * Posts a retry in the name of an author.
 * @returns the author that the command was given
 */
async function retryAs(author: object | undefined): Promise<unknown> {
  let told: unknown;
  const commands = {
    retry: async (_: string, by: unknown) => {
      told = by;
    },
  };
  const passTrigger = { fire: () => undefined };
  const context = { reporter: {}, store: {}, commands, passTrigger, log: pino({ level: 'silent' }) };
  const routes = apiRoutes(context as unknown as ControllerContext, home({}));
  const route = routes.find(({ pattern }) => pattern === '/nodes/:node/retry')!;
  await route.handle({
    query: {},
    params: { node: 'w' },
    body: author === undefined ? undefined : { author },
    principal: { name: 'viola', role: 'write' },
  });
  return told;
}

test.each([
  'controller@multinic.io',
  'Controller@Multinic.IO',
  '<controller@multinic.io>',
  ' controller@multinic.io',
])('no command is signed with the address %j of the controller', async (email) => {
  await expect(retryAs({ name: 'Viola', email })).rejects.toMatchObject({ code: 'ReservedAuthor' });
});

test('a command is signed by its author, with the authenticated account beside; without an author, by the account', async () => {
  const email = 'viola@example.org';
  expect(await retryAs({ name: 'Viola', email })).toEqual({ name: 'Viola', email, principal: 'viola' });
  expect(await retryAs(undefined)).toEqual({ name: 'viola', email: '', principal: 'viola' });
});
