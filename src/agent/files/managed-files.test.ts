import { expect, test } from 'vitest';
import { Folder, identity, makeRoot, nic } from '../../../test/support/agent.ts';
import { renderTree, managedFiles } from '../../network/tree.ts';
import { isFileOf, openRoot, readManaged, RENDERERS } from './managed-files.ts';

const ROUTED = nic(1, { sourceRouting: true });
const SYSCTL = 'etc/sysctl.d/90-multinic-multinic1.conf';

test.each(RENDERERS.map(({ kind }) => kind))(
  '%s: the settings of the kernel belong to the renderer that has the NIC',
  (kind) => {
    using folder = new Folder();
    const files = Object.fromEntries(managedFiles(renderTree(identity(kind), [ROUTED])));
    const [group, ...others] = readManaged(openRoot(makeRoot(folder.path, undefined, files)));
    expect(others).toEqual([]);
    expect(group).toMatchObject({ renderer: { kind }, nic: ROUTED });
    expect([...group!.files.keys()].toSorted()).toEqual(Object.keys(files).toSorted());
  },
);

test('settings without any other file of the NIC are an orphan', () => {
  using folder = new Folder();
  const managed = readManaged(openRoot(makeRoot(folder.path, undefined, { [SYSCTL]: '# ours\n' })));
  expect(managed.map(({ nic: found, files }) => [found, ...files.keys()])).toEqual([[undefined, SYSCTL]]);
});

test('the settings of the kernel are of no renderer alone', () => {
  expect(RENDERERS.some((renderer) => isFileOf(renderer, SYSCTL))).toBe(false);
  const paths = RENDERERS.map((renderer) => [...renderer.render(ROUTED).keys()][0] ?? '');
  expect(RENDERERS.map((renderer) => paths.filter((path) => isFileOf(renderer, path)))).toEqual(
    paths.map((path) => [path]),
  );
});
