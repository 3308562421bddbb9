// The API's small route table: checks which role may call a route, and answers errors as JSON with a fitting status.
import type { IncomingMessage } from 'node:http';
import * as z from 'zod';
import { InvalidInputError, MultinicError } from '../../api/errors.ts';
import { readBody } from './body.ts';
import type { ByteAccount } from './byte-budget.ts';
import type { Principal } from '../model/store-port.ts';
import { factsOf, readReason, type AnyReason } from '../../api/reasons/reasons.ts';

export interface RouteCall {
  /** Values of the pattern's `:name` parts, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Parameters of the query string; of a repeated parameter, the last value. */
  readonly query: Readonly<Record<string, string>>;
  /** Parsed JSON; undefined without a body. Judge it with a schema: a ZodError is answered as 400. */
  readonly body: unknown;
  readonly principal: Principal;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path below `/api/v1`: `/nodes/:node/rollback`. */
  readonly pattern: string;
  /**
   * Role of the caller. `write` includes `read`. `node` is the token of the node in the path, which may call no other
   * route.
   */
  readonly role: 'read' | 'write' | 'node';
  /** Largest body in bytes; absent: the limit of every route. */
  readonly bodyLimit?: number;
  /** Resolves to the answer, which goes out as JSON; undefined: 204. */
  handle(call: RouteCall): Promise<unknown>;
}

const BODY_LIMIT = 1024 * 1024;

/**
 * HTTP status of an error: 400 for bad input, the status of a known code, 422 for any other MultinicError, 500 for any
 * other error.
 */
export function statusOf(error: unknown): number {
  if (error instanceof InvalidInputError) return 400;
  if (error instanceof MultinicError) return factsOf(error.code)?.http ?? 422;
  return 500;
}

/**
 * An error as the API answers it. An error that is no MultinicError may hold paths and secrets, so only the log names
 * it.
 */
export function errorJson(error: unknown): { code: AnyReason; message: string; data: object } {
  if (error instanceof MultinicError) return { code: error.code, message: error.message, data: error.data };
  return { code: 'Internal', message: "internal error: the controller's log has it", data: {} };
}

function badInput(error: z.ZodError): InvalidInputError {
  return new InvalidInputError(
    'InvalidRequest',
    'the request',
    error.issues.map((issue) => ({
      path: issue.path.join('.'),
      code: readReason(issue.code),
      message: issue.message,
    })),
  );
}

function pathsOf(routes: readonly Route[]): string {
  return [...new Set(routes.map(({ pattern }) => `/api/v1${pattern}`))].join(', ');
}

/** @returns the pattern's parameters, or undefined when the path is another */
function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? '';
    if (!part.startsWith(':')) {
      if (part !== value) return undefined;
    } else if (value === '') return undefined;
    else params[part.slice(1)] = decode(value);
  }
  return params;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new MultinicError(
      'BadRequest',
      `${part} is no percent-encoded text: encode it with encodeURIComponent`,
    );
  }
}

async function readJson(request: IncomingMessage, limit: number, account: ByteAccount): Promise<unknown> {
  const { bytes } = await readBody(request, { limit, account });
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    throw new MultinicError('BadRequest', 'the body is not JSON: send one JSON value', { cause: error });
  }
}

/** Whether a route is the node's own: its path names the node of the token. */
function isOwn({ role }: Route, params: Readonly<Record<string, string>>, principal: Principal): boolean {
  return role === 'node' && principal.role === 'node' && params['node'] === principal.node;
}

/**
 * Calls the route of a request whose caller is known.
 * @param url its path still begins with `/api/v1`
 * @throws MultinicError `NotFound`, `MethodNotAllowed` (data.allow: the methods there are), `Forbidden`, or the route's own
 */
export async function callRoute(
  routes: readonly Route[],
  request: IncomingMessage,
  url: URL,
  principal: Principal,
  account: ByteAccount,
): Promise<unknown> {
  const path = url.pathname.slice('/api/v1'.length);
  const there = routes.flatMap((route) => {
    const params = match(route.pattern, path);
    return params === undefined ? [] : [{ route, params }];
  });
  if (principal.role === 'node' && !there.some(({ route, params }) => isOwn(route, params, principal)))
    throw new MultinicError(
      'Forbidden',
      `the token of ${principal.name} reads its node's branch, and says what its host has: use an operator's token`,
    );
  if (there.length === 0)
    throw new MultinicError('NotFound', `there is no ${url.pathname}: the paths are ${pathsOf(routes)}`);
  const found = there.find(({ route }) => route.method === request.method);
  if (found === undefined) {
    const allow = there.map(({ route }) => route.method);
    throw new MultinicError(
      'MethodNotAllowed',
      `${url.pathname} does not take ${request.method}: use ${allow.join(' or ')}`,
      { data: { allow } },
    );
  }
  if (found.route.role === 'node' && !isOwn(found.route, found.params, principal))
    throw new MultinicError(
      'Forbidden',
      `${principal.name} is not the node: an agent sends what its own host has`,
    );
  if (found.route.role === 'write' && principal.role !== 'write')
    throw new MultinicError(
      'Forbidden',
      `${principal.name} may only read: use a token with the role write to ${request.method} ${url.pathname}`,
    );
  const query = Object.fromEntries(url.searchParams);
  try {
    return await found.route.handle({
      params: found.params,
      query,
      body: await readJson(request, found.route.bodyLimit ?? BODY_LIMIT, account),
      principal,
    });
  } catch (error) {
    throw error instanceof z.ZodError ? badInput(error) : error;
  }
}
