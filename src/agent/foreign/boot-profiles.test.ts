import { expect, test } from 'vitest';
import { cidrsOf } from '../../network/interface.ts';
import { rendererOf } from '../../network/renderers.ts';
import { nic } from '../../../test/support/agent.ts';
import type { ReadFolder } from './boot-folders.ts';
import { profileFor } from './boot-profiles.ts';
import { readIfcfgs } from './ifcfg-files.ts';

const NIC = nic(0, {
  furtherAddresses: ['192.168.100.11/24', '2001:db8::10/64', '2001:db8::11/64', '2001:db8::12/64'],
  sourceRouting: true,
});

test.each(['keyfile', 'ifcfg'] as const)('a profile of ours (%s) gives all addresses of its NIC', (kind) => {
  const files = [...rendererOf(kind).render(NIC)];
  const read: ReadFolder = (folder) =>
    new Map(
      files.flatMap(([path, text]) => {
        const cut = path.lastIndexOf('/');
        return path.slice(0, cut) === folder ? [[path.slice(cut + 1), text] as const] : [];
      }),
    );
  expect(profileFor(NIC.mac, [NIC.name], readIfcfgs(read), read)?.gives.toSorted()).toEqual(
    cidrsOf(NIC).toSorted(),
  );
});
