// A process that may open no socket of IPv6, as on a kernel without it or under a policy that refuses the family: the
// leader's two servers listen all the same.

import { execa } from 'execa';
import { expect, test } from 'vitest';

/** Refuses sockets of IPv6 to this process and its children (seccomp), then becomes the program of its arguments. */
const REFUSE = `
my %calls = (x86_64 => [157, 41], aarch64 => [167, 198]);
chomp(my $machine = qx(uname -m));
my ($prctl, $socket) = @{$calls{$machine} or die "no system calls are known for $machine"};
my $filter = join '', map { pack 'S C C L', @$_ } (
  [0x20, 0, 0, 0], [0x15, 0, 3, $socket], [0x20, 0, 0, 16], [0x15, 0, 1, 10],
  [0x06, 0, 0, 0x00050000 | 97], [0x06, 0, 0, 0x7fff0000],
);
my $program = pack 'S x6 P', 6, $filter;
syscall($prctl, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
syscall($prctl, 22, 2, $program, 0, 0) == 0 or die "seccomp: $!";
exec @ARGV;
`;

async function refused(script: string): Promise<string> {
  const node = [process.execPath, '--input-type=module', '--eval', script];
  const { stdout } = await execa('perl', ['-e', REFUSE, ...node], { cwd: import.meta.dirname });
  return stdout;
}

test('the process of these tests has no IPv6', async () => {
  const said = await refused(`
    import { createServer } from 'node:net';
    createServer().on('error', ({ code }) => console.log(code)).listen({ host: '::', port: 0 });
  `);
  expect(said).toBe('EAFNOSUPPORT');
});

test('the store is served', async () => {
  const module = new URL('../src/store/server/serve.ts', import.meta.url).href;
  const said = await refused(`
    const { serve } = await import(${JSON.stringify(module)});
    const health = () => ({ status: 'healthy' });
    const server = await serve({ store: { dir: '/nowhere' }, port: 0, health, log: { info() {}, warn() {} } });
    console.log(await (await fetch(server.url + '/healthz')).text());
    await server.close();
  `);
  expect(JSON.parse(said)).toEqual({ status: 'healthy' });
});

test('the probes are answered', async () => {
  const module = new URL('../src/kube/health-server.ts', import.meta.url).href;
  const said = await refused(`
    const { serveProbes } = await import(${JSON.stringify(module)});
    const health = () => ({ status: 'healthy' });
    const options = { port: 0, metrics: {}, health, unready: async () => [], log: { info() {}, warn() {} } };
    const server = await serveProbes(options);
    console.log((await fetch('http://127.0.0.1:' + server.port + '/livez')).status);
    await server.close();
  `);
  expect(said).toBe('200');
});
