// The controller's API below /api/v1, for the CLI and other programs.

import * as z from 'zod';
import { BUILD } from '../api/build-info.ts';
import { MultinicError } from '../api/errors.ts';
import { HOST_TREE_BODY_MAX_BYTES } from '../api/observation.ts';
import { listDrifts } from '../history/drifts.ts';
import { hostState } from '../history/host-state.ts';
import { searchHistory } from '../history/main-history.ts';
import { describe, diff } from '../history/node-description.ts';
import { timeline } from '../history/timeline.ts';
import { RENDERER_KINDS } from '../network/renderers.ts';
import type { Route, RouteCall } from '../store/http/routes.ts';
import { StreamAnswer } from '../store/http/stream-answer.ts';
import { CONTROLLER, isControllerAddress } from '../store/model/committer.ts';
import { changeReport } from './change-report.ts';
import type { Snapshot } from './config-status.ts';
import type { ControllerContext } from './controller-context.ts';
import type { Requester } from './sink-port.ts';
import { NodeTurns } from './node-turns.ts';
import type { ConfigGenerations } from '../mirror/home-port.ts';
import { reportOf, unseenConfigs, withLooks, type StatusReport } from './status-report.ts';

/** The author as the person states it; without one, the principal is the author. */
const Author = z.strictObject({ name: z.string().min(1).max(200), email: z.string().max(200) });

const Body = z.strictObject({ author: Author.optional() });
/** `dryRun`: the answer says what the command would do, and nothing is written. */
export const PreviewableBody = Body.extend({ dryRun: z.boolean().default(false) });
/** `yes`: the command may take all interfaces of a node away. */
const RemovingBody = PreviewableBody.extend({ yes: z.boolean().default(false) });
/** `drift`: the commit of the drift that the person has seen; absent: the newest one, whatever it is. */
export const AcceptBody = RemovingBody.extend({ drift: z.string().optional() });
export const RollbackBody = RemovingBody.extend({ to: z.string().optional() });
export const ChangeBody = RemovingBody.extend({ change: z.string() });
export const RerenderBody = PreviewableBody.extend({
  nodes: z.array(z.string()).default([]),
  renderer: z.enum(RENDERER_KINDS).optional(),
});
export const ObserveBody = Body.extend({
  nodes: z.array(z.string()).default([]),
  all: z.boolean().default(false),
}).refine(({ nodes, all }) => all !== nodes.length > 0, 'name nodes, or say all');
export const ConfirmBody = PreviewableBody.extend({ target: z.string().optional() });

/** `fresh`: the controller asks the home for its CRs, and the answer names CRs that no pass has reported yet. */
export const StatusQuery = z.object({ fresh: z.stringbool().default(false) });
export const LogQuery = z.object({ limit: z.coerce.number().int().min(1).max(10_000).default(50) });
export const DiffQuery = z.object({
  from: z.string().optional(),
  to: z.string().optional(),
  host: z.stringbool().default(false),
});

const Seconds = z.coerce.number().int().min(0);
export const HistoryQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  author: z.string().max(200).optional(),
  config: z.string().max(600).optional(),
  since: Seconds.optional(),
  until: Seconds.optional(),
});

function read(pattern: string, handle: Route['handle']): Route {
  return { method: 'GET', pattern, role: 'read', handle };
}

/** All routes below /api/v1. */
export function apiRoutes(context: ControllerContext, configs: ConfigGenerations): Route[] {
  return [
    statusRoute(context, configs),
    ...readingRoutes(context),
    ...commandRoutes(context),
    hostTreeRoute(context),
  ];
}

function statusRoute({ reporter, observed }: ControllerContext, configs: ConfigGenerations): Route {
  const reportOn = (snapshot: Snapshot): StatusReport =>
    withLooks(reportOf(snapshot, reporter.statuses, reporter.failure), snapshot.observing, observed);
  return read('/status', async ({ query }) => {
    const { snapshot } = reporter;
    if (snapshot === undefined)
      throw new MultinicError('Busy', 'the first pass is under way: ask again in a moment');
    if (!StatusQuery.parse(query).fresh) return reportOn(snapshot);
    const generations = await configs.generations(snapshot.report.main.configs);
    // The report is taken after the list, so that the comparison finds every edit that the list has.
    const unseen = unseenConfigs(generations, reporter.statuses);
    const report = reportOn(reporter.snapshot ?? snapshot);
    return { ...report, ...(unseen.length > 0 && { unseen }) };
  });
}

