/**
 * Node's client for a URL's protocol. Not by `import`: that reads every export of node:http, one of which loads all of
 * fetch, 15 ms and 10 MB with it, and an agent's memory counts on each node.
 */
export function httpFor(url: string): typeof import('node:http') | typeof import('node:https') {
  return process.getBuiltinModule(url.startsWith('https:') ? 'node:https' : 'node:http');
}
