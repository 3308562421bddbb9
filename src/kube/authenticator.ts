// Authenticates callers of the store: an agent by the token of its pod, a person by their own token. The API server
// knows the owner and the rights of a token; the agent's Job names the branch that the agent may read.

import type { V1Job, V1Pod } from '@kubernetes/client-node';
import { createHash } from 'node:crypto';
import { hasCode, MultinicError } from '../api/errors.ts';
import { Refusals } from '../store/http/refusals.ts';
import { PLURAL } from '../api/api-groups.ts';
import type { Principal } from '../store/model/store-port.ts';
import { found, hasStatus, type KubeClient } from './client.ts';
import { jobOf } from './agent-run.ts';
import { AGENT_ACCOUNT, ANNOTATION, AUDIENCE } from './cluster-names.ts';
import { JOB_ANNOTATIONS, readAnnotation } from '../api/annotations.ts';

export interface AuthenticatorOptions {
  readonly client: KubeClient;
  /** The controller's namespace, where agents run. */
  readonly namespace: string;
}

interface User {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

interface TokenReview {
  readonly status?: { readonly authenticated?: boolean; readonly user?: User };
}

/** Lifetime of a person's remembered token: a git command makes several requests. */
const REMEMBERED_MS = 10_000;
/** Lifetime of an agent's remembered token: an agent ends within seconds, and then its token is void. */
const AGENT_REMEMBERED_MS = 2_000;
const MAX_REMEMBERED = 1_000;
/** The resource whose permissions are the permissions on the store. */
const RESOURCE = { group: 'multinic.io', resource: PLURAL, subresource: 'history' } as const;

export class KubeAuthenticator {
  readonly #options: AuthenticatorOptions;
  /** Remembered principals by the hash of their token, so that no token is kept. */
  readonly #known = new Map<string, { readonly principal: Principal; readonly until: number }>();
  readonly #refusals = new Refusals();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * @returns undefined: the API server knows no such token
   * @throws MultinicError `Forbidden`; `Busy` if the API server does not answer, or if this address sends too many
   *   unknown tokens
   */
  readonly authenticate = async (token: string, from = ''): Promise<Principal | undefined> => {
    const hash = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(hash);
    if (known !== undefined && performance.now() < known.until) return known.principal;
    this.#known.delete(hash);
    this.#refusals.expectFew(from);
    const principal = await this.#ask(token).catch((error: unknown) => {
      if (hasCode(error, 'Forbidden')) this.#refusals.add(from);
      throw error;
    });
    if (principal === undefined) {
      this.#refusals.add(from);
      return undefined;
    }
    const ms = principal.role === 'node' ? AGENT_REMEMBERED_MS : REMEMBERED_MS;
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
    this.#known.set(hash, { principal, until: performance.now() + ms });
    return principal;
  };

  async #ask(token: string): Promise<Principal | undefined> {
    try {
      const forUs = audiencesOf(token).includes(AUDIENCE);
      const user = await this.#review(token, forUs ? [AUDIENCE] : undefined);
      const agent = `system:serviceaccount:${this.#options.namespace}:${AGENT_ACCOUNT}`;
      if (forUs && user?.username === agent) return await this.#agent(user);
      return user && (await this.#person(user));
    } catch (error) {
      if (!hasStatus(error, 0, 429, 500, 502, 503, 504)) throw error;
      throw new MultinicError(
        'Busy',
        'the API server does not answer, so nobody can check your token: try again in a moment',
        {
          cause: error,
        },
      );
    }
  }

  async #review(token: string, audiences: readonly string[] | undefined): Promise<User | undefined> {
    const { status } = await this.#options.client.request<TokenReview>(
      'POST',
      '/apis/authentication.k8s.io/v1/tokenreviews',
      {
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, ...(audiences !== undefined && { audiences }) },
        },
      },
    );
    return status?.authenticated === true ? status.user : undefined;
  }

  /** Requires a running pod and a Job without an outcome: a deleted pod's token is valid for some seconds more. */
  async #agent({ extra }: User): Promise<Principal> {
    const { client, namespace } = this.#options;
    const claim = (key: string): string => extra?.[`authentication.kubernetes.io/${key}`]?.[0] ?? '';
    const name = claim('pod-name');
    const pod = await found(
      client.request<V1Pod>('GET', `/api/v1/namespaces/${namespace}/pods/${encodeURIComponent(name)}`),
    );
    const job = jobOf(pod?.metadata?.labels);
    const owner =
      pod && job !== ''
        ? await found(
            client.request<V1Job>(
              'GET',
              `/apis/batch/v1/namespaces/${namespace}/jobs/${encodeURIComponent(job)}`,
            ),
          )
        : undefined;
    const node = pod?.spec?.nodeName;
    const boundNode = claim('node-name');
    const current =
      name !== '' &&
      node !== undefined &&
      pod?.metadata?.uid === claim('pod-uid') &&
      pod.metadata.deletionTimestamp === undefined &&
      (pod.status?.phase === 'Running' || pod.status?.phase === 'Pending') &&
      (boundNode === '' || boundNode === node) &&
      owner !== undefined &&
      owner.metadata?.deletionTimestamp === undefined &&
      pod.metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata?.uid) === true &&
      owner.metadata?.annotations?.[ANNOTATION.node] === node &&
      readAnnotation(owner.metadata.annotations, JOB_ANNOTATIONS.recorded) !== true;
    if (current) return { name: `node:${node}`, role: 'node', node };
    throw new MultinicError(
      'Forbidden',
      'this token belongs to no running agent: its pod or its Job has ended',
    );
  }

  async #person(user: User): Promise<Principal> {
    const name = user.username ?? 'unknown';
    if (await this.#may(user, 'update')) return { name, role: 'write' };
    if (await this.#may(user, 'get')) return { name, role: 'read' };
    throw new MultinicError(
      'Forbidden',
      `${name} may neither read nor write the store: bind the ClusterRole multinic-agent-history-reader or multinic-agent-history-writer`,
      { data: { user: name } },
    );
  }

  /** Asks for the right in all namespaces, because the store holds the CRs of all of them. */
  async #may({ username, uid, groups, extra }: User, verb: 'get' | 'update'): Promise<boolean> {
    const { status } = await this.#options.client.request<{ status?: { allowed?: boolean } }>(
      'POST',
      '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      {
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: { user: username, uid, groups, extra, resourceAttributes: { ...RESOURCE, verb } },
        },
      },
    );
    return status?.allowed === true;
  }
}

/**
 * Audiences that a token claims, unverified: they choose the one question to the API server, which verifies the token.
 * A token that is no JWT claims none.
 */
function audiencesOf(token: string): readonly unknown[] {
  const [, claims = ''] = token.split('.');
  try {
    const { aud } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { aud?: unknown };
    return [aud].flat();
  } catch {
    return [];
  }
}
