import { MultinicError } from '../api/errors.ts';

export function noSuchNode(name: string): MultinicError {
  return new MultinicError(
    'NoSuchNode',
    `there is no branch node/${name}: multinic status lists the nodes that a MultiNicBizConfig names`,
    { data: { node: name } },
  );
}
