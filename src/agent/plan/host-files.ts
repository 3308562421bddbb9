import type { Files } from '../../network/renderer.ts';
import { meansTheSame, type ManagedNic } from '../files/managed-files.ts';
import type { Desired, Plan } from './plan.ts';

/**
 * The managed files on the host, as a tree of git has them. A file that was kept because it means the same as the
 * commit's counts as the commit's.
 */
export function hostFiles(managed: readonly ManagedNic[], desired: Desired, { present }: Plan): Files {
  return new Map(
    managed.flatMap(({ renderer, nic, files }) => {
      const wanted = present.find((each) => nic !== undefined && meansTheSame(each, nic));
      const equal = wanted !== undefined && renderer.kind === desired.kind;
      return [...files].map(
        ([path, content]) => [path, equal ? (desired.files.get(path) ?? content) : content] as const,
      );
    }),
  );
}
