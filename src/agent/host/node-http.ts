/**
 * Node's client for a URL's protocol, loaded without `import`: an import reads every export of node:http, and one of them
 * loads all of fetch (15 ms, 10 MB). The agent's memory counts on each node.
 */
export function httpFor(url: string): typeof import('node:http') | typeof import('node:https') {
  return process.getBuiltinModule(url.startsWith('https:') ? 'node:https' : 'node:http');
}
