// The part of a change, or of its undo, that the network managers of the host do.
import { entriesByMac } from '../../network/mac.ts';
import { checkpoint } from '../../api/checkpoint.ts';
import type { Host } from '../host/host.ts';
import { nicOf } from '../host/links.ts';
import type { LinkStep } from '../host/machine.ts';
import type { ManagerWork } from '../plan/change-plan.ts';

type Ports = Pick<Host, 'machine' | 'managers' | 'foreign'>;

/** @param steps link steps that the kernel lacked before; the profiles of their NICs are activated again */
export async function applyManagerWork(
  work: ManagerWork,
  steps: readonly LinkStep[],
  host: Ports,
): Promise<void> {
  if (work.kind === 'reload') return reload(work, host);
  if (work.kind === 'profiles') return applyProfiles(work, steps, host.managers);
}

/**
 * Gives NICs their profiles. A NIC that is right keeps its connection, because activating a profile again interrupts
 * it.
 */
async function applyProfiles(
  { paths, profiles }: ManagerWork & { kind: 'profiles' },
  steps: readonly LinkStep[],
  managers: Host['managers'],
): Promise<void> {
  const wanted = entriesByMac(profiles);
  const now = await managers.profiles(wanted.map(([mac]) => mac));
  // Leaves out files with settings of the kernel, which NetworkManager does not read.
  const changing = new Set(steps.flatMap(({ op, mac }) => (op === 'sysctl' ? [] : [mac])));
  const wrong = wanted.filter(([mac, profile]) => changing.has(mac) || (now?.[mac] ?? null) !== profile);
  await managers.applyProfiles(paths, Object.fromEntries(wrong));
}

/**
 * Makes the network manager read all of its files again. A reload removes foreign state on all NICs of the node, so all
 * of it is restored here.
 */
async function reload(
  { paths, macs }: ManagerWork & { kind: 'reload' },
  { machine, managers, foreign }: Ports,
): Promise<void> {
  const state = await foreign.read(macs, 'all');
  const { links } = await machine.state();
  const nics = macs.flatMap((mac) => nicOf(links, mac) ?? []);
  await managers.reload(paths);
  checkpoint('agent.activate.reload');
  await foreign.restore(state, nics);
}
