import { randomBytes } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import { parse, stringify } from 'yaml';
import * as z from 'zod';
import { MultinicError } from '../api/errors.ts';
import { hashedTokens, type Authenticate } from '../store/http/auth.ts';
import type { Principal } from '../store/model/store-port.ts';
import { readIfPresent, replaceFile } from './file.ts';

const token = z.string().regex(/^[\x21-\x7e]{20,200}$/, 'at least 20 printable characters without spaces');
export const TokenFile = z.strictObject({ operator: token, nodes: z.record(z.string(), token).default({}) });
type TokenFile = z.infer<typeof TokenFile>;

const HEADER =
  ' Who may talk to the controller of this folder. operator: reads, pushes, commands. nodes: each reads its own\n' +
  ' branch. Delete this file to get new tokens; programs that use the old ones must then be told.\n';

/**
 * `DIR/tokens.yaml`, mode 0600: one token that may write, for the operator, and one for each node; a missing token is
 * made at its first use. Private fields hold the tokens, so that no log or inspection prints one.
 */
export class Tokens {
  readonly #path: string;
  #file: TokenFile;
  #authenticate: Authenticate;
  #writes: Promise<unknown> = Promise.resolve();

  private constructor(path: string, file: TokenFile) {
    this.#path = path;
    this.#file = file;
    this.#authenticate = table(file);
  }

  /** @throws MultinicError `InvalidTokens` */
  static async open(path: string): Promise<Tokens> {
    const text = await readIfPresent(path);
    if (text !== undefined) {
      // A person who edits or copies the file may open it to others without noticing.
      await chmod(path, 0o600);
      return new Tokens(path, parseTokens(path, text));
    }
    const tokens = new Tokens(path, { operator: newToken(), nodes: {} });
    await tokens.#save();
    return tokens;
  }

  /** The token that may write. */
  get operator(): string {
    return this.#file.operator;
  }

  /** The token that reads one node's branch. */
  async node(name: string): Promise<string> {
    const { nodes } = this.#file;
    // A node may have the name of a property that every object inherits: `constructor`.
    const known = Object.hasOwn(nodes, name) ? nodes[name] : undefined;
    if (known !== undefined) return known;
    const fresh = newToken();
    this.#file = { ...this.#file, nodes: { ...nodes, [name]: fresh } };
    this.#authenticate = table(this.#file);
    await this.#save();
    return fresh;
  }

  /** Finds the principal of a token; undefined for an unknown token. Every wrong token takes the same time. */
  async authenticate(token: string): Promise<Principal | undefined> {
    return this.#authenticate(token);
  }

  async #save(): Promise<void> {
    const write = this.#writes.then(() => {
      const text = HEADER.replaceAll(/^/gm, '#').replace(/#$/, '') + stringify(this.#file);
      return replaceFile(this.#path, text, 0o600);
    });
    this.#writes = write.catch(() => undefined);
    return write;
  }
}

function table({ operator, nodes }: TokenFile): Authenticate {
  const entries: [string, Principal][] = [[operator, { name: 'operator', role: 'write' }]];
  for (const [node, token] of Object.entries(nodes))
    entries.push([token, { name: `node:${node}`, role: 'node', node }]);
  return hashedTokens(entries);
}

/** Problems without the values of tokens, because problems are logged. */
function parseTokens(path: string, text: string): TokenFile {
  let value: unknown;
  try {
    value = parse(text);
  } catch {
    value = undefined;
  }
  const parsed = TokenFile.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new MultinicError('InvalidTokens', 'tokens.yaml cannot be understood; delete it to get new tokens', {
    data: { path, fields: parsed.error.issues.map((issue) => issue.path.join('.')) },
  });
}

function newToken(): string {
  return randomBytes(32).toString('base64url');
}
