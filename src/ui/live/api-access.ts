// The way to the controller's API: with a token that the person typed, or with the cookie of `multinic ui`. A token is
// in memory only.

export interface Author {
  readonly name: string;
  readonly email: string;
}

/** An answer of the API that is no success. */
export class ApiError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class ApiAccess {
  readonly author: Author | undefined;
  /** Whether `multinic ui` pauses nodes with the person's own right. */
  readonly pauses: boolean;
  readonly #token: string | undefined;

  /** @param token undefined: the browser's cookie, or a proxy in front of the controller, identifies the person */
  constructor(token: string | undefined, author: Author | undefined, pauses = false) {
    this.#token = token;
    this.author = author;
    this.pauses = pauses;
  }

  /** @param path below `/api/v1` */
  open(path: string, signal?: AbortSignal): Promise<Response> {
    return fetch(urlOf(path), { headers: this.#headers(), ...(signal && { signal }), ...SAFE });
  }

  /** @throws ApiError */
  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return answerOf<T>(await this.open(path, signal));
  }

  /** @throws ApiError */
  async post<T>(path: string, body: object): Promise<T> {
    const { author } = this;
    const response = await fetch(urlOf(path), {
      method: 'POST',
      headers: { ...this.#headers(), 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, ...(author !== undefined && { author }) }),
      ...SAFE,
    });
    return answerOf<T>(response);
  }

  #headers(): Record<string, string> {
    return {
      'x-multinic-ui': '1',
      ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
    };
  }
}

const SAFE = { cache: 'no-store', credentials: 'same-origin', redirect: 'error' } as const;

/** The API is beside the folder of the page, under any prefix. */
function urlOf(path: string): URL {
  return new URL(`../api/v1${path}`, document.baseURI);
}

/** An answer whose body does not come whole, because its question was given up, is no answer. */
async function answerOf<T>(response: Response): Promise<T> {
  if (response.status === 204) return undefined as T;
  if (response.ok) return (await response.json()) as T;
  const { code, message } = (await response.json().catch(() => ({}))) as { code?: string; message?: string };
  throw new ApiError(code ?? `Http${response.status}`, message ?? response.statusText);
}
