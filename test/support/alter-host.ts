import type { Host } from '../../src/agent/host/host.ts';

/** Methods of ports that a test replaces. */
export type Methods = { readonly [Port in keyof Host]?: Partial<Host[Port]> };

/** The host with some methods replaced; the other methods are those of the real ports. */
export function alterHost(host: Host, methods: Methods): Host {
  const ports = Object.entries(host).map(([name, port]: [string, object]) => [
    name,
    alterPort(port, methods[name as keyof Host] ?? {}),
  ]);
  return Object.fromEntries(ports) as Host;
}

function alterPort(port: object, methods: object): object {
  return new Proxy(port, {
    get: (target, key) => {
      const method = (Reflect.get(methods, key) ?? Reflect.get(target, key)) as (
        ...args: unknown[]
      ) => unknown;
      return method.bind(target);
    },
  });
}
