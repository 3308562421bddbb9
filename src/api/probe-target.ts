import { isIP } from 'node:net';

/**
 * A host that has to answer after a change. Without a port the agent asks the host's network for the host, by ARP or
 * NDP.
 */
export interface ProbeTarget {
  readonly host: string;
  /** TCP port. */
  readonly port?: number;
}

/** Reads `192.168.100.1`, `192.168.100.1:22`, `fd00::1` or `[fd00::1]:22`; undefined: the text is no target. */
export function parseProbeTarget(text: string): ProbeTarget | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match === null ? text : (match[1] ?? match[2] ?? '');
  const port = match === null ? undefined : Number(match[3]);
  if (isIP(host) === 0 || host.includes('%')) return undefined;
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  return { host, ...(port !== undefined && { port }) };
}