function readingRoutes({ live, reporter, store: { reader } }: ControllerContext): Route[] {
  return [
    read('/version', async () => BUILD),
    read(
      '/live',
      async ({ query, principal }) =>
        new StreamAnswer((signal) => live.open(principal, query['since'], signal)),
    ),
    read('/nodes/:node', async ({ params, query }) => describe(reader, params['node']!, query['at'])),
    read('/nodes/:node/log', async ({ params, query }) =>
      timeline(reader, params['node']!, LogQuery.parse(query).limit),
    ),
    read('/nodes/:node/diff', async ({ params, query }) => {
      const { from, to, host } = DiffQuery.parse(query);
      return {
        diff: await diff(reader, params['node']!, {
          host,
          ...(from !== undefined && { from }),
          ...(to !== undefined && { to }),
        }),
      };
    }),
    read('/nodes/:node/host', ({ params }) => hostState(reader, params['node']!)),
    read('/history', ({ query }) => searchHistory(reader, HistoryQuery.parse(query))),
    read('/changes/:commit', ({ params }) => changeReport(reader, reporter.snapshot, params['commit']!)),
    read('/drift', () => listDrifts(reader)),
    read('/nodes/:node/drift', ({ params }) => listDrifts(reader, params['node'])),
  ];
}

/** An observer sends what its host has; no other request of a node may be so large. */
function hostTreeRoute({ hostTrees }: ControllerContext): Route {
  return {
    method: 'PUT',
    pattern: '/nodes/:node/host-tree',
    role: 'node',
    bodyLimit: HOST_TREE_BODY_MAX_BYTES,
    handle: ({ params, body }) => hostTrees.put(params['node'] ?? '', body),
  };
}

/** Makes the routes of commands. A pass starts after each command that changes something. */
function commandRoute({ passTrigger, log }: Pick<ControllerContext, 'passTrigger' | 'log'>) {
  const turns = new NodeTurns();
  return <T extends CommandBody>(
    pattern: string,
    schema: z.ZodType<T>,
    act: (node: string, body: T, by: Requester) => Promise<unknown>,
  ): Route => ({
    method: 'POST',
    pattern,
    role: 'write',
    handle: async (call) => {
      const body = schema.parse(call.body ?? {});
      const { node = '' } = call.params;
      const { dryRun = false } = body;
      const by = requester(call, body.author);
      const result = await turns.of(node, () => act(node, body, by));
      const who = { author: by.name, principal: by.principal };
      log.info(
        { command: pattern, ...(node !== '' && { node }), ...who, ...(dryRun && { dryRun }) },
        'command',
      );
      if (!dryRun) passTrigger.fire();
      return result;
    },
  });
}

interface CommandBody {
  readonly author?: z.infer<typeof Author> | undefined;
  readonly dryRun?: boolean;
}

function commandRoutes(context: ControllerContext): Route[] {
  const { commands } = context;
  const command = commandRoute(context);
  return [
    command('/observe', ObserveBody, (_, { nodes, all }) => commands.observe(all ? [] : nodes)),
    command('/nodes/:node/accept', AcceptBody, (node, { drift, yes: mayRemoveAll, dryRun }, by) =>
      commands.accept(node, drift, by, { mayRemoveAll, dryRun }),
    ),
    command('/nodes/:node/rollback', RollbackBody, (node, { to, yes: mayRemoveAll, dryRun }, by) =>
      commands.rollback(node, to, by, { mayRemoveAll, dryRun }),
    ),
    command('/nodes/:node/release', PreviewableBody, (node, { dryRun }, by) =>
      commands.release(node, by, { dryRun }),
    ),
    command('/nodes/:node/retry', PreviewableBody, (node, { dryRun }, by) =>
      commands.retry(node, by, { dryRun }),
    ),
    command('/nodes/:node/pause', PreviewableBody, (node, { dryRun }, by) =>
      commands.setPaused(node, true, by, { dryRun }),
    ),
    command('/nodes/:node/resume', PreviewableBody, (node, { dryRun }, by) =>
      commands.setPaused(node, false, by, { dryRun }),
    ),
    command('/pause', PreviewableBody, (_, { dryRun }, by) => commands.setAllPaused(true, by, { dryRun })),
    command('/resume', PreviewableBody, (_, { dryRun }, by) => commands.setAllPaused(false, by, { dryRun })),
    command('/rollback', ChangeBody, (_, { change, yes: mayRemoveAll, dryRun }, by) =>
      commands.rollbackChange(change, by, { mayRemoveAll, dryRun }),
    ),
    command('/retry', PreviewableBody, (_, { dryRun }, by) => commands.retryFailed(by, { dryRun })),
    command('/rerender', RerenderBody, (_, { nodes, renderer, dryRun }, by) =>
      commands.rerender(nodes, renderer, by, { dryRun }),
    ),
    command('/confirm', ConfirmBody, (_, { target, dryRun }, by) => commands.confirm(target, by, { dryRun })),
  ];
}

/** Refuses the controller's address as an author's, because that address marks the controller's commits. */
function requester({ principal }: RouteCall, author: z.infer<typeof Author> | undefined): Requester {
  if (author !== undefined && isControllerAddress(author.email)) {
    throw new MultinicError(
      'ReservedAuthor',
      `${CONTROLLER.email} is the controller's address: give your own`,
    );
  }
  return { name: author?.name ?? principal.name, email: author?.email ?? '', principal: principal.name };
}
