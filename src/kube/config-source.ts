// MultiNicBizConfigs of a cluster. A CR that is missing from the list is checked again, because its absence may remove
// a node's network.

import type { KubernetesObject } from '@kubernetes/client-node';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { MultinicError, type Problem } from '../api/errors.ts';
import { PLURAL, VERSION, type Group } from '../api/api-groups.ts';
import type { ConfigStatus } from '../api/status.ts';
import { formatConfigRef } from '../history/commit-format.ts';
import type {
  ConfigGenerations,
  ConfigList,
  ConfigObject,
  ConfigSource,
  KnownConfig,
} from '../mirror/home-port.ts';
import type { Person } from '../store/model/store-port.ts';
import { hasStatus, type KubeClient } from './client.ts';
import { FIELD_MANAGER } from './cluster-names.ts';

/** The fields of a CR that the source keeps. */
export interface WatchedConfig {
  readonly object: ConfigObject;
  /** Status as the API server has it; an earlier agent's may have other fields. */
  readonly status: ConfigStatus | undefined;
}

/** The part of an Informer that is read. */
export interface ConfigLookup {
  get(key: string): WatchedConfig | undefined;
  list(): readonly WatchedConfig[];
  readonly complete: boolean;
  readonly absent: boolean;
}

/** The reference of a CR of main, with the UIDs of its containers. */
export type Placed = Pick<KnownConfig, 'ref' | 'origin'>;

export interface KubeConfigSourceOptions {
  readonly client: KubeClient;
  readonly informers: ReadonlyMap<Group, ConfigLookup>;
  readonly log: Logger;
}

interface LiveObject {
  readonly uid: string;
  readonly deleting: boolean;
}

interface HeaderPage {
  readonly metadata?: { readonly continue?: string };
  readonly items?: readonly KubernetesObject[];
}

/** Objects without spec and status; an API server that cannot leave them out answers with the whole objects. */
const HEADERS = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json';
const PAGE = '500';

export class KubeConfigSource implements ConfigSource, ConfigGenerations {
  readonly #options: KubeConfigSourceOptions;
  /** Origins by the UID of the CR: a CR's namespace and CRD never change while the CR exists. */
  readonly #origins = new Map<string, Readonly<Record<string, string>>>();
  /** CRs with their origins; the same object while the CR is the same. */
  readonly #completed = new WeakMap<ConfigObject, ConfigObject>();

  constructor(options: KubeConfigSourceOptions) {
    this.#options = options;
  }

  async list(known: ReadonlyMap<string, Placed>): Promise<ConfigList> {
    const { informers } = this.#options;
    const objects = [...informers.values()]
      .flatMap((informer) => informer.list())
      .map(({ object }) => object);
    const listed = new Set(objects.map(({ ref }) => formatConfigRef(ref)));
    const reads = new LiveReads(this.#options.client);
    const doubts = new Map<string, string>();
    for (const [key, config] of known) {
      if (listed.has(key)) continue;
      const doubt = await this.#doubt(config, reads);
      if (doubt !== undefined) doubts.set(key, doubt);
    }
    const configs = await Promise.all(objects.map((object) => this.#complete(object, reads)));
    return {
      configs,
      problems: this.#problems(),
      doubt: (ref) => doubts.get(formatConfigRef(ref)),
    };
  }

  async generations(): Promise<ReadonlyMap<string, number>> {
    const generations = new Map<string, number>();
    for (const group of this.#options.informers.keys()) {
      try {
        for await (const { metadata } of this.#headers(group)) {
          const ref = { group, namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' };
          generations.set(formatConfigRef(ref), metadata?.generation ?? 0);
        }
      } catch (cause) {
        // The API server has no CRD of the group.
        if (hasStatus(cause, 404)) continue;
        const message = `${PLURAL}.${group} cannot be listed now (${(cause as Error).message}): ask again`;
        throw new MultinicError('Busy', message, { cause });
      }
    }
    return generations;
  }

  /**
   * The metadata of all CRs of a group. The list names no resourceVersion, so the API server reads its storage and not
   * its cache.
   */
  async *#headers(group: Group): AsyncGenerator<KubernetesObject> {
    let next: string | undefined;
    do {
      const page: HeaderPage = await this.#options.client.request(
        'GET',
        `/apis/${group}/${VERSION}/${PLURAL}`,
        { accept: HEADERS, query: { limit: PAGE, ...(next !== undefined && { continue: next }) } },
      );
      yield* page.items ?? [];
      next = page.metadata?.continue || undefined;
    } while (next !== undefined);
  }

  #problems(): Problem[] {
    return [...this.#options.informers]
      .filter(([, informer]) => !informer.complete && !informer.absent)
      .map(([group]) => ({
        path: `${PLURAL}.${group}`,
        code: 'ListFailed',
        message: "cannot be listed: the log has the API server's answer",
      }));
  }

  /** The reason why the absence of a CR of main proves nothing. Each read happens after the absence was seen. */
  async #doubt({ ref, origin }: Placed, reads: LiveReads): Promise<string | undefined> {
    const informer = this.#options.informers.get(ref.group as Group);
    if (informer === undefined) return `group ${ref.group} is not watched: add it to --groups`;
    if (!informer.complete) return `${PLURAL}.${ref.group} cannot be listed now`;
    try {
      const namespaced = `/apis/${ref.group}/${VERSION}/namespaces/${ref.namespace}/${PLURAL}/${ref.name}`;
      if ((await reads.read(namespaced)) !== undefined) return 'the CR exists, and the watch is late';
      const namespace = await reads.read(namespacePath(ref.namespace));
      const crd = await reads.read(crdPath(ref.group));
      return (
        standing(`namespace ${ref.namespace}`, namespace, origin?.['namespace']) ??
        standing(`the CRD of ${ref.group}`, crd, origin?.['crd'])
      );
    } catch (error) {
      return `the API server did not tell whether the CR exists: ${(error as Error).message}`;
    }
  }

  async #complete(object: ConfigObject, reads: LiveReads): Promise<ConfigObject> {
    const known = this.#completed.get(object);
    if (known !== undefined) return known;
    const origin = this.#origins.get(object.uid) ?? (await this.#origin(object, reads));
    if (origin === undefined) return object;
    this.#origins.set(object.uid, origin);
    const completed = { ...object, origin };
    this.#completed.set(object, completed);
    return completed;
  }

