import { addressesOf, type Interface, type Network } from '../../network/interface.ts';
import { nameIn, type ManagedNic } from '../files/managed-files.ts';

export type FileStep =
  | { readonly op: 'write'; readonly path: string; readonly content: string; readonly mode: number }
  | { readonly op: 'remove'; readonly path: string };

type Write = FileStep & { readonly op: 'write' };

/**
 * Orders files so that a machine that boots in between, with some old and some new files, never has a MAC or an address
 * twice: a file is removed or rewritten before another file takes over its MAC or address. Of two files that swap a MAC
 * or an address, one is removed first.
 */
export function orderFiles(
  orphans: readonly { readonly path: string }[],
  writes: readonly FileStep[],
  managed: readonly ManagedNic[],
  wanted: Network,
): FileStep[] {
  const steps: FileStep[] = orphans.map(({ path }) => ({ op: 'remove', path }));
  const gone = new Set(orphans.map(({ path }) => path));
  // The NICs whose files are written, with the content of the old and of the new files.
  let todo = wanted.flatMap((nic) => {
    const own = writes.filter((step): step is Write => step.op === 'write' && nameIn(step.path) === nic.name);
    const old = managed.find((group) => own.some(({ path }) => group.files.has(path)));
    return own.length === 0
      ? []
      : [{ own, next: nic, old: old?.nic, oldPaths: [...(old?.files.keys() ?? [])] }];
  });
  while (todo[0] !== undefined) {
    const free = todo.find((each) => todo.every((other) => other === each || !clash(each.next, other.old)));
    if (free === undefined) {
      // All files that are left wait for one another, so one is removed now and written again in its turn.
      const [first] = todo;
      const blocker = todo.find((other) => other !== first && clash(first.next, other.old)) ?? first;
      steps.push(
        ...blocker.oldPaths
          .filter((path) => !gone.has(path))
          .map((path): FileStep => ({ op: 'remove', path })),
      );
      todo = todo.map((each) => (each === blocker ? { ...each, old: undefined, oldPaths: [] } : each));
      continue;
    }
    steps.push(...free.own);
    todo = todo.filter((each) => each !== free);
  }
  return steps;
}

function clash(next: Interface, old: Interface | undefined): boolean {
  return (
    old !== undefined &&
    (old.mac === next.mac || addressesOf(old).some((each) => addressesOf(next).includes(each)))
  );
}
