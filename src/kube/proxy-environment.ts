// The proxy that the environment names for an API server: HTTPS_PROXY and NO_PROXY, as kubectl reads them.

import ipaddr from 'ipaddr.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** @param server URL of the API server @returns URL of the proxy; undefined: none */
export function proxyFor(server: string, environment: Environment = process.env): string | undefined {
  const url = new URL(server);
  const read = (name: string): string => environment[name] || environment[name.toLowerCase()] || '';
  const proxy = url.protocol === 'https:' ? read('HTTPS_PROXY') : read('HTTP_PROXY');
  if (proxy === '' || isLoopback(hostOf(url))) return undefined;
  const exempt = read('NO_PROXY')
    .split(',')
    .some((entry) => isExempt(url, entry.trim().toLowerCase()));
  if (exempt) return undefined;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

/** `*`, a host, a domain with all below it, an address, or a network; the first three also with a port. */
function isExempt(url: URL, entry: string): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  const host = hostOf(url);
  if (ipaddr.isValid(host)) return entry === host || isWithin(host, entry);
  const [, name = '', port] = /^\*?\.?([^:]*)(?::(\d+))?$/.exec(entry) ?? [];
  if (port !== undefined && port !== (url.port || '443')) return false;
  return name !== '' && ((host === name && !entry.startsWith('.')) || host.endsWith(`.${name}`));
}

function isWithin(host: string, network: string): boolean {
  if (!ipaddr.isValidCIDR(network)) return false;
  const address = ipaddr.parse(host);
  const [base, bits] = ipaddr.parseCIDR(network);
  return address.kind() === base.kind() && address.match(base, bits);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || (ipaddr.isValid(host) && ipaddr.parse(host).range() === 'loopback');
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}