  async #origin({ ref }: ConfigObject, reads: LiveReads): Promise<Record<string, string> | undefined> {
    try {
      const [namespace, crd] = [
        await reads.read(namespacePath(ref.namespace)),
        await reads.read(crdPath(ref.group)),
      ];
      return namespace && crd && { namespace: namespace.uid, crd: crd.uid };
    } catch (error) {
      this.#options.log.warn(
        { config: formatConfigRef(ref), err: error },
        'the namespace and CRD of this CR are not known yet',
      );
      return undefined;
    }
  }
}

/** The deletion of a namespace or CRD deletes its CRs, and is no request to clean nodes. */
function standing(
  what: string,
  found: LiveObject | undefined,
  recorded: string | undefined,
): string | undefined {
  if (found === undefined)
    return `${what} is gone too, which cleans no node; put it back, or clean with multinic agent cleanup`;
  if (found.deleting) return `${what} is being deleted, which cleans no node`;
  if (recorded !== undefined && found.uid !== recorded) {
    return `${what} was deleted and made again, which cleans no node; create the CR again, then delete it if that is meant`;
  }
  return undefined;
}

/** Reads each object at most once in a pass. */
class LiveReads {
  readonly #client: KubeClient;
  readonly #reads = new Map<string, Promise<LiveObject | undefined>>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** undefined: there is none. @throws KubeError */
  read(path: string): Promise<LiveObject | undefined> {
    const read = this.#reads.get(path) ?? this.#read(path);
    this.#reads.set(path, read);
    return read;
  }

  async #read(path: string): Promise<LiveObject | undefined> {
    try {
      const { metadata } = await this.#client.request<KubernetesObject>('GET', path);
      return { uid: metadata?.uid ?? '', deleting: metadata?.deletionTimestamp !== undefined };
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }
}

function namespacePath(name: string): string {
  return `/api/v1/namespaces/${name}`;
}

function crdPath(group: string): string {
  return `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${PLURAL}.${group}`;
}

interface RawConfig extends KubernetesObject {
  readonly spec?: unknown;
  readonly status?: ConfigStatus;
}

/**
 * @param before the same CR before; if only the status changed, the CR stays the same object and is not judged again
 */
export function projectConfig(
  group: Group,
  raw: KubernetesObject,
  before: WatchedConfig | undefined,
): WatchedConfig {
  const { metadata, spec, status } = raw as RawConfig;
  const ref = { group, namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' };
  const { 'kubectl.kubernetes.io/last-applied-configuration': _, ...annotations } =
    metadata?.annotations ?? {};
  const object = {
    ref,
    uid: metadata?.uid ?? '',
    generation: metadata?.generation ?? 0,
    annotations,
    spec,
    writer: writerOf(metadata?.managedFields ?? []),
  };
  const same =
    before?.object.uid === object.uid &&
    before.object.generation === object.generation &&
    isDeepStrictEqual(before.object.annotations, annotations);
  return { object: same ? before.object : object, status };
}

type ManagedField = NonNullable<NonNullable<KubernetesObject['metadata']>['managedFields']>[number];

/** The client that wrote the spec last: a program, not a person. */
function writerOf(fields: readonly ManagedField[]): Person {
  const [newest] = fields
    .filter(({ manager, subresource, fieldsV1 }) => {
      const owned = fieldsV1 as Record<string, unknown> | undefined;
      return manager !== FIELD_MANAGER && !subresource && owned !== undefined && 'f:spec' in owned;
    })
    .toSorted((a, b) => millis(b.time) - millis(a.time));
  const name = newest?.manager ?? 'unknown';
  return { name, email: `${name.replaceAll(/[^A-Za-z0-9._-]+/g, '-')}@field-manager` };
}

/** JSON has a text where the library's types have a Date. */
function millis(time: Date | string | undefined): number {
  return time === undefined ? 0 : new Date(time).getTime();
}
