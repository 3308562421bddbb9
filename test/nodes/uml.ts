// A machine with a kernel of its own, as user-mode Linux: slower than a container, but its NICs have permanent MACs, its boots
// are real boots, and netplan's generator is Debian's own.
import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached, type Log } from './cache.ts';
import { run, type RunOptions } from './command.ts';
import { Daemon } from './daemon.ts';
import { makeDisk } from './disk.ts';
import type { Lab } from './lab.ts';
import { PATH } from './machine.ts';
import { needCommands } from './packages.ts';
import { NETPLAN_GENERATOR, nodeRootfs } from './rootfs.ts';
import type { Cable } from './switch.ts';
import { uuidOf } from './uuid.ts';
import { waitFor } from './wait.ts';
import { LabError } from '../support/lab-error.ts';

const BOOT_LIMIT_MS = 180_000;
const COMMANDS = '/var/lib/commands';
const SYSTEM = '/etc/systemd/system';
const SERVICE = 'commands.service';

/** The machine's file system is a folder outside of it, through which the test passes commands. */
const COMMANDS_SERVICE = `[Unit]
Description=Runs what is put into ${COMMANDS}
[Service]
WorkingDirectory=${COMMANDS}
ExecStart=/bin/sh -c 'while sleep 0.1; do \\
  for each in *.sh; do \\
    [ -e "$each" ] && [ ! -e "$each.code" ] || continue; \\
    echo 1 > /proc/sys/vm/drop_caches; \\
    sh "$each" > "$each.stdout" 2> "$each.stderr"; \\
    echo $? > "$each.partial"; \\
    mv "$each.partial" "$each.code"; \\
  done; \\
done'
[Install]
WantedBy=multi-user.target
`;

export interface UmlOptions {
  readonly name: string;
  /** Secondary NICs: MAC to network. */
  readonly nics: Readonly<Record<string, string>>;
  /** Mounted folders: path in the machine to path outside. */
  readonly binds?: Readonly<Record<string, string>>;
  readonly readOnlyBinds?: Readonly<Record<string, string>>;
}

export class UmlMachine {
  /** Address on the primary network. */
  readonly address: string;
  readonly #daemon: Daemon;
  readonly #root: string;
  #count = 0;

  private constructor(address: string, daemon: Daemon, root: string) {
    this.address = address;
    this.#daemon = daemon;
    this.#root = root;
  }

  static async boot(lab: Lab, { name, nics, binds, readOnlyBinds }: UmlOptions): Promise<UmlMachine> {
    await needCommands(['linux.uml'], console.log);
    const registers = await registersLibrary(console.log);
    const { slot } = lab;
    const dir = await lab.folder(join('machines', name));
    const address = slot.address('0.5');
    const mac = `fa:16:3f:00:00:${slot.number.toString(16).padStart(2, '0')}`;
    const root = await makeDisk(dir, await nodeRootfs(console.log), {
      name,
      systemUUID: uuidOf(`${slot.number}/${name}`),
      mac,
      address,
      gateway: slot.address('0.1'),
      files: {
        '/etc/fstab': [...mounts(binds, 'rw'), ...mounts(readOnlyBinds, 'ro')].join(''),
        [join(SYSTEM, SERVICE)]: COMMANDS_SERVICE,
      },
    });
    await rename(join(root, `${NETPLAN_GENERATOR}.real`), join(root, NETPLAN_GENERATOR));
    await symlink(`../${SERVICE}`, join(root, SYSTEM, 'multi-user.target.wants', SERVICE));
    await mkdir(join(root, COMMANDS), { recursive: true });
    const cables = [{ mac, cable: await lab.switch.tap() }];
    for (const [each, network] of Object.entries(nics)) {
      cables.push({ mac: each, cable: await lab.switch.tap(network) });
    }
    const daemon = new Daemon({
      name,
      group: slot.group(name),
      log: join(dir, 'console.log'),
      command: lab.command(...kernel(root, cables)),
      env: { LD_PRELOAD: registers },
    });
    const machine = new UmlMachine(address, daemon, root);
    await machine.#start();
    return machine;
  }

  /** @throws MultinicError `CommandFailed`, `TimedOut` */
  async exec(command: readonly string[], { timeoutMs = 60_000 }: RunOptions = {}): Promise<string> {
    this.#count += 1;
    const script = join(this.#root, COMMANDS, `${this.#count}.sh`);
    const line = ['env', '-i', `PATH=${PATH}`, ...command].map(quote).join(' ');
    await writeFile(`${script}.new`, `exec ${line}\n`);
    await rename(`${script}.new`, script);
    const exitCode = Number(
      await waitFor(`${command.join(' ')}`, () => readFile(`${script}.code`, 'utf8'), {
        timeoutMs,
        everyMs: 50,
        hopeful: () => this.#daemon.running,
        hint: () => this.#daemon.lastWords(),
      }),
    );
    const stdout = await readFile(`${script}.stdout`, 'utf8');
    if (exitCode === 0) return stdout.replace(/\n$/, '');
    const stderr = await readFile(`${script}.stderr`, 'utf8');
    throw new LabError(
      'CommandFailed',
      `${command.join(' ')}: exit code ${exitCode}; see what it said:\n${stderr}${stdout}`,
      { data: { exitCode, stdout, stderr } },
    );
  }

  /** Shuts the machine down in order, and boots it. */
  async reboot(): Promise<void> {
    // The shutdown comes a moment later, because a command that has not ended is run again after the boot.
    await this.exec([
      'systemd-run',
      '--on-active=1',
      '--timer-property=AccuracySec=100ms',
      'systemctl',
      'poweroff',
    ]);
    await this.#daemon.exited(BOOT_LIMIT_MS);
    await this.#daemon.stop('SIGKILL');
    await this.#start();
  }

  async #start(): Promise<void> {
    await this.#daemon.start();
    const state = ['sh', '-c', 'systemctl is-system-running --wait || true'];
    await this.exec(state, { timeoutMs: BOOT_LIMIT_MS });
  }
}

const REGISTERS_SOURCE = join(import.meta.dirname, 'uml-registers.c');

async function registersLibrary(log: Log): Promise<string> {
  const recipe = [await readFile(REGISTERS_SOURCE, 'utf8')];
  const dir = await cached('uml-registers', recipe, log, async (dir) => {
    await needCommands(['gcc'], log);
    const output = join(dir, 'registers.so');
    await run('gcc', ['-shared', '-fPIC', '-O2', '-o', output, REGISTERS_SOURCE, '-ldl']);
  });
  return join(dir, 'registers.so');
}

function kernel(
  root: string,
  cables: readonly { readonly mac: string; readonly cable: Cable }[],
): readonly string[] {
  return [
    'linux.uml',
    'mem=768M',
    'root=/dev/root',
    'rootfstype=hostfs',
    `rootflags=${root}`,
    'rw',
    'con=null',
    'con0=null,fd:1',
    'ssl=null',
    ...cables.map(
      ({ mac, cable }, index) => `vec${index}:transport=tap,ifname=${cable.port},mac=${mac},depth=64`,
    ),
    'init=/lib/systemd/systemd',
  ];
}

function mounts(binds: Readonly<Record<string, string>> = {}, mode: 'rw' | 'ro'): string[] {
  return Object.entries(binds).map(([there, here]) => `none ${there} hostfs ${mode},${here} 0 0\n`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
